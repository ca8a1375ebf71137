//! What an event takes or gives back beside its stream. Derived from the events themselves, so that no caller can
//! forget it.

use cqrs_es::Aggregate;
use domain::book::Book;
use domain::payment::Payment;
use domain::{Event, book, payment};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Spend;

/// What the events of a command come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Bookings that give up what they have.
    pub(crate) release: Vec<i64>,
    /// Points that must be there.
    pub(crate) spend: Option<Spend>,
}

impl Needs {
    pub(crate) fn add(&mut self, event: &Event) {
        match event {
            Event::Book(event) => self.release.extend(released_by(event)),
            Event::Payment(event) => self.spend = spent_by(event).or(self.spend),
            Event::Space(_) => {}
        }
    }

    /// Of an event in its stored form; one that this program does not write needs nothing.
    pub(crate) fn add_stored(&mut self, aggregate_type: &str, payload: &Value) {
        let event = match aggregate_type {
            Book::TYPE => read(payload).map(Event::Book),
            Payment::TYPE => read(payload).map(Event::Payment),
            _ => None,
        };
        if let Some(event) = event {
            self.add(&event);
        }
    }
}

fn read<E: DeserializeOwned>(payload: &Value) -> Option<E> {
    E::deserialize(payload).ok()
}

/// A booking that was moved has another slot by the same command; one that was used or missed keeps its slot, which is
/// over by itself.
fn released_by(event: &book::Event) -> Option<i64> {
    match event {
        book::Event::Bookcancelled { bookid, .. }
        | book::Event::BookRejected { bookid, .. }
        | book::Event::BookExpired { bookid, .. }
        | book::Event::Rescheduled { bookid, .. } => Some(bookid.0),
        book::Event::Booked { .. }
        | book::Event::PaymentDeferred { .. }
        | book::Event::BookConfirmed { .. }
        | book::Event::BookClosed { .. } => None,
    }
}

fn spent_by(event: &payment::Event) -> Option<Spend> {
    match event {
        payment::Event::PointsSpent { userid, points, .. } => Some(Spend {
            userid: userid.as_ref()?.0,
            points: *points,
        }),
        _ => None,
    }
}
