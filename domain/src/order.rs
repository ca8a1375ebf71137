//! The order saga: which step follows which event, as a pure function.
//!
//! One [`Order`] per booking. [`Order::react`] folds an event into the order's state and answers with
//! [`Intent`]s: commands for aggregates, and jobs for what calls the outside. It is the only issuer of the
//! commands it names, so it knows what is under way. Running intents, giving them ids and keeping the state
//! is the business of the `processes` crate.
//!
//! Late and double events are absorbed by the aggregates; two guards here are the saga's own: nothing is
//! registered once a cancellation was seen, and a cancellation waits for a registration that was asked for.

use serde::{Deserialize, Serialize};

use crate::value::{BookId, Money};
use crate::{Command, Event, book, payment, space};

/// The kind of job that sees to a charge; open ones are the bookings that wait for money.
pub const CHARGE_JOB: &str = "charge";
/// The kind of job that gives money back.
pub const REFUND_JOB: &str = "refund";

/// Something that must happen next.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Send this command.
    Command(Command),
    /// See to it that the charge gets an outcome.
    Charge {
        /// Which charge of the booking's payment.
        charge_no: u32,
        /// When the background takes over.
        due: Due,
    },
    /// The charge has its outcome: nobody needs to see to it any more.
    ChargeSettled {
        /// Which charge.
        charge_no: u32,
    },
    /// Give money back.
    Refund {
        /// Which refund of the booking's payment.
        refund_no: u32,
    },
}

/// When the background takes over a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once: it is certain that nothing was sent.
    Now,
    /// When the customer's own call must have ended.
    AfterInlineCall,
}

/// How far an order is, as far as the saga cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing seen yet.
    #[default]
    None,
    /// The charge has no outcome.
    AwaitingPayment,
    /// Paid; the space is being registered.
    AwaitingRegistration,
    /// Confirmed; staff and customer act.
    Fulfilling,
    /// Cancelled; the money is being undone.
    Refunding,
    /// The money is undone; the registration is being undone.
    Releasing,
    /// Over.
    Done,
    /// Could not be.
    Failed,
}

/// An order's state: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// How far it is.
    pub stage: Stage,
    price: Money,
    cancel_requested: bool,
    register_requested: bool,
    registered: bool,
}

impl Order {
    /// Folds `event` of booking `bookid` and says what must happen next, in order.
    pub fn react(&mut self, bookid: BookId, event: &Event) -> Vec<Intent> {
        match event {
            Event::Book(event) => self.on_book(bookid, event),
            Event::Payment(event) => self.on_payment(bookid, event),
            Event::Space(event) => self.on_space(bookid, event),
        }
    }

    fn on_book(&mut self, bookid: BookId, event: &book::Event) -> Vec<Intent> {
        use book::Event as E;
        match event {
            E::Booked { price, .. } => {
                self.stage = Stage::AwaitingPayment;
                self.price = *price;
                vec![]
            }
            E::PaymentDeferred { sent: false, .. } if self.stage == Stage::AwaitingPayment => {
                vec![Intent::Charge {
                    charge_no: 1,
                    due: Due::Now,
                }]
            }
            E::Bookcancelled { refund, .. } => {
                self.cancel_requested = true;
                self.stage = Stage::Refunding;
                vec![cancel_payment(bookid, *refund, "the booking was cancelled")]
            }
            E::BookExpired { .. } => {
                self.cancel_requested = true;
                self.stage = Stage::Refunding;
                vec![cancel_payment(bookid, self.price, "the booking expired")]
            }
            E::BookClosed { .. } => {
                self.stage = Stage::Done;
                vec![]
            }
            E::BookRejected { .. } => {
                self.stage = Stage::Failed;
                vec![]
            }
            E::PaymentDeferred { .. } | E::BookConfirmed { .. } => vec![],
        }
    }

