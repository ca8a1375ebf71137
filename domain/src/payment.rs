//! Payment: one booking's money and the points it earns.
//!
//! The intent to charge (`PaymentRequested`) is on disk before any money moves, and an outcome that is not
//! known is never guessed: it stays open until the gateway says what happened. Money that arrives when it is
//! no longer wanted (late, or twice) is recorded and given back. All recording commands may come twice.
//!
//! A payment has one charge for the booking's price, and may have more: for a move to a time that costs more, and for
//! time past the end. Their outcomes are events of their own, so that a further charge never moves a booking. Money is
//! given back charge by charge, the latest first, because a gateway refunds a charge. Points that were spent are part
//! of the price: they come back in the same proportion as the money.
//!
//! The state is in this file, commands in `payment/command.rs`, events in `payment/event.rs`, the decisions in
//! `payment/decide.rs`, `payment/adjust.rs` and `payment/refund.rs`, and how events become state in `payment/fold.rs`.

mod adjust;
mod command;
mod decide;
mod event;
mod fold;
mod phase;
mod refund;

use std::collections::BTreeMap;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use self::command::{Command, Difference, Points};
pub use self::event::{Event, Extra, Purpose};
pub use self::phase::{GivenBack, PaymentStatus, RefundStatus};
pub use self::refund::Back;
use crate::tell;
use crate::value::{BasisPoints, BookId, Currency, Money, UserId};

/// Points earned on captured money: one percent, rounded down.
pub const POINTS_RATE: BasisPoints = BasisPoints(100);

/// The number of the charge for the booking itself.
pub const FIRST_CHARGE: u32 = 1;

/// The code of a decline that no gateway said: it knew of no such charge when every call for it must have ended.
pub const NOT_CHARGED: &str = "not-charged";

/// The key under which a gateway knows a charge; the same key is the same charge, however often it is sent.
#[must_use]
pub fn charge_key(payid: BookId, charge_no: u32) -> String {
    format!("charge:{payid}:{charge_no}")
}

/// The key under which a gateway knows a refund.
#[must_use]
pub fn refund_key(payid: BookId, refund_no: u32) -> String {
    format!("refund:{payid}:{refund_no}")
}

/// How far a payment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// No such payment.
    #[default]
    None,
    /// A charge is intended or under way.
    Requested,
    /// A charge was sent and its outcome is open.
    Unknown,
    /// Captured.
    Approved,
    /// Declined.
    Declined,
    /// Captured, and on its way back.
    Refunding,
    /// Undone.
    Cancelled,
}

/// One refund, intended or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refund {
    /// How much, in minor units.
    pub amount: Money,
    /// What it is given back for.
    pub purpose: Purpose,
    /// The charge's reference at the gateway.
    pub gateway_ref: String,
    /// Why, in words.
    pub reason: String,
    /// Whether the gateway has done it.
    pub done: bool,
}

/// One charge, intended or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// How much is asked.
    pub amount: Money,
    /// What it is for; nothing for the first one, which is for the booking.
    pub extra: Option<Extra>,
    /// What became of it.
    pub outcome: ChargeState,
}

/// What became of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChargeState {
    /// Not known yet.
    Open,
    /// Captured, under the gateway's reference.
    Approved(String),
    /// Declined, or certainly never made.
    Declined,
    /// Declined, and asked for again in a later charge.
    Replaced,
}

/// A payment's state: the fold of its events. Amounts are minor units of the price's currency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// How far it is.
    pub stage: Stage,
    payid: Option<BookId>,
    userid: Option<UserId>,
    spacename: String,
    /// What the first charge asks: the booking's price, less the points that were spent.
    price: Money,
    points_rate: BasisPoints,
    charges: BTreeMap<u32, Charge>,
    /// Set when the booking was cancelled while the outcome was open.
    void: Option<Void>,
    surplus: BTreeMap<String, i64>,
    refunds: BTreeMap<u32, Refund>,
    /// Whether a try to give money back failed, and nothing went back since.
    refund_failed: bool,
    points_earned: i64,
    points_clawed_back: i64,
    points_spent: i64,
    points_returned: i64,
}

/// A cancellation that waits for the outcome of a charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Void {
    refund: Money,
    reason: String,
}

