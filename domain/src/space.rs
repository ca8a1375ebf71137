//! Space: the registration of a space for one booking, and everything staff do with it.
//!
//! Registered only with an approved payment in hand, prepared, handed over, used, given back. A
//! cancellation stops preparation; after the hand-over it is refused, and only a manager's refund helps.

mod event;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::status::Status;
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
    /// Register the space (saga). The approved payment is the proof that it may.
    Register {
        /// The booking, which is also the registration's number.
        bookid: BookId,
        /// The approved payment.
        approved_payid: BookId,
        /// For whom.
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
        /// To when.
        slot: Slot,
    },
    /// The booking is cancelled: nothing more happens at the space; with it.
    Stop {
        /// The registration, which need not be there yet.
        spaceid: BookId,
    },
    /// The space cannot be registered (saga).
    Refuse {
        /// The booking.
        bookid: BookId,
        /// Why.
        reason: String,
    },
    /// Staff begin to prepare.
    StartPreparation {
        /// Who.
        by: String,
    },
    /// Staff are done.
    CompletePreparation {
        /// Who.
        by: String,
    },
    /// The customer gets in.
    HandOver {
        /// How.
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
        /// Why.
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

    /// Turns a command into events, or refuses. Pure.
    ///
    /// # Errors
    /// [`Error`] names the refusal; nothing happened.
    pub fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Register { .. } => self.register(command),
            Command::Refuse { bookid, reason } => Ok(if self.is_unasked() {
                vec![refused(bookid, reason)]
            } else {
                vec![]
            }),
            Command::Stop { spaceid } => self.stop(spaceid),
            command => {
                let spaceid = self.bookid.ok_or(Error::NoSuchRegistration)?;
                self.fulfil(spaceid, command)
                    .map(|event| event.into_iter().collect())
            }
        }
    }

    fn register(&self, command: Command) -> Result<Vec<Event>, Error> {
        let Command::Register {
            bookid,
            approved_payid,
            userid,
            spacename,
            slot,
            no_show_grace_minutes,
        } = command
        else {
            return Ok(vec![]);
        };
        if approved_payid != bookid {
            return Err(Error::ForeignPayment);
        }
        Ok(match self.stage {
            Stage::None => vec![Event::Registered {
                spaceid: bookid,
                payid: approved_payid,
                userid,
                spacename,
                status: Status::SuccessRegister,
                bookid,
                slot,
                no_show_grace_minutes,
            }],
            // The cancellation was faster than the registration.
            Stage::Stopped if self.is_unasked() => {
                vec![refused(bookid, "the booking was cancelled".to_owned())]
            }
            _ => vec![],
        })
    }

    /// Whether nobody has asked for a registration yet; a cancellation may have come first.
    fn is_unasked(&self) -> bool {
        self.reached() == Stage::None
    }

    /// A cancellation: it wins against a hand-over that happens at once, or loses against it, by the stream's version.
    fn stop(&self, spaceid: BookId) -> Result<Vec<Event>, Error> {
        match self.stage {
            stage @ (Stage::None | Stage::Registered | Stage::Preparing | Stage::Prepared) => {
                Ok(vec![Event::FulfilmentStopped { spaceid, stage }])
            }
            Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                Err(Error::AlreadyHandedOver)
            }
            Stage::NoShow => Err(Error::IllegalTransition {
                current: Stage::NoShow,
                asked: "stopped",
            }),
            Stage::Refused | Stage::Stopped | Stage::Cancelled => Ok(vec![]),
        }
    }

    /// The steps of a registration that exists; at most one event each.
    fn fulfil(&self, spaceid: BookId, command: Command) -> Result<Option<Event>, Error> {
        let current = self.stage;
        let illegal = |asked| Err(Error::IllegalTransition { current, asked });
        match command {
            Command::StartPreparation { by } => match current {
                Stage::Registered => Ok(Some(Event::PreparationStarted {
                    spaceid,
                    status: Status::Preparing,
                    by,
                })),
                Stage::Preparing => Ok(None),
                _ => illegal("prepared"),
            },
            Command::CompletePreparation { by } => match current {
                Stage::Registered | Stage::Preparing => Ok(Some(Event::Prepared {
                    spaceid,
                    status: Status::Ready,
                    by,
                })),
                Stage::Prepared => Ok(None),
                _ => illegal("made ready"),
            },
            Command::HandOver { method, by } => match current {
                Stage::Prepared => Ok(Some(Event::HandedOver {
                    spaceid,
                    status: Status::Delivered,
                    method,
                    by,
                })),
                Stage::HandedOver => Ok(None),
                _ => illegal("handed over"),
            },
            Command::Move { slot, .. } => match current {
                Stage::Registered | Stage::Preparing | Stage::Prepared => {
                    let ends = |slot: Slot| (slot.start, slot.end);
                    let there = self.slot.map(ends) == Some(ends(slot));
                    Ok((!there).then_some(Event::RegistrationMoved { spaceid, slot }))
                }
                Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                    Err(Error::AlreadyHandedOver)
                }
                _ => illegal("moved to another time"),
            },
            Command::CheckIn { by } => match current {
                Stage::HandedOver => Ok(Some(Event::CheckedIn {
                    spaceid,
                    status: Status::InUse,
                    by,
                })),
                Stage::CheckedIn => Ok(None),
                _ => illegal("checked in"),
            },
            Command::CheckOut { at, by } => match current {
                Stage::CheckedIn => Ok(Some(Event::CheckedOut {
                    spaceid,
                    status: Status::Completed,
                    overtime_minutes: self.slot.map_or(0, |slot| slot.overtime_minutes(at)),
                    by,
                })),
                Stage::CheckedOut => Ok(None),
                _ => illegal("checked out"),
            },
            Command::MarkNoShow { at, by } => match current {
                Stage::Registered | Stage::Preparing | Stage::Prepared | Stage::HandedOver => {
                    match self.no_show_at() {
                        Some(until) if at < until => Err(Error::TooEarly { until }),
                        _ => Ok(Some(Event::NoShowMarked {
                            spaceid,
                            status: Status::NoShow,
                            by,
                        })),
                    }
                }
                Stage::NoShow => Ok(None),
                _ => illegal("marked as no-show"),
            },
            Command::Cancel { reason: _ } => self.cancel(spaceid),
            Command::Register { .. } | Command::Refuse { .. } | Command::Stop { .. } => Ok(None),
        }
    }

    fn cancel(&self, spaceid: BookId) -> Result<Option<Event>, Error> {
        let stage = self.reached();
        match stage {
            Stage::Registered | Stage::Preparing | Stage::Prepared => {
                Ok(Some(Event::Registercancelled {
                    spaceid,
                    userid: self.userid,
                    spacename: self.spacename.clone(),
                    status: Status::CancelRegister,
                    bookid: spaceid,
                    stage,
                }))
            }
            Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                Err(Error::AlreadyHandedOver)
            }
            Stage::Cancelled | Stage::None | Stage::Refused | Stage::NoShow | Stage::Stopped => {
                Ok(None)
            }
        }
    }
}

fn refused(bookid: BookId, reason: String) -> Event {
    Event::RegistrationRefused {
        spaceid: bookid,
        bookid,
        reason,
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
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
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