    fn on_payment(&mut self, bookid: BookId, event: &payment::Event) -> Vec<Intent> {
        use payment::Event as E;
        match event {
            E::PaymentRequested { charge_no, .. } => {
                vec![Intent::Charge {
                    charge_no: *charge_no,
                    due: Due::AfterInlineCall,
                }]
            }
            E::Approved {
                charge_no,
                userid,
                spacename,
                payid,
                ..
            } => {
                let mut intents = vec![Intent::ChargeSettled {
                    charge_no: *charge_no,
                }];
                if self.cancel_requested {
                    intents.push(cancel_payment(
                        bookid,
                        self.price,
                        "the booking was cancelled",
                    ));
                } else {
                    self.stage = Stage::AwaitingRegistration;
                    self.register_requested = true;
                    intents.push(Intent::Command(Command::Space(
                        bookid,
                        space::Command::Register {
                            bookid,
                            approved_payid: *payid,
                            userid: *userid,
                            spacename: spacename.clone(),
                        },
                    )));
                }
                intents
            }
            E::PaymentDeclined {
                charge_no, message, ..
            } => vec![
                Intent::ChargeSettled {
                    charge_no: *charge_no,
                },
                Intent::Command(Command::Book(
                    bookid,
                    book::Command::Reject {
                        reason: message.clone(),
                    },
                )),
            ],
            E::RefundRequested { refund_no, .. } => vec![Intent::Refund {
                refund_no: *refund_no,
            }],
            E::Cancelled { .. } => self.release(bookid),
            E::PointsAccrued { .. }
            | E::PaymentOutcomeUnknown { .. }
            | E::VoidRequested { .. }
            | E::RefundFailed { .. }
            | E::PartiallyRefunded { .. }
            | E::PointsClawedBack { .. }
            | E::LateApproval { .. }
            | E::DuplicateCharge { .. }
            | E::SurplusRefunded { .. } => vec![],
        }
    }

    fn on_space(&mut self, bookid: BookId, event: &space::Event) -> Vec<Intent> {
        use space::Event as E;
        match event {
            E::Registered { .. } => {
                self.registered = true;
                match self.stage {
                    // The money was undone while the registration was on its way.
                    Stage::Releasing => vec![cancel_registration(bookid)],
                    Stage::AwaitingRegistration => {
                        self.stage = Stage::Fulfilling;
                        vec![Intent::Command(Command::Book(
                            bookid,
                            book::Command::Confirm,
                        ))]
                    }
                    _ => vec![],
                }
            }
            E::RegistrationRefused { reason, .. } => {
                self.register_requested = false;
                match self.stage {
                    Stage::Releasing => vec![close(bookid, book::Outcome::Cancelled)],
                    Stage::Refunding => vec![],
                    _ => vec![
                        cancel_payment(bookid, self.price, "the registration was refused"),
                        Intent::Command(Command::Book(
                            bookid,
                            book::Command::Reject {
                                reason: reason.clone(),
                            },
                        )),
                    ],
                }
            }
            E::Registercancelled { .. } => vec![close(bookid, book::Outcome::Cancelled)],
            E::CheckedOut { .. } => vec![close(bookid, book::Outcome::Completed)],
            E::NoShowMarked { .. } => vec![close(bookid, book::Outcome::NoShow)],
            E::PreparationStarted { .. }
            | E::Prepared { .. }
            | E::HandedOver { .. }
            | E::CheckedIn { .. } => vec![],
        }
    }

    /// The money is undone: now the registration, if there is one or one is on its way.
    fn release(&mut self, bookid: BookId) -> Vec<Intent> {
        if !self.cancel_requested {
            return vec![];
        }
        self.stage = Stage::Releasing;
        if self.registered {
            vec![cancel_registration(bookid)]
        } else if self.register_requested {
            vec![]
        } else {
            vec![close(bookid, book::Outcome::Cancelled)]
        }
    }
}

fn cancel_payment(bookid: BookId, refund: Money, reason: &str) -> Intent {
    let reason = reason.to_owned();
    Intent::Command(Command::Payment(
        bookid,
        payment::Command::Cancel { refund, reason },
    ))
}

fn cancel_registration(bookid: BookId) -> Intent {
    let reason = "the booking was cancelled".to_owned();
    Intent::Command(Command::Space(bookid, space::Command::Cancel { reason }))
}

fn close(bookid: BookId, outcome: book::Outcome) -> Intent {
    Intent::Command(Command::Book(bookid, book::Command::Close { outcome }))
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
