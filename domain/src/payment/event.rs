//! What happens to a payment: its events, as they are stored for ever.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use super::Payment;
use crate::status::Status;
use crate::value::{BasisPoints, BookId, Money, UserId};
use crate::version;

/// Why money is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The booking is undone.
    Cancellation,
    /// A manager gives part of it back.
    Partial,
    /// The money should not have come: late, or twice.
    Surplus,
}

/// What a further charge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// The booking was moved to a time that costs more.
    Difference,
    /// The customer stayed past the end.
    Overtime,
    /// Further charges that were declined are asked for again.
    Outstanding,
}

/// What happened to a payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    /// The intent to charge.
    PaymentRequested {
        /// The payment; equals `bookid`.
        payid: BookId,
        /// The booking.
        bookid: BookId,
        /// Who pays.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// How much, in minor units.
        #[serde(flatten)]
        price: Money,
        /// Which charge of this payment, from 1. Captured money is the sum of approved charges.
        charge_no: u32,
        /// The gateway's idempotency key.
        idempotency_key: String,
        /// What captured money earns, in basis points; where it does not say, one percent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        points_rate: Option<BasisPoints>,
    },
    /// Points were spent on the booking, in the same append as `PaymentRequested`, whose price is what is left.
    PointsSpent {
        /// The payment.
        payid: BookId,
        /// Who spent them.
        userid: Option<UserId>,
        /// How many; each is worth a minor unit of the price.
        points: i64,
    },
    /// Points that were spent came back: nothing was captured, or with the money.
    PointsReturned {
        /// The payment.
        payid: BookId,
        /// To whom.
        userid: Option<UserId>,
        /// How many.
        points: i64,
    },
    /// The intent to charge more: a price that rose, or time past the end.
    ChargeRequested {
        /// The payment.
        payid: BookId,
        /// Which charge of this payment, from 2.
        charge_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        price: Money,
        /// What for.
        purpose: Extra,
        /// The gateway's idempotency key.
        idempotency_key: String,
    },
    /// More money is captured.
    ChargeApproved {
        /// The payment.
        payid: BookId,
        /// Which charge.
        charge_no: u32,
        /// How much was captured.
        #[serde(flatten)]
        captured: Money,
        /// The gateway's reference.
        gateway_ref: String,
    },
    /// A charge for more was declined, or never happened: the payment stays as it was, and the amount is outstanding.
    ChargeDeclined {
        /// The payment.
        payid: BookId,
        /// Which charge.
        charge_no: u32,
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// The money is captured.
    Approved {
        /// The payment.
        payid: BookId,
        /// The booking.
        bookid: BookId,
        /// Who paid.
        userid: Option<UserId>,
        /// `success-pay`.
        status: Status,
        /// Which space.
        spacename: String,
        /// How much was captured.
        #[serde(flatten)]
        captured: Money,
        /// Which charge.
        charge_no: u32,
        /// The gateway's reference.
        gateway_ref: String,
    },
    /// Points were earned, in the same append as `Approved`.
    PointsAccrued {
        /// The payment.
        payid: BookId,
        /// Who earned them; nobody when the booking has no user.
        userid: Option<UserId>,
        /// How many.
        points: i64,
    },
    /// The gateway declined.
    PaymentDeclined {
        /// The payment.
        payid: BookId,
        /// `pay-failed`.
        status: Status,
        /// Which charge.
        charge_no: u32,
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// A charge was sent and its outcome is not known; it is being found out.
    PaymentOutcomeUnknown {
        /// The payment.
        payid: BookId,
        /// Which charge.
        charge_no: u32,
        /// Which try.
        attempt: u32,
        /// What went wrong.
        reason: String,
    },
    /// The booking was cancelled while the outcome of its charge was open: no charge is sent from now on,
    /// and what turns out to be captured goes back.
    VoidRequested {
        /// The payment.
        payid: BookId,
        /// What is to be given back if money was captured.
        #[serde(flatten)]
        refund: Money,
        /// Why, for the gateway's books.
        reason: String,
    },
    /// The intent to give money back.
    RefundRequested {
        /// The payment.
        payid: BookId,
        /// Which refund of this payment, from 1.
        refund_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        refund: Money,
        /// What it is given back for.
        purpose: Purpose,
        /// The charge's reference at the gateway.
        gateway_ref: String,
        /// The gateway's idempotency key.
        idempotency_key: String,
        /// Why, in words.
        reason: String,
    },
    /// A try to give money back failed; it is tried again.
    RefundFailed {
        /// The payment.
        payid: BookId,
        /// Which refund.
        refund_no: u32,
        /// Which try.
        attempt: u32,
        /// The gateway's code.
        code: String,
    },
    /// Part of the money is back.
    PartiallyRefunded {
        /// The payment.
        payid: BookId,
        /// Which refund.
        refund_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        refund: Money,
        /// The gateway's reference.
        refund_ref: String,
    },
    /// The payment is undone: refunded, or never charged.
    Cancelled {
        /// The payment.
        payid: BookId,
        /// The booking.
        bookid: BookId,
        /// Who had paid.
        userid: Option<UserId>,
        /// `cancel-pay`.
        status: Status,
        /// Which space.
        spacename: String,
        /// What was given back.
        #[serde(flatten)]
        refund: Money,
        /// What was kept, in the same currency.
        fee: i64,
        /// Whether nothing had been captured.
        voided: bool,
    },
    /// Points were taken back, in the same append as the refund that caused it.
    PointsClawedBack {
        /// The payment.
        payid: BookId,
        /// From whom.
        userid: Option<UserId>,
        /// How many.
        points: i64,
    },
    /// The gateway captured money after the payment had been given up.
    LateApproval {
        /// The payment.
        payid: BookId,
        /// Which charge.
        charge_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        captured: Money,
        /// The gateway's reference.
        gateway_ref: String,
    },
    /// The gateway captured money a second time.
    DuplicateCharge {
        /// The payment.
        payid: BookId,
        /// Which charge.
        charge_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        captured: Money,
        /// The gateway's reference.
        gateway_ref: String,
    },
    /// Money that should not have come is back.
    SurplusRefunded {
        /// The payment.
        payid: BookId,
        /// Which refund.
        refund_no: u32,
        /// How much, in minor units.
        #[serde(flatten)]
        refund: Money,
        /// The gateway's reference.
        refund_ref: String,
    },
}

impl Event {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PaymentRequested { .. } => "PaymentRequested",
            Self::PointsSpent { .. } => "PointsSpent",
            Self::PointsReturned { .. } => "PointsReturned",
            Self::ChargeRequested { .. } => "ChargeRequested",
            Self::ChargeApproved { .. } => "ChargeApproved",
            Self::ChargeDeclined { .. } => "ChargeDeclined",
            Self::Approved { .. } => "Approved",
            Self::PointsAccrued { .. } => "PointsAccrued",
            Self::PaymentDeclined { .. } => "PaymentDeclined",
            Self::PaymentOutcomeUnknown { .. } => "PaymentOutcomeUnknown",
            Self::VoidRequested { .. } => "VoidRequested",
            Self::RefundRequested { .. } => "RefundRequested",
            Self::RefundFailed { .. } => "RefundFailed",
            Self::PartiallyRefunded { .. } => "PartiallyRefunded",
            Self::Cancelled { .. } => "Cancelled",
            Self::PointsClawedBack { .. } => "PointsClawedBack",
            Self::LateApproval { .. } => "LateApproval",
            Self::DuplicateCharge { .. } => "DuplicateCharge",
            Self::SurplusRefunded { .. } => "SurplusRefunded",
        }
    }
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        version::written(Payment::TYPE, self.name())
    }
}
