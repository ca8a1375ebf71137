//! The frozen samples: whatever was ever stored is read by the code of today.
//!
//! `samples/<Aggregate>.<EventType>.<version>.json` is a payload as it stands in the journal. No sample is
//! ever edited; a changed shape is a new version with a sample of its own, and an upcaster for the old one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cqrs_es::persist::SerializedEvent;
use cqrs_es::{Aggregate, DomainEvent};
use domain::book::{self, Book};
use domain::payment::{self, Payment};
use domain::space::{self, Space};
use domain::version::{self, DecodeError};
use domain::{BookId, Event};
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");

/// Writes every variant of an event enum down, twice from one list: as a match, which does not compile
/// while a variant is missing here, and as names, which need a sample each.
macro_rules! every_variant {
    ($names:ident, $name_of:ident, $module:ident: $($variant:ident)+) => {
        const $names: &[&str] = &[$(stringify!($variant)),+];

        fn $name_of(event: &$module::Event) -> &'static str {
            match event {
                $($module::Event::$variant { .. } => stringify!($variant)),+
            }
        }
    };
}

every_variant! { BOOK, book_variant, book:
    Booked PaymentDeferred BookConfirmed BookRejected BookExpired Bookcancelled BookClosed
}

every_variant! { PAYMENT, payment_variant, payment:
    PaymentRequested Approved PointsAccrued PaymentDeclined PaymentOutcomeUnknown VoidRequested
    RefundRequested RefundFailed PartiallyRefunded Cancelled PointsClawedBack LateApproval
    DuplicateCharge SurplusRefunded
}

every_variant! { SPACE, space_variant, space:
    Registered RegistrationRefused PreparationStarted Prepared HandedOver CheckedIn CheckedOut
    NoShowMarked Registercancelled
}

/// A stored event, as its file's name and content say.
#[derive(Clone, Debug)]
struct Sample {
    aggregate_type: String,
    event_type: String,
    event_version: String,
    payload: Value,
}

impl Sample {
    fn read(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap();
        let parts: Vec<&str> = name.split('.').collect();
        let [aggregate_type, event_type, event_version, "json"] = parts[..] else {
            panic!("{name} is not <Aggregate>.<EventType>.<version>.json");
        };
        let text = fs::read_to_string(path).unwrap();
        Self {
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            payload: serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")),
        }
    }

    fn decode(&self) -> Result<Event, DecodeError> {
        version::decode(SerializedEvent::new(
            "7".to_owned(),
            1,
            self.aggregate_type.clone(),
            self.event_type.clone(),
            self.event_version.clone(),
            self.payload.clone(),
            json!({}),
        ))
    }
}

fn samples() -> Vec<Sample> {
    fs::read_dir(FOLDER)
        .unwrap()
        .map(|file| Sample::read(&file.unwrap().path()))
        .collect()
}

/// What an event says about itself when it is stored.
#[derive(Debug, PartialEq)]
struct Written {
    aggregate_type: &'static str,
    event_type: String,
    event_version: String,
    variant: &'static str,
}

fn written(event: &Event) -> Written {
    fn of<A: Aggregate>(event: &A::Event, variant: &'static str) -> Written {
        Written {
            aggregate_type: A::TYPE,
            event_type: event.event_type(),
            event_version: event.event_version(),
            variant,
        }
    }
    match event {
        Event::Book(event) => of::<Book>(event, book_variant(event)),
        Event::Payment(event) => of::<Payment>(event, payment_variant(event)),
        Event::Space(event) => of::<Space>(event, space_variant(event)),
    }
}

#[test]
fn every_event_ever_written_is_still_read_under_its_name() {
    for sample in samples() {
        let event = sample.decode().unwrap();
        let written = written(&event);
        assert_eq!(written.aggregate_type, sample.aggregate_type);
        assert_eq!(written.event_type, sample.event_type);
        assert_eq!(written.variant, sample.event_type, "the name in the code");
    }
}

#[test]
fn an_event_of_the_present_version_is_written_as_its_sample_stands() {
    for sample in samples() {
        let event = sample.decode().unwrap();
        if written(&event).event_version == sample.event_version {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json, sample.payload, "{}", sample.event_type);
        }
    }
}

#[test]
fn every_event_has_a_sample_of_the_version_that_is_written_today() {
    let sampled: BTreeSet<(String, String)> = samples()
        .iter()
        .filter(|sample| written(&sample.decode().unwrap()).event_version == sample.event_version)
        .map(|sample| (sample.aggregate_type.clone(), sample.event_type.clone()))
        .collect();
    let expected: BTreeSet<(String, String)> = [
        (Book::TYPE, BOOK),
        (Payment::TYPE, PAYMENT),
        (Space::TYPE, SPACE),
    ]
    .into_iter()
    .flat_map(|(aggregate, names)| {
        let pair = move |name: &&str| (aggregate.to_owned(), (*name).to_owned());
        names.iter().map(pair)
    })
    .collect();
    assert_eq!(sampled, expected);
}

#[test]
fn an_event_is_told_from_every_other_by_its_payload_alone() {
    for sample in samples() {
        let event: Event = serde_json::from_value(sample.payload.clone()).unwrap();
        assert_eq!(event, sample.decode().unwrap());
    }
}

#[test]
fn money_of_a_sample_arrives_as_it_was_stored() {
    let path = Path::new(FOLDER).join("Payment.Cancelled.1.json");
    let event = Sample::read(&path).decode().unwrap();
    let Event::Payment(payment::Event::Cancelled {
        payid, refund, fee, ..
    }) = event
    else {
        panic!("{event:?}");
    };
    assert_eq!(payid, BookId(7));
    assert_eq!((refund, fee), (domain::Money::krw(6_000), 4_000));
}

#[test]
fn what_cannot_be_read_says_what_it_is() {
    let path = Path::new(FOLDER).join("Book.Booked.1.json");
    let booked = Sample::read(&path);
    let mut foreign = booked.clone();
    foreign.aggregate_type = "Parcel".to_owned();
    let message = foreign.decode().unwrap_err().to_string();
    assert_eq!(message, r#"unknown aggregate type "Parcel""#);

    let mut torn = booked;
    torn.payload = json!({"type": "Booked", "bookid": 7});
    let message = torn.decode().unwrap_err().to_string();
    let expected = r#"Book event "Booked" version "1" cannot be read: "#;
    assert!(message.starts_with(expected), "{message}");
}
