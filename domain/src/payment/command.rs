//! What can be asked of a payment.

use super::POINTS_RATE;
use crate::value::{BasisPoints, BookId, Money, UserId};

/// What can be asked of a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Intend to charge the booking's price.
    Request {
        /// The booking, which is also the payment's number.
        bookid: BookId,
        /// Who pays.
        userid: Option<UserId>,
        /// Which space; the stub gateway's fault hooks go by it.
        spacename: String,
        /// What the booking costs.
        price: Money,
        /// What points have to do with it.
        points: Points,
    },
    /// Intend to charge for time past the end (saga). Happens once.
    ChargeOvertime {
        /// How much, in minor units.
        amount: Money,
    },
    /// Charge once more for what was declined (manager or customer).
    ChargeOutstanding,
    /// The booking was moved to a time at another price; with it.
    Adjust(Difference),
    /// The gateway approved a charge.
    RecordApproval {
        /// Which charge.
        charge_no: u32,
        /// The gateway's own reference.
        gateway_ref: String,
        /// What was captured.
        captured: Money,
    },
    /// The gateway declined a charge for good.
    RecordDecline {
        /// Which charge.
        charge_no: u32,
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// A charge was sent and its outcome is not known.
    RecordUnknown {
        /// Which charge.
        charge_no: u32,
        /// Which try, from 1.
        attempt: u32,
        /// What went wrong.
        reason: String,
    },
    /// It is certain that the charge never happened and will not be sent again.
    RecordNotCharged {
        /// Which charge.
        charge_no: u32,
    },
    /// Undo the payment (saga).
    Cancel {
        /// What is to be given back, at most.
        refund: Money,
        /// What is to be given back of what was paid, in percent: a customer who has not paid everything gets a
        /// part of what was.
        percent: u8,
        /// Why, for the gateway's books.
        reason: String,
    },
    /// The gateway gave money back.
    RecordRefund {
        /// Which refund.
        refund_no: u32,
        /// The gateway's own reference.
        refund_ref: String,
    },
    /// The gateway did not give money back this time.
    RecordRefundFailure {
        /// Which refund.
        refund_no: u32,
        /// Which try, from 1.
        attempt: u32,
        /// The gateway's code.
        code: String,
    },
    /// Give part of the money back (manager).
    RefundPartially {
        /// How much, in minor units.
        amount: Money,
        /// Why, for the gateway's books.
        reason: String,
    },
}

/// What a move to another time changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the booking cost.
    pub from: Money,
    /// What earlier moves to cheaper times kept, in minor units of the price. It pays for a dearer time, as far as it
    /// is still there.
    pub kept: i64,
    /// What it costs.
    pub to: Money,
    /// What is given back of a lower price, in percent: as much as a cancellation would, or moving would be the way to
    /// cancel for nothing.
    pub refund_percent: u8,
}

/// What points have to do with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// How many are spent on it; each is worth a minor unit of the price. Whether the customer has them is found out
    /// when the payment is stored.
    pub spent: i64,
    /// What captured money earns.
    pub rate: BasisPoints,
}

impl Default for Points {
    /// None are spent, and one percent is earned.
    fn default() -> Self {
        Self {
            spent: 0,
            rate: POINTS_RATE,
        }
    }
}
