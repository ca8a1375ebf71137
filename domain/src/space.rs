//! Space: the registration of a space for one booking, and everything staff do with it.
//!
//! Registered only with an approved payment in hand, prepared, handed over, used, given back. A
//! cancellation stops preparation; after the hand-over it is refused, and only a manager's refund helps.

mod event;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::status::Status;
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
    CheckIn,
    /// The customer is out.
    CheckOut {
        /// Minutes past the end, zero or more.
        overtime_minutes: u32,
    },
    /// Nobody came.
    MarkNoShow,
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
    /// The payment is another booking's.
    #[error("the payment belongs to another booking")]
    ForeignPayment,
}

impl Space {
    /// Turns a command into events, or refuses. Pure.
    ///
    /// # Errors
    /// [`Error`] names the refusal; nothing happened.
    pub fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Register {
                bookid,
                approved_payid,
                userid,
                spacename,
            } => self.register(bookid, approved_payid, userid, spacename),
            Command::Refuse { bookid, reason } => Ok(match self.stage {
                Stage::None => {
                    vec![Event::RegistrationRefused {
                        spaceid: bookid,
                        bookid,
                        reason,
                    }]
                }
                _ => vec![],
            }),
            command => {
                let spaceid = self.bookid.ok_or(Error::NoSuchRegistration)?;
                self.fulfil(spaceid, command)
                    .map(|event| event.into_iter().collect())
            }
        }
    }

    fn register(
        &self,
        bookid: BookId,
        approved_payid: BookId,
        userid: Option<UserId>,
        spacename: String,
    ) -> Result<Vec<Event>, Error> {
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
            }],
            _ => vec![],
        })
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
            Command::CheckIn => match current {
                Stage::HandedOver => Ok(Some(Event::CheckedIn {
                    spaceid,
                    status: Status::InUse,
                })),
                Stage::CheckedIn => Ok(None),
                _ => illegal("checked in"),
            },
            Command::CheckOut { overtime_minutes } => match current {
                Stage::CheckedIn => {
                    let status = Status::Completed;
                    Ok(Some(Event::CheckedOut {
                        spaceid,
                        status,
                        overtime_minutes,
                    }))
                }
                Stage::CheckedOut => Ok(None),
                _ => illegal("checked out"),
            },
            Command::MarkNoShow => match current {
                Stage::Registered | Stage::Preparing | Stage::Prepared | Stage::HandedOver => {
                    Ok(Some(Event::NoShowMarked {
                        spaceid,
                        status: Status::NoShow,
                    }))
                }
                Stage::NoShow => Ok(None),
                _ => illegal("marked as no-show"),
            },
            Command::Cancel { reason: _ } => self.cancel(spaceid),
            Command::Register { .. } | Command::Refuse { .. } => Ok(None),
        }
    }

    fn cancel(&self, spaceid: BookId) -> Result<Option<Event>, Error> {
        match self.stage {
            Stage::Registered | Stage::Preparing | Stage::Prepared => {
                Ok(Some(Event::Registercancelled {
                    spaceid,
                    userid: self.userid,
                    spacename: self.spacename.clone(),
                    status: Status::CancelRegister,
                    bookid: spaceid,
                    stage: self.stage,
                }))
            }
            Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                Err(Error::AlreadyHandedOver)
            }
            Stage::Cancelled | Stage::None | Stage::Refused | Stage::NoShow => Ok(None),
        }
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
                ..
            } => {
                *self = Self {
                    stage: Stage::Registered,
                    bookid: Some(bookid),
                    userid,
                    spacename,
                };
            }
            Event::RegistrationRefused { bookid, .. } => {
                self.stage = Stage::Refused;
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
