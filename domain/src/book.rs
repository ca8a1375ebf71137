//! Book: the customer's intention to use a space.
//!
//! A booking is placed, waits for its payment and its registration, is confirmed, and is closed when the
//! rental is over or the cancellation has been carried through. It decides nothing about money: that is
//! [`crate::payment`]. Commands of the saga are absorbed when the booking has moved on (no event, no error);
//! commands of people are refused with the present state.

mod command;
mod event;
mod phase;
mod time;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::Status;
use crate::tell;
use crate::value::{BookId, Money, UserId};

pub use self::command::Command;
pub use self::event::Event;
pub use self::time::{MOVES_MAX, RefundQuote, Scheduled};

/// How a booking's story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Cancelled, and everything undone that could be.
    Cancelled,
    /// The space was used and given back.
    Completed,
    /// Nobody came.
    NoShow,
}

impl Outcome {
    /// The seed's status string of a booking that ended so.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Cancelled => Status::CancelRegister,
            Self::Completed => Status::Completed,
            Self::NoShow => Status::NoShow,
        }
    }
}

/// How far a booking is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// No such booking.
    #[default]
    None,
    /// Taken.
    Placed,
    /// Taken; the customer was told to wait for the payment.
    Deferred,
    /// Paid and registered.
    Confirmed,
    /// Being undone.
    Cancelling,
    /// Could not be.
    Rejected,
    /// Ran out.
    Expired,
    /// Over.
    Closed,
}

/// A booking's state: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// How far it is.
    pub stage: Stage,
    bookid: Option<BookId>,
    userid: Option<UserId>,
    spacename: String,
    price: Money,
    outcome: Option<Outcome>,
    scheduled: Option<Scheduled>,
    /// What moves to cheaper times kept, and no move to a dearer one has used since.
    kept: i64,
    /// How often it was moved.
    moves: u32,
    /// The most that a cancellation gives back after a move, in percent.
    refund_percent_max: Option<u8>,
}

/// Why a booking refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was ever booked under this number.
    #[error("there is no such booking")]
    NoSuchBooking,
    /// The number is taken.
    #[error("the booking exists already")]
    AlreadyPlaced,
    /// The booking is past the point where this is possible.
    #[error("a booking that is {current:?} cannot be {asked}")]
    IllegalTransition {
        /// Where it is.
        current: Stage,
        /// What was asked, as a participle.
        asked: &'static str,
    },
    /// The booking's time has come: it can be neither cancelled nor moved any more.
    #[error("its time began at {start}")]
    Started {
        /// When it began.
        start: Timestamp,
    },
    /// It is booked for exactly that time.
    #[error("the booking is for that time already")]
    SameTime,
    /// Somebody else moved it, and it costs something else than the difference was reckoned from.
    #[error("the booking costs {} by now", current.minor)]
    PriceChanged {
        /// What it costs.
        current: Money,
    },
    /// The booking has no time that could be moved.
    #[error("the booking has no time")]
    Unscheduled,
    /// It was moved so often that its story would grow without end.
    #[error("a booking is moved {MOVES_MAX} times at most")]
    MovedTooOften,
}

impl Book {
    /// Whose booking it is.
    #[must_use]
    pub fn userid(&self) -> Option<UserId> {
        self.userid
    }

    /// Which space was booked.
    #[must_use]
    pub fn spacename(&self) -> &str {
        &self.spacename
    }

    /// What it costs.
    #[must_use]
    pub fn price(&self) -> Money {
        self.price
    }

