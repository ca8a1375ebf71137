//! What a registration decides.

use jiff::Timestamp;

use super::{Command, Error, Event, Method, Space, Stage};
use crate::status::Status;
use crate::terms::Slot;
use crate::value::BookId;

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
                slot,
                no_show_grace_minutes,
            } => {
                if approved_payid != bookid {
                    return Err(Error::ForeignPayment);
                }
                let registered = Event::Registered {
                    spaceid: bookid,
                    payid: approved_payid,
                    userid,
                    spacename,
                    status: Status::SuccessRegister,
                    bookid,
                    slot,
                    no_show_grace_minutes,
                };
                Ok(self.register(bookid, registered))
            }
            Command::Stop { spaceid } => self.stop(spaceid),
            Command::Move { slot, .. } => self.shift(self.known()?, slot),
            Command::StartPreparation { by } => self.start_preparation(self.known()?, by),
            Command::CompletePreparation { by } => self.complete_preparation(self.known()?, by),
            Command::HandOver { method, by } => self.hand_over(self.known()?, method, by),
            Command::CheckIn { by } => self.check_in(self.known()?, by),
            Command::CheckOut { at, by } => self.check_out(self.known()?, at, by),
            Command::MarkNoShow { at, by } => self.mark_no_show(self.known()?, at, by),
            Command::Cancel { reason: _ } => self.cancel(self.known()?),
        }
    }

    /// The number of a registration that is there, or was asked for.
    fn known(&self) -> Result<BookId, Error> {
        self.bookid.ok_or(Error::NoSuchRegistration)
    }

    fn register(&self, bookid: BookId, registered: Event) -> Vec<Event> {
        match self.stage {
            Stage::None => vec![registered],
            // The cancellation was faster than the registration.
            Stage::Stopped if self.stopped_at == Stage::None => {
                vec![Event::RegistrationRefused {
                    spaceid: bookid,
                    bookid,
                    reason: "the booking was cancelled".to_owned(),
                }]
            }
            _ => vec![],
        }
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
            Stage::NoShow => self.illegal("stopped"),
            Stage::Refused | Stage::Stopped | Stage::Cancelled => Ok(vec![]),
        }
    }

    fn shift(&self, spaceid: BookId, slot: Slot) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Registered | Stage::Preparing | Stage::Prepared => {
                let ends = |slot: Slot| (slot.start, slot.end);
                if self.slot.map(ends) == Some(ends(slot)) {
                    return Ok(vec![]);
                }
                Ok(vec![Event::RegistrationMoved { spaceid, slot }])
            }
            Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                Err(Error::AlreadyHandedOver)
            }
            _ => self.illegal("moved to another time"),
        }
    }

    fn start_preparation(&self, spaceid: BookId, by: String) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Registered => Ok(vec![Event::PreparationStarted {
                spaceid,
                status: Status::Preparing,
                by,
            }]),
            Stage::Preparing => Ok(vec![]),
            _ => self.illegal("prepared"),
        }
    }

    fn complete_preparation(&self, spaceid: BookId, by: String) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Registered | Stage::Preparing => Ok(vec![Event::Prepared {
                spaceid,
                status: Status::Ready,
                by,
            }]),
            Stage::Prepared => Ok(vec![]),
            _ => self.illegal("made ready"),
        }
    }

    fn hand_over(&self, spaceid: BookId, method: Method, by: String) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Prepared => Ok(vec![Event::HandedOver {
                spaceid,
                status: Status::Delivered,
                method,
                by,
            }]),
            Stage::HandedOver => Ok(vec![]),
            _ => self.illegal("handed over"),
        }
    }

    fn check_in(&self, spaceid: BookId, by: Option<String>) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::HandedOver => Ok(vec![Event::CheckedIn {
                spaceid,
                status: Status::InUse,
                by,
            }]),
            Stage::CheckedIn => Ok(vec![]),
            _ => self.illegal("checked in"),
        }
    }

    fn check_out(
        &self,
        spaceid: BookId,
        at: Timestamp,
        by: Option<String>,
    ) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::CheckedIn => Ok(vec![Event::CheckedOut {
                spaceid,
                status: Status::Completed,
                overtime_minutes: self.slot.map_or(0, |slot| slot.overtime_minutes(at)),
                by,
            }]),
            Stage::CheckedOut => Ok(vec![]),
            _ => self.illegal("checked out"),
        }
    }

    fn mark_no_show(
        &self,
        spaceid: BookId,
        at: Timestamp,
        by: Option<String>,
    ) -> Result<Vec<Event>, Error> {
        match self.stage {
            Stage::Registered | Stage::Preparing | Stage::Prepared | Stage::HandedOver => {
                match self.no_show_at() {
                    Some(until) if at < until => Err(Error::TooEarly { until }),
                    _ => Ok(vec![Event::NoShowMarked {
                        spaceid,
                        status: Status::NoShow,
                        by,
                    }]),
                }
            }
            Stage::NoShow => Ok(vec![]),
            _ => self.illegal("marked as no-show"),
        }
    }

    fn cancel(&self, spaceid: BookId) -> Result<Vec<Event>, Error> {
        let stage = self.reached();
        match stage {
            Stage::Registered | Stage::Preparing | Stage::Prepared => {
                Ok(vec![Event::Registercancelled {
                    spaceid,
                    userid: self.userid,
                    spacename: self.spacename.clone(),
                    status: Status::CancelRegister,
                    bookid: spaceid,
                    stage,
                }])
            }
            Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut => {
                Err(Error::AlreadyHandedOver)
            }
            Stage::Cancelled | Stage::None | Stage::Refused | Stage::NoShow | Stage::Stopped => {
                Ok(vec![])
            }
        }
    }

    fn illegal(&self, asked: &'static str) -> Result<Vec<Event>, Error> {
        Err(Error::IllegalTransition {
            current: self.stage,
            asked,
        })
    }
}