/// Why a payment refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No payment under this number.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// The payment was requested before.
    #[error("the payment was requested already")]
    AlreadyRequested,
    /// The gateway captured something else than was asked; people must look.
    #[error("the gateway captured {captured} where {asked} was asked")]
    AmountMismatch {
        /// Minor units that were captured.
        captured: i64,
        /// Minor units that were asked.
        asked: i64,
    },
    /// A charge without a reference, under which nothing could be given back.
    #[error("the gateway's reference is missing")]
    NoReference,
    /// A reference is one charge's: refunds are sent under it, and two charges under one would share them.
    #[error("the reference {reference} is that of another charge of this payment")]
    ReferenceTaken {
        /// The gateway's reference.
        reference: String,
    },
    /// More points than the price, or less than none.
    #[error("points can pay for 0 to {price} of the price, not for {asked}")]
    PointsBeyondPrice {
        /// Points asked.
        asked: i64,
        /// The price, in minor units.
        price: i64,
    },
    /// Points were to be spent, and nobody said whose.
    #[error("points need a user")]
    PointsOfNobody,
    /// The payment is not done, so its amount cannot change.
    #[error("a payment that is {current:?} cannot be adjusted")]
    NotAdjustable {
        /// Where it is.
        current: Stage,
    },
    /// A difference between two currencies is nothing that could be charged or given back.
    #[error("it was paid in {paid}, and {asked} is asked")]
    OtherCurrency {
        /// What was paid in.
        paid: Currency,
        /// What is asked.
        asked: Currency,
    },
    /// A charge for an earlier difference has no outcome, or was declined.
    #[error("an earlier difference is not paid yet")]
    DifferenceOpen,
    /// More than there is to give back.
    #[error("only {available} can be given back")]
    NotRefundable {
        /// Minor units that can still be given back.
        available: i64,
    },
    /// No such charge or refund.
    #[error("there is no {what} number {number} on this payment")]
    NoSuchNumber {
        /// `charge` or `refund`.
        what: &'static str,
        /// The number asked for.
        number: u32,
    },
}

impl Payment {
    /// How much was asked.
    #[must_use]
    pub fn price(&self) -> Money {
        self.price
    }

    /// Who pays.
    #[must_use]
    pub fn userid(&self) -> Option<UserId> {
        self.userid
    }

    /// Which space is paid for.
    #[must_use]
    pub fn spacename(&self) -> &str {
        &self.spacename
    }

    /// The charge for the booking itself.
    #[must_use]
    pub const fn charge_no(&self) -> u32 {
        FIRST_CHARGE
    }

    /// A charge by its number.
    #[must_use]
    pub fn charge(&self, charge_no: u32) -> Option<&Charge> {
        self.charges.get(&charge_no)
    }

    /// The gateway's reference of the booking's charge, when it was approved.
    #[must_use]
    pub fn gateway_ref(&self) -> Option<&str> {
        match &self.charges.get(&FIRST_CHARGE)?.outcome {
            ChargeState::Approved(gateway_ref) => Some(gateway_ref),
            ChargeState::Open | ChargeState::Declined | ChargeState::Replaced => None,
        }
    }

    /// Whether the outcome of the booking's charge is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Requested | Stage::Unknown)
    }

    /// Whether the outcome of this charge is open.
    #[must_use]
    pub fn is_charge_open(&self, charge_no: u32) -> bool {
        let charge = self.charges.get(&charge_no);
        charge.is_some_and(|charge| charge.outcome == ChargeState::Open)
    }

    /// Whether this charge is not wanted any more: nobody sends it, and what it captures goes back.
    #[must_use]
    pub fn is_unwanted(&self, charge_no: u32) -> bool {
        if charge_no == FIRST_CHARGE {
            self.void.is_some()
        } else {
            self.stage != Stage::Approved
        }
    }

    /// Whether no charge may be sent any more, because the booking was cancelled.
    #[must_use]
    pub fn is_void_requested(&self) -> bool {
        self.void.is_some()
    }

    /// A refund by its number.
    #[must_use]
    pub fn refund(&self, refund_no: u32) -> Option<&Refund> {
        self.refunds.get(&refund_no)
    }

    /// Money the gateway holds or held for this payment, surplus included: the sum of approved charges.
    #[must_use]
    pub fn captured(&self) -> i64 {
        self.wanted_captured() + self.surplus.values().sum::<i64>()
    }

    /// What was asked beyond the booking's charge, and declined: people must see to it. Nothing when it was undone.
    #[must_use]
    pub fn outstanding(&self) -> i64 {
        if self.stage != Stage::Approved {
            return 0;
        }
        let declined = |charge: &&Charge| charge.outcome == ChargeState::Declined;
        let further = self.charges.range(FIRST_CHARGE + 1..);
        further
            .map(|(_, charge)| charge)
            .filter(declined)
            .map(|charge| charge.amount.minor)
            .sum()
    }

    /// Money given back, surplus included.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.refunds
            .values()
            .filter(|r| r.done)
            .map(|r| r.amount.minor)
            .sum()
    }

    /// Whether money is on its way back.
    #[must_use]
    pub fn is_refund_open(&self) -> bool {
        self.refunds.values().any(|refund| !refund.done)
    }

    /// Points that were spent on it, less those returned.
    #[must_use]
    pub fn points_spent(&self) -> i64 {
        self.points_spent - self.points_returned
    }

    /// Points earned less points taken back.
    #[must_use]
    pub fn points(&self) -> i64 {
        self.points_earned - self.points_clawed_back
    }
}

impl Aggregate for Payment {
    const TYPE: &'static str = "Payment";
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
        self.fold(event);
    }
}

#[cfg(test)]
#[path = "payment_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "payment_extra_tests.rs"]
mod extra_tests;

#[cfg(test)]
#[path = "payment_adjust_tests.rs"]
mod adjust_tests;