    /// The seed's status string of this stage, for an answer that is made from the stream itself.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.stage {
            Stage::None | Stage::Placed => Status::Booking,
            Stage::Deferred => Status::Timeout,
            Stage::Confirmed => Status::SuccessRegister,
            Stage::Cancelling => Status::CancelBooking,
            Stage::Rejected => Status::PayFailed,
            Stage::Expired => Status::Expired,
            Stage::Closed => self.outcome.map_or(Status::CancelRegister, Outcome::status),
        }
    }

    /// Turns a command into events, or refuses. Pure.
    ///
    /// # Errors
    /// [`Error`] names the refusal; nothing happened.
    pub fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Place {
                bookid,
                userid,
                spacename,
                price,
                scheduled,
            } => self.place(bookid, userid, spacename, price, scheduled),
            Command::DeferPayment { reason, sent } => {
                Ok(self.while_unpaid(Event::PaymentDeferred {
                    bookid: self.known()?,
                    status: Status::Timeout,
                    reason,
                    sent,
                }))
            }
            Command::Confirm => Ok(self.while_unpaid(Event::BookConfirmed {
                bookid: self.known()?,
                status: Status::SuccessRegister,
            })),
            Command::Reject { reason } => Ok(self.while_unpaid(Event::BookRejected {
                bookid: self.known()?,
                status: Status::PayFailed,
                reason,
            })),
            Command::Expire => Ok(self.while_unpaid(Event::BookExpired {
                bookid: self.known()?,
                status: Status::Expired,
            })),
            Command::Reschedule {
                slot,
                difference,
                at,
            } => self.reschedule(self.known()?, slot, difference, at),
            Command::Cancel { reason, at } => self.cancel(self.known()?, reason, at),
            Command::Close { outcome } => Ok(self.close(self.known()?, outcome)),
        }
    }

    /// The number of a booking that is there.
    fn known(&self) -> Result<BookId, Error> {
        self.bookid.ok_or(Error::NoSuchBooking)
    }

    fn place(
        &self,
        bookid: BookId,
        userid: Option<UserId>,
        spacename: String,
        price: Money,
        scheduled: Option<Box<Scheduled>>,
    ) -> Result<Vec<Event>, Error> {
        if self.stage != Stage::None {
            return Err(Error::AlreadyPlaced);
        }
        let held_until = scheduled.as_deref().map(Scheduled::held_until);
        let (slot, terms) = scheduled.map(|it| (it.slot, it.terms)).unzip();
        Ok(vec![Event::Booked {
            bookid,
            userid,
            spacename,
            status: Status::Booking,
            price,
            slot,
            terms,
            held_until,
        }])
    }

    /// The saga's and the timer's steps: they happen while the booking waits, and are absorbed later.
    fn while_unpaid(&self, event: Event) -> Vec<Event> {
        match self.stage {
            Stage::Placed | Stage::Deferred => vec![event],
            _ => vec![],
        }
    }

    fn cancel(
        &self,
        bookid: BookId,
        reason: Option<String>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Placed | Stage::Deferred | Stage::Confirmed => {
                if self.stage == Stage::Confirmed {
                    self.before_the_start(at)?;
                }
                let quote = self.refund_quote(at);
                Ok(vec![Event::Bookcancelled {
                    bookid,
                    userid: self.userid,
                    spacename: self.spacename.clone(),
                    status: Status::CancelBooking,
                    refund: quote.refund,
                    reason,
                    refund_percent: self.scheduled.is_some().then_some(quote.percent),
                }])
            }
            // Cancelling twice is one cancellation.
            Stage::Cancelling => Ok(vec![]),
            current => Err(Error::IllegalTransition {
                current,
                asked: "cancelled",
            }),
        }
    }

    fn close(&self, bookid: BookId, outcome: Outcome) -> Vec<Event> {
        match (self.stage, outcome) {
            (Stage::Cancelling, Outcome::Cancelled)
            | (Stage::Confirmed, Outcome::Completed | Outcome::NoShow) => {
                vec![Event::BookClosed {
                    bookid,
                    status: outcome.status(),
                    outcome,
                }]
            }
            _ => vec![],
        }
    }
}

impl Aggregate for Book {
    const TYPE: &'static str = "Book";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        tell(self.decide(command), self, sink).await
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Booked {
                bookid,
                userid,
                spacename,
                status: _,
                price,
                slot,
                terms,
                held_until,
            } => {
                *self = Self {
                    stage: Stage::Placed,
                    bookid: Some(bookid),
                    userid,
                    spacename,
                    price,
                    scheduled: Scheduled::of(slot, terms, held_until),
                    ..Self::default()
                };
            }
            Event::Rescheduled {
                slot,
                price,
                refund_percent_max,
                ..
            } => {
                self.kept = self.kept_after(price, refund_percent_max);
                self.price = price;
                self.moves = self.moves.saturating_add(1);
                self.refund_percent_max = Some(refund_percent_max);
                if let Some(scheduled) = &mut self.scheduled {
                    scheduled.slot = slot;
                }
            }
            Event::PaymentDeferred { .. } => self.stage = Stage::Deferred,
            Event::BookConfirmed { .. } => self.stage = Stage::Confirmed,
            Event::BookRejected { .. } => self.stage = Stage::Rejected,
            Event::BookExpired { .. } => self.stage = Stage::Expired,
            Event::Bookcancelled { .. } => self.stage = Stage::Cancelling,
            Event::BookClosed { outcome, .. } => {
                self.stage = Stage::Closed;
                self.outcome = Some(outcome);
            }
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "book_slot_tests.rs"]
mod slot_tests;
