//! The order saga: which step follows which event, as a pure function.
//!
//! One [`Order`] per booking. [`Order::react`] folds an event into the order's state and answers with
//! [`Intent`]s: commands for aggregates, and jobs for what calls the outside. It is the only issuer of the
//! commands it names, so it knows what is under way. Running intents, giving them ids and keeping the state
//! is the business of the `processes` crate.
//!
//! Late and double commands are absorbed by the aggregates, and an event that is seen again moves nothing
//! back. The saga's own guards: nothing is registered once a cancellation was seen; a cancellation waits for
//! a registration that was asked for; and a registration that can no longer be undone, because the customer
//! has the space or did not come, does not keep a cancelled booking from being closed.

mod intent;
mod timed;

use serde::{Deserialize, Serialize};

pub use self::intent::{CHARGE_JOB, Due, FIRST_CHARGE_ENDS, Intent, NO_SHOW_JOB, REFUND_JOB};
use self::timed::Timed;
use crate::payment::FIRST_CHARGE;
use crate::value::{BookId, Money};
use crate::{Command, Event, book, payment, space};

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

/// Why an order is being undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Undoing {
    /// The booking was cancelled, and waits to be closed.
    Cancelled,
    /// The hold ran out: the booking is over already.
    Expired,
}

/// What is known of an order's registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Registration {
    /// There is none: not asked for, or refused.
    #[default]
    None,
    /// Asked for.
    OnItsWay,
    /// There, and can be undone.
    Standing,
    /// There to stay: the customer has or had the space, or did not come.
    Kept,
}

