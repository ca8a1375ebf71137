//! Decides. The business of renting spaces as pure state machines: no I/O, no clock, no randomness.
//!
//! Three aggregates ([`book`], [`payment`], [`space`]) turn commands into events; the [`order`] saga turns
//! events into what must happen next; [`ports`] names what the outside must offer. An aggregate's `decide`
//! reads its state and answers with events or a refusal that has a name; `apply` folds an event into the
//! state and never fails. Everything else (storing, showing, calling) lives in other crates.

pub mod book;
pub mod order;
pub mod payment;
pub mod ports;
pub mod seed;
pub mod space;
pub mod status;
pub mod terms;
pub mod value;
pub mod venue;
pub mod version;
pub mod written;

use cqrs_es::event_sink::EventSink;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use cqrs_es::Aggregate;
pub use status::{Phase, Status};
pub use value::{BookId, Currency, Money, UserId};

/// Any event that a stream of this system can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// An event of a `Book` stream.
    Book(book::Event),
    /// An event of a `Payment` stream.
    Payment(payment::Event),
    /// An event of a `Space` stream.
    Space(space::Event),
}

impl Event {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Book(event) => event.name(),
            Self::Payment(event) => event.name(),
            Self::Space(event) => event.name(),
        }
    }

    /// The type of its stream.
    #[must_use]
    pub const fn aggregate_type(&self) -> &'static str {
        match self {
            Self::Book(_) => book::Book::TYPE,
            Self::Payment(_) => payment::Payment::TYPE,
            Self::Space(_) => space::Space::TYPE,
        }
    }
}

/// Any command, with the stream that it is for. `payid` and `spaceid` equal `bookid`, because streams are
/// keyed by aggregate type and id: one payment and one registration per booking need no lookup table.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// For `Book` stream `bookid`.
    Book(BookId, book::Command),
    /// For `Payment` stream `bookid`.
    Payment(BookId, payment::Command),
    /// For `Space` stream `bookid`.
    Space(BookId, space::Command),
}

impl Command {
    /// To cancel a booking at `at`: the booking, and what staff do for it, in one commit. Where the customer has the
    /// space already, neither.
    #[must_use]
    pub fn cancel_booking(bookid: BookId, reason: Option<String>, at: Timestamp) -> Vec<Self> {
        vec![
            Self::Book(bookid, book::Command::Cancel { reason, at }),
            Self::Space(bookid, space::Command::Stop { spaceid: bookid }),
        ]
    }

    /// To move a booking at `at` to another time, with what that changes ([`book::Book::difference`]): the booking, its
    /// payment and its registration, in one commit.
    #[must_use]
    pub fn reschedule(
        bookid: BookId,
        slot: terms::Slot,
        difference: payment::Difference,
        at: Timestamp,
    ) -> Vec<Self> {
        let spaceid = bookid;
        vec![
            Self::Book(
                bookid,
                book::Command::Reschedule {
                    slot,
                    difference,
                    at,
                },
            ),
            Self::Payment(bookid, payment::Command::Adjust(difference)),
            Self::Space(bookid, space::Command::Move { spaceid, slot }),
        ]
    }
}

/// Gives what an aggregate decided to the framework, which folds it into the aggregate.
pub(crate) async fn tell<A: Aggregate>(
    decided: Result<Vec<A::Event>, A::Error>,
    aggregate: &mut A,
    sink: &EventSink<A>,
) -> Result<(), A::Error> {
    for event in decided? {
        sink.write(event, aggregate).await;
    }
    Ok(())
}

/// Why an aggregate refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The booking refused.
    #[error(transparent)]
    Book(#[from] book::Error),
    /// The payment refused.
    #[error(transparent)]
    Payment(#[from] payment::Error),
    /// The registration refused.
    #[error(transparent)]
    Space(#[from] space::Error),
}
