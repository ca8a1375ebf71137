//! Space: the registration of a space for one booking, and everything staff do with it.
//!
//! Registered only with an approved payment in hand, prepared, handed over, used, given back. A
//! cancellation stops preparation; after the hand-over it is refused, and only a manager's refund helps.

mod decide;
mod event;
mod phase;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tell;
use crate::terms::{Slot, later};
use crate::value::{BookId, UserId};

pub use self::event::Event;

/// How a space is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A key.
    Key,
    /// An entry code.
    Code,
    /// Staff open the door.
    Staff,
}

/// What can be asked of a registration.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Register the space (saga). The approved payment is the proof that it may. Refused where a cancellation came first.
    Register {
        /// The booking, which is also the registration's number.
        bookid: BookId,
        /// The approved payment.
        approved_payid: BookId,
        /// The customer, if the booking has one.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// For when; nothing for an unscheduled booking.
        slot: Option<Slot>,
        /// How long after the start a customer who did not come is waited for.
        no_show_grace_minutes: Option<u32>,
    },
    /// The booking was moved to another time; with it.
    Move {
        /// The registration.
        spaceid: BookId,
        /// The time that it is moved to.
        slot: Slot,
    },
    /// The booking is cancelled: nothing more happens at the space; with it.
    Stop {
        /// The registration, which need not be there yet.
        spaceid: BookId,
    },
    /// Staff begin to prepare.
    StartPreparation {
        /// Who does it, by name.
        by: String,
    },
    /// Staff are done.
    CompletePreparation {
        /// Who does it, by name.
        by: String,
    },
    /// The customer gets in.
    HandOver {
        /// How the customer gets in.
        method: Method,
        /// Who handed over.
        by: String,
    },
    /// The customer is in.
    CheckIn {
        /// Who let them in.
        by: Option<String>,
    },
    /// The customer is out.
    CheckOut {
        /// Now: the time past the end is charged.
        at: Timestamp,
        /// Who saw them out.
        by: Option<String>,
    },
    /// Nobody came.
    MarkNoShow {
        /// Now: a customer is waited for a while.
        at: Timestamp,
        /// Who says so; nobody, when the time does.
        by: Option<String>,
    },
    /// Undo the registration (saga).
    Cancel {
        /// Why; it is not kept.
        reason: String,
    },
}

/// How far a registration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// No such registration.
    #[default]
    None,
    /// Refused.
    Refused,
    /// Registered.
    Registered,
    /// Being prepared.
    Preparing,
    /// Ready.
    Prepared,
    /// Handed over.
    HandedOver,
    /// In use.
    CheckedIn,
    /// Given back.
    CheckedOut,
    /// Nobody came.
    NoShow,
    /// The booking is cancelled; the registration, if there is one, is being undone.
    Stopped,
    /// Undone.
    Cancelled,
}

/// A registration's state: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// How far it is.
    pub stage: Stage,
    bookid: Option<BookId>,
    userid: Option<UserId>,
    spacename: String,
    slot: Option<Slot>,
    no_show_grace_minutes: u32,
    /// How far it was when it was stopped.
    stopped_at: Stage,
}

/// Why a registration refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No registration under this number.
    #[error("there is no such registration")]
    NoSuchRegistration,
    /// The customer has the space; a cancellation comes too late.
    #[error("the space was handed over already")]
    AlreadyHandedOver,
    /// The registration is not at the point where this is possible.
    #[error("a space that is {current:?} cannot be {asked}")]
    IllegalTransition {
        /// Where it is.
        current: Stage,
        /// What was asked, as a participle.
        asked: &'static str,
    },
    /// The customer may still come.
    #[error("the customer is waited for until {until}")]
    TooEarly {
        /// Until when.
        until: Timestamp,
    },
    /// The payment is another booking's.
    #[error("the payment belongs to another booking")]
    ForeignPayment,
}

impl Space {
    /// For when it is registered; nothing for an unscheduled booking.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.slot
    }

    /// For whom it is registered.
    #[must_use]
    pub fn userid(&self) -> Option<UserId> {
        self.userid
    }

    /// How far staff got: also of what a cancellation stopped.
    #[must_use]
    pub fn reached(&self) -> Stage {
        match self.stage {
            Stage::Stopped => self.stopped_at,
            stage => stage,
        }
    }

    /// Which space it is.
    #[must_use]
    pub fn spacename(&self) -> &str {
        &self.spacename
    }

    /// When a customer who has not come by then counts as a no-show; at any time without a slot.
    #[must_use]
    pub fn no_show_at(&self) -> Option<Timestamp> {
        let slot = self.slot?;
        Some(later(slot.start, self.no_show_grace_minutes))
    }
}

impl Aggregate for Space {
    const TYPE: &'static str = "Space";
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
            Event::Registered {
                bookid,
                userid,
                spacename,
                slot,
                no_show_grace_minutes,
                ..
            } => {
                *self = Self {
                    stage: Stage::Registered,
                    bookid: Some(bookid),
                    userid,
                    spacename,
                    slot,
                    no_show_grace_minutes: no_show_grace_minutes.unwrap_or(0),
                    stopped_at: Stage::None,
                };
            }
            Event::RegistrationMoved { slot, .. } => self.slot = Some(slot),
            Event::FulfilmentStopped { spaceid, stage } => {
                self.stage = Stage::Stopped;
                self.stopped_at = stage;
                self.bookid = Some(spaceid);
            }
            Event::RegistrationRefused { bookid, .. } => {
                self.stage = Stage::Refused;
                self.stopped_at = Stage::None;
                self.bookid = Some(bookid);
            }
            Event::PreparationStarted { .. } => self.stage = Stage::Preparing,
            Event::Prepared { .. } => self.stage = Stage::Prepared,
            Event::HandedOver { .. } => self.stage = Stage::HandedOver,
            Event::CheckedIn { .. } => self.stage = Stage::CheckedIn,
            Event::CheckedOut { .. } => self.stage = Stage::CheckedOut,
            Event::NoShowMarked { .. } => self.stage = Stage::NoShow,
            Event::Registercancelled { .. } => self.stage = Stage::Cancelled,
        }
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "space_slot_tests.rs"]
mod slot_tests;
