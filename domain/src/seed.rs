//! The seed's events, for whoever still reads its Kafka topic: six flat JSON objects, repaired.
//!
//! This is a published language. Its names, fields and their order are the seed's and never change; what our
//! events learn besides stays out of it. It stands in this crate because it is a pure translation of events,
//! and because every way out (the command line today, a bridge to a broker one day) must say the same.
//!
//! Repaired: the timestamp's year is the calendar's (the seed wrote the year that the week belongs to, which is
//! another one around New Year), and `Registercancelled` names the registration. The seed meant to send `spaceid`
//! and sent an `id` that was always null. Both stand there now: its consumers' classes read `id`, its data model
//! says `spaceid`.
//! Added behind the seed's fields: `spaceid` there, and `position` everywhere, so that a reader can resume. The
//! seed's consumers take them: each of its listeners was handed every event of the topic and read it into its own
//! class first, so a field that the class does not have is dropped.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{BookId, Status, UserId, book, payment, space};

/// The names of the seed's events.
pub const NAMES: [&str; 6] = [
    "Booked",
    "Bookcancelled",
    "Approved",
    "Cancelled",
    "Registered",
    "Registercancelled",
];

/// One line: an event of the seed, and where it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What the seed would have sent.
    #[serde(flatten)]
    pub event: Event,
    /// Its place in the journal; give it back to go on behind it.
    pub position: i64,
}

/// An event as the seed sends it. The order of variants' fields is the order on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "eventType")]
#[allow(
    missing_docs,
    reason = "the fields are the seed's, named alike in every event"
)]
pub enum Event {
    /// A customer booked.
    Booked {
        timestamp: String,
        bookid: BookId,
        userid: Option<UserId>,
        status: Status,
        spacename: String,
    },
    /// A booking was cancelled.
    Bookcancelled {
        timestamp: String,
        bookid: BookId,
        userid: Option<UserId>,
        status: Status,
        spacename: String,
    },
    /// A payment was approved.
    Approved {
        timestamp: String,
        payid: BookId,
        bookid: BookId,
        userid: Option<UserId>,
        status: Status,
        spacename: String,
    },
    /// A payment was undone.
    Cancelled {
        timestamp: String,
        payid: BookId,
        bookid: BookId,
        userid: Option<UserId>,
        status: Status,
        spacename: String,
    },
    /// A space was registered.
    Registered {
        timestamp: String,
        spaceid: BookId,
        userid: Option<UserId>,
        spacename: String,
        status: Status,
        bookid: BookId,
    },
    /// A registration was undone.
    Registercancelled {
        timestamp: String,
        id: BookId,
        userid: Option<UserId>,
        spacename: String,
        status: Status,
        bookid: BookId,
        spaceid: BookId,
    },
}

/// The seed's form of an event that happened at `at`; none for an event that the seed does not have. `zone` is
/// the one that the timestamp's digits are of: the seed took its machine's and did not say which.
#[must_use]
pub fn translate(event: crate::Event, at: Timestamp, zone: &TimeZone) -> Option<Event> {
    let timestamp = timestamp(at, zone);
    match event {
        crate::Event::Book(event) => of_book(event, timestamp),
        crate::Event::Payment(event) => of_payment(event, timestamp),
        crate::Event::Space(event) => of_space(event, timestamp),
    }
}

/// `yyyyMMddHHmmss`, with the year of the calendar.
fn timestamp(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y%m%d%H%M%S")
        .to_string()
}

// Every match names every variant: a new event does not compile until somebody has decided what the seed's
// consumers hear of it.

fn of_book(event: book::Event, timestamp: String) -> Option<Event> {
    match event {
        book::Event::Booked {
            bookid,
            userid,
            spacename,
            status,
            price: _,
            slot: _,
            terms: _,
            held_until: _,
        } => Some(Event::Booked {
            timestamp,
            bookid,
            userid,
            status,
            spacename,
        }),
        book::Event::Bookcancelled {
            bookid,
            userid,
            spacename,
            status,
            refund: _,
            reason: _,
            refund_percent: _,
        } => Some(Event::Bookcancelled {
            timestamp,
            bookid,
            userid,
            status,
            spacename,
        }),
        book::Event::PaymentDeferred { .. }
        | book::Event::BookConfirmed { .. }
        | book::Event::BookRejected { .. }
        | book::Event::BookExpired { .. }
        | book::Event::Rescheduled { .. }
        | book::Event::BookClosed { .. } => None,
    }
}

fn of_payment(event: payment::Event, timestamp: String) -> Option<Event> {
    match event {
        payment::Event::Approved {
            payid,
            bookid,
            userid,
            status,
            spacename,
            captured: _,
            charge_no: _,
            gateway_ref: _,
        } => Some(Event::Approved {
            timestamp,
            payid,
            bookid,
            userid,
            status,
            spacename,
        }),
        payment::Event::Cancelled {
            payid,
            bookid,
            userid,
            status,
            spacename,
            refund: _,
            fee: _,
            voided: _,
        } => Some(Event::Cancelled {
            timestamp,
            payid,
            bookid,
            userid,
            status,
            spacename,
        }),
        payment::Event::PaymentRequested { .. }
        | payment::Event::PointsSpent { .. }
        | payment::Event::PointsReturned { .. }
        | payment::Event::ChargeRequested { .. }
        | payment::Event::ChargeApproved { .. }
        | payment::Event::ChargeDeclined { .. }
        | payment::Event::PointsAccrued { .. }
        | payment::Event::PaymentDeclined { .. }
        | payment::Event::PaymentOutcomeUnknown { .. }
        | payment::Event::VoidRequested { .. }
        | payment::Event::RefundRequested { .. }
        | payment::Event::RefundFailed { .. }
        | payment::Event::PartiallyRefunded { .. }
        | payment::Event::PointsClawedBack { .. }
        | payment::Event::LateApproval { .. }
        | payment::Event::DuplicateCharge { .. }
        | payment::Event::SurplusRefunded { .. } => None,
    }
}

fn of_space(event: space::Event, timestamp: String) -> Option<Event> {
    match event {
        space::Event::Registered {
            spaceid,
            payid: _,
            userid,
            spacename,
            status,
            bookid,
            slot: _,
            no_show_grace_minutes: _,
        } => Some(Event::Registered {
            timestamp,
            spaceid,
            userid,
            spacename,
            status,
            bookid,
        }),
        space::Event::Registercancelled {
            spaceid,
            userid,
            spacename,
            status,
            bookid,
            stage: _,
        } => Some(Event::Registercancelled {
            timestamp,
            id: spaceid,
            userid,
            spacename,
            status,
            bookid,
            spaceid,
        }),
        space::Event::RegistrationRefused { .. }
        | space::Event::RegistrationMoved { .. }
        | space::Event::FulfilmentStopped { .. }
        | space::Event::PreparationStarted { .. }
        | space::Event::Prepared { .. }
        | space::Event::HandedOver { .. }
        | space::Event::CheckedIn { .. }
        | space::Event::CheckedOut { .. }
        | space::Event::NoShowMarked { .. } => None,
    }
}

#[cfg(test)]
#[path = "seed_tests.rs"]
mod tests;
