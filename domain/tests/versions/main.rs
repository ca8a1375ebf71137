//! How stored events are read: the table is whole, and whatever was ever stored is read by the code of today.
//!
//! `samples/` has a payload of every name and version as it stands in some journal ([`frozen`]). No sample is ever
//! edited; a changed shape is a new version with a sample of its own, and a step from the old one. The worked
//! [`example`] is that of docs/changing-events.md.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod chains;
mod changing_events;
#[allow(missing_docs, reason = "it is shown in the docs as it stands")]
mod example;
mod frozen;

use std::collections::BTreeSet;
use std::path::Path;

use cqrs_es::{Aggregate, DomainEvent};
use domain::book::{self, Book};
use domain::payment::{self, Payment};
use domain::space::{self, Space};
use domain::version::{DecodeError, Payload, Reading, Stored, TODAY};
use domain::{BookId, Event};
use serde_json::json;

use frozen::{Sample, complaints, samples};

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
    Booked PaymentDeferred BookConfirmed BookRejected BookExpired Rescheduled Bookcancelled
    BookClosed
}

every_variant! { PAYMENT, payment_variant, payment:
    PaymentRequested PointsSpent PointsReturned ChargeRequested ChargeApproved ChargeDeclined
    Approved PointsAccrued PaymentDeclined PaymentOutcomeUnknown VoidRequested
    RefundRequested RefundFailed PartiallyRefunded Cancelled PointsClawedBack LateApproval
    DuplicateCharge SurplusRefunded
}

every_variant! { SPACE, space_variant, space:
    Registered RegistrationMoved FulfilmentStopped RegistrationRefused PreparationStarted Prepared HandedOver CheckedIn CheckedOut
    NoShowMarked Registercancelled
}

/// The Rust name of an event's variant.
fn variant(event: &Event) -> &'static str {
    match event {
        Event::Book(event) => book_variant(event),
        Event::Payment(event) => payment_variant(event),
        Event::Space(event) => space_variant(event),
    }
}

/// Samples of what is written today.
fn today() -> impl Iterator<Item = (Sample, Event)> {
    samples(Path::new(FOLDER)).into_iter().filter_map(|sample| {
        match sample.decode(&TODAY).unwrap() {
            Reading::Today(event) => Some((sample, event)),
            Reading::Upcast(_) => None,
        }
    })
}

#[test]
fn the_table_is_whole_and_every_sample_is_frozen_and_read() {
    let complaints = complaints(&TODAY, Path::new(FOLDER), include_str!("frozen.txt"));
    assert_eq!(complaints, [""; 0], "\n{}", complaints.join("\n"));
}

#[test]
fn the_table_names_every_event_of_the_code_and_no_other_one_as_written() {
    for (aggregate_type, variants) in [
        (Book::TYPE, BOOK),
        (Payment::TYPE, PAYMENT),
        (Space::TYPE, SPACE),
    ] {
        let stream = TODAY.stream(aggregate_type).unwrap();
        let written = stream
            .events
            .iter()
            .filter(|lineage| lineage.today.is_some());
        let written: BTreeSet<_> = written.map(|lineage| lineage.event_type).collect();
        assert_eq!(
            written,
            variants.iter().copied().collect(),
            "{aggregate_type}"
        );
    }
    assert_eq!(TODAY.0.len(), 3);
}

#[test]
fn an_event_is_written_under_its_name_in_the_code_and_the_version_of_the_table() {
    fn said<E: DomainEvent>(event: &E) -> (String, String) {
        (event.event_type(), event.event_version())
    }
    for (sample, event) in today() {
        assert_eq!(event.name(), variant(&event));
        assert_eq!(event.aggregate_type(), sample.aggregate_type);
        let said = match &event {
            Event::Book(event) => said(event),
            Event::Payment(event) => said(event),
            Event::Space(event) => said(event),
        };
        assert_eq!(said, (sample.event_type, sample.event_version));
    }
}

#[test]
fn an_event_is_told_from_every_other_by_its_payload_alone() {
    for (sample, event) in today() {
        assert_eq!(event, serde_json::from_value(sample.payload).unwrap());
    }
}

#[test]
fn money_of_a_sample_arrives_as_it_was_stored() {
    let sample = Sample::read(Path::new(FOLDER), "Payment.Cancelled.1.json");
    let event = sample.decode(&TODAY).unwrap();
    let Reading::Today(Event::Payment(payment::Event::Cancelled {
        payid, refund, fee, ..
    })) = event
    else {
        panic!("{event:?}");
    };
    assert_eq!(payid, BookId(7));
    assert_eq!((refund, fee), (domain::Money::krw(6_000), 4_000));
}

#[test]
fn what_cannot_be_read_says_what_it_is() {
    let booked = Sample::read(Path::new(FOLDER), "Book.Booked.1.json");
    for (aggregate_type, event_type, event_version) in [
        ("Parcel", "Booked", "1"),
        ("Book", "Rebooked", "1"),
        ("Book", "Booked", "2"),
        ("Book", "Approved", "1"),
    ] {
        let unknown = Stored {
            aggregate_type,
            event_type,
            event_version,
            payload: Payload::Text("{}"),
        };
        let error = TODAY.read(unknown).unwrap_err();
        let expected = format!(
            "{aggregate_type} event {event_type:?} version {event_version:?} is not known to this version of \
             spacerent: a newer one wrote it"
        );
        assert!(matches!(error, DecodeError::Unknown { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }

    let mut torn = booked.clone();
    torn.payload = json!({"type": "Booked", "bookid": 7});
    let message = torn.decode(&TODAY).unwrap_err();
    let expected = r#"Book event "Booked" version "1" cannot be read: "#;
    assert!(message.starts_with(expected), "{message}");

    let mut misnamed = booked;
    misnamed.payload = json!({"type": "BookConfirmed", "bookid": 7, "status": "success-register"});
    let message = misnamed.decode(&TODAY).unwrap_err();
    assert!(
        message.ends_with("its payload is not a Booked"),
        "{message}"
    );
}