/// An order's state: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// How far it is.
    pub stage: Stage,
    price: Money,
    undoing: Option<Undoing>,
    /// Whether the money is back, or was never taken.
    payment_undone: bool,
    registration: Registration,
    /// What a booking with a time needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timed: Option<Timed>,
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
            E::Booked {
                price,
                slot,
                terms,
                held_until,
                ..
            } => {
                if self.stage == Stage::None {
                    self.stage = Stage::AwaitingPayment;
                    self.price = *price;
                    self.timed = Timed::of(*slot, terms.as_ref(), *held_until);
                }
                vec![]
            }
            E::Rescheduled { slot, price, .. } => {
                self.price = *price;
                if let Some(timed) = &mut self.timed {
                    timed.slot = *slot;
                }
                vec![]
            }
            E::PaymentDeferred { sent: false, .. } if self.stage == Stage::AwaitingPayment => {
                vec![self.charge(FIRST_CHARGE, Due::Now)]
            }
            E::Bookcancelled {
                refund,
                refund_percent,
                ..
            } => {
                let percent = refund_percent.unwrap_or(100);
                let cancel = cancel_payment(bookid, *refund, percent, "the booking was cancelled");
                self.undo(bookid, Undoing::Cancelled, cancel)
            }
            E::BookExpired { .. } => {
                let cancel = cancel_payment(bookid, self.price, 100, "the booking expired");
                self.undo(bookid, Undoing::Expired, cancel)
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
                vec![self.charge(*charge_no, Due::AfterInlineCall)]
            }
            E::ChargeRequested { charge_no, .. } => vec![self.charge(*charge_no, Due::Now)],
            E::ChargeApproved { charge_no, .. } | E::ChargeDeclined { charge_no, .. } => {
                vec![settled(*charge_no)]
            }
            E::Approved {
                charge_no,
                payid,
                userid,
                spacename,
                ..
            } => {
                let register = space::Command::Register {
                    bookid,
                    approved_payid: *payid,
                    userid: *userid,
                    spacename: spacename.clone(),
                    slot: self.timed.map(|timed| timed.slot),
                    no_show_grace_minutes: self.timed.map(|timed| timed.no_show_grace_minutes),
                };
                let mut intents = vec![settled(*charge_no)];
                intents.extend(self.paid(bookid, register));
                intents
            }
            E::PaymentDeclined {
                charge_no, message, ..
            } => vec![settled(*charge_no), reject(bookid, message)],
            E::VoidRequested { .. } => vec![Intent::ChargeUnwanted {
                charge_no: FIRST_CHARGE,
            }],
            E::RefundRequested { refund_no, .. } => vec![Intent::Refund {
                refund_no: *refund_no,
            }],
            E::Cancelled { .. } => {
                self.payment_undone = true;
                match self.stage {
                    Stage::Refunding => self.release(bookid),
                    _ => vec![],
                }
            }
            E::PointsAccrued { .. }
            | E::PointsSpent { .. }
            | E::PointsReturned { .. }
            | E::PaymentOutcomeUnknown { .. }
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
            E::Registered { .. } if self.registration == Registration::OnItsWay => {
                self.registration = Registration::Standing;
                match self.stage {
                    // The money was undone while the registration was on its way.
                    Stage::Releasing => vec![cancel_registration(bookid)],
                    Stage::AwaitingRegistration => {
                        self.stage = Stage::Fulfilling;
                        let confirm = Command::Book(bookid, book::Command::Confirm);
                        let timer = self.no_show_timer();
                        [Some(Intent::Command(confirm)), timer]
                            .into_iter()
                            .flatten()
                            .collect()
                    }
                    _ => vec![],
                }
            }
            E::RegistrationMoved { .. } if self.stage == Stage::Fulfilling => {
                self.no_show_timer().into_iter().collect()
            }
            E::RegistrationRefused { reason, .. }
                if self.registration == Registration::OnItsWay =>
            {
                self.registration = Registration::None;
                match self.stage {
                    Stage::Releasing => self.end(bookid),
                    Stage::Refunding => vec![],
                    _ => vec![
                        cancel_payment(bookid, self.price, 100, "the registration was refused"),
                        reject(bookid, reason),
                    ],
                }
            }
            E::Registercancelled { .. } => self.end(bookid),
            E::HandedOver { .. } | E::CheckedIn { .. } => self.keep(bookid, None),
            E::CheckedOut {
                overtime_minutes, ..
            } => {
                let mut intents = self.keep(bookid, Some(book::Outcome::Completed));
                intents.extend(self.charge_overtime(bookid, *overtime_minutes));
                intents
            }
            E::NoShowMarked { .. } => self.keep(bookid, Some(book::Outcome::NoShow)),
            E::Registered { .. }
            | E::RegistrationMoved { .. }
            | E::FulfilmentStopped { .. }
            | E::RegistrationRefused { .. }
            | E::PreparationStarted { .. }
            | E::Prepared { .. } => vec![],
        }
    }

    /// The money is there: the space is registered, unless the booking is no longer wanted.
    fn paid(&mut self, bookid: BookId, register: space::Command) -> Option<Intent> {
        if self.undoing.is_some() {
            let reason = "the booking was cancelled";
            return Some(cancel_payment(bookid, self.price, 100, reason));
        }
        if self.stage != Stage::AwaitingPayment {
            return None;
        }
        self.stage = Stage::AwaitingRegistration;
        self.registration = Registration::OnItsWay;
        Some(Intent::Command(Command::Space(bookid, register)))
    }

    /// The booking is no longer wanted: first its money, which may have been undone before.
    fn undo(&mut self, bookid: BookId, undoing: Undoing, cancel_payment: Intent) -> Vec<Intent> {
        if self.undoing.is_some() {
            return vec![];
        }
        self.undoing = Some(undoing);
        self.stage = Stage::Refunding;
        if self.payment_undone {
            self.release(bookid)
        } else {
            vec![cancel_payment]
        }
    }

    /// The money is undone: now the registration, if there is one or one is on its way.
    fn release(&mut self, bookid: BookId) -> Vec<Intent> {
        self.stage = Stage::Releasing;
        match self.registration {
            Registration::Standing => vec![cancel_registration(bookid)],
            Registration::OnItsWay => vec![],
            Registration::None | Registration::Kept => self.end(bookid),
        }
    }

    /// The registration is there to stay; `outcome` when the rental is over with it.
    fn keep(&mut self, bookid: BookId, outcome: Option<book::Outcome>) -> Vec<Intent> {
        self.registration = Registration::Kept;
        match self.stage {
            // Undoing the registration was asked for, and came too late.
            Stage::Releasing => self.end(bookid),
            // It is closed when the money is back.
            Stage::Refunding => vec![],
            _ => outcome
                .map(|outcome| close(bookid, outcome))
                .into_iter()
                .collect(),
        }
    }

    /// Everything that could be undone is.
    fn end(&mut self, bookid: BookId) -> Vec<Intent> {
        if self.undoing == Some(Undoing::Expired) {
            self.stage = Stage::Done;
            return vec![];
        }
        vec![close(bookid, book::Outcome::Cancelled)]
    }
}

fn settled(charge_no: u32) -> Intent {
    Intent::ChargeSettled { charge_no }
}

fn reject(bookid: BookId, reason: &str) -> Intent {
    let reason = reason.to_owned();
    Intent::Command(Command::Book(bookid, book::Command::Reject { reason }))
}

fn cancel_payment(bookid: BookId, refund: Money, percent: u8, reason: &str) -> Intent {
    let reason = reason.to_owned();
    Intent::Command(Command::Payment(
        bookid,
        payment::Command::Cancel {
            refund,
            percent,
            reason,
        },
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

#[cfg(test)]
#[path = "order_slot_tests.rs"]
mod slot_tests;
