//! What a registration decides.

use super::{Command, Error, Event, Space, Stage};
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
