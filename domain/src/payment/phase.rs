//! How far a payment is: in the words of its resource and of all, and its two axes. Payment and refund are axes of their
//! own, because a booking can be paid and part of it be on its way back.

use super::{ChargeState, FIRST_CHARGE, Payment, Stage};
use crate::status::{Phase, Status, words};

words! {
    /// How far the payment of a booking is.
    pub enum PaymentStatus {
        /// Nothing is known of the charge yet.
        Awaiting = "awaiting",
        /// A charge was sent, and nobody knows what became of it; it is being found out.
        Unknown = "unknown",
        /// The money is captured.
        Paid = "paid",
        /// The charge was declined.
        Declined = "declined",
        /// The booking is paid, and a further charge was declined: a difference, or time past the end.
        Outstanding = "outstanding",
        /// Given up before anything was captured.
        Voided = "voided",
    }
}

words! {
    /// How far refunds of a booking are.
    pub enum RefundStatus {
        /// Nothing went back, and nothing is to.
        None = "none",
        /// Money is on its way back.
        Pending = "pending",
        /// The gateway did not give it back so far; it is tried again.
        Failed = "failed",
        /// Part of what was captured is back.
        Partial = "partial",
        /// All of it is back.
        Refunded = "refunded",
    }
}

impl PaymentStatus {
    /// The same payment where so many minor units of further charges are declined: only what is paid owes more.
    #[must_use]
    pub const fn owing(self, outstanding: i64) -> Self {
        match (self, outstanding) {
            (Self::Paid, 1..) => Self::Outstanding,
            (Self::Outstanding, ..=0) => Self::Paid,
            (Self::Awaiting, _) => Self::Awaiting,
            (Self::Unknown, _) => Self::Unknown,
            (Self::Paid, ..=0) => Self::Paid,
            (Self::Declined, _) => Self::Declined,
            (Self::Outstanding, 1..) => Self::Outstanding,
            (Self::Voided, _) => Self::Voided,
        }
    }
}

/// Where the money of a payment stands, in minor units of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// Whether a refund has no outcome yet.
    pub is_open: bool,
    /// Whether the last that was heard of one that has none is that it failed.
    pub has_failed: bool,
    /// What went back.
    pub refunded: i64,
    /// What came.
    pub captured: i64,
}

impl GivenBack {
    /// The word for it.
    #[must_use]
    pub const fn status(self) -> RefundStatus {
        match self {
            Self {
                is_open: true,
                has_failed: true,
                ..
            } => RefundStatus::Failed,
            Self {
                is_open: true,
                has_failed: false,
                ..
            } => RefundStatus::Pending,
            Self { refunded: ..=0, .. } => RefundStatus::None,
            Self {
                refunded, captured, ..
            } if refunded < captured => RefundStatus::Partial,
            Self { .. } => RefundStatus::Refunded,
        }
    }
}

impl Stage {
    /// The seed's status string of a payment; none as long as nobody knows what became of its charge.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::None | Self::Requested | Self::Unknown => None,
            Self::Approved | Self::Refunding => Some(Status::SuccessPay),
            Self::Declined => Some(Status::PayFailed),
            Self::Cancelled => Some(Status::CancelPay),
        }
    }

    /// The phase of its booking, as far as this stream tells. That the customer was told to wait, the booking says.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::None | Self::Requested | Self::Unknown => Phase::Placed,
            Self::Approved => Phase::Paid,
            Self::Declined => Phase::PaymentFailed,
            Self::Refunding => Phase::Cancelling,
            Self::Cancelled => Phase::Refunded,
        }
    }
}

impl Payment {
    /// The seed's status string of its stage.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        self.stage.status()
    }

    /// The phase of its booking, as far as this stream tells.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.stage.phase()
    }

    /// How far the payment is.
    #[must_use]
    pub fn money_status(&self) -> PaymentStatus {
        let first = self.charges.get(&FIRST_CHARGE);
        let of_the_first = match self.stage {
            Stage::None | Stage::Requested => PaymentStatus::Awaiting,
            Stage::Unknown => PaymentStatus::Unknown,
            Stage::Approved | Stage::Refunding => PaymentStatus::Paid,
            Stage::Declined => PaymentStatus::Declined,
            Stage::Cancelled => match first.map(|charge| &charge.outcome) {
                Some(ChargeState::Approved(_)) => PaymentStatus::Paid,
                Some(ChargeState::Declined | ChargeState::Replaced) => PaymentStatus::Declined,
                Some(ChargeState::Open) | None => PaymentStatus::Voided,
            },
        };
        of_the_first.owing(self.outstanding())
    }

    /// How far its refunds are.
    #[must_use]
    pub fn refund_status(&self) -> RefundStatus {
        let given_back = GivenBack {
            is_open: self.is_refund_open(),
            has_failed: self.refund_failed,
            refunded: self.refunded(),
            captured: self.captured(),
        };
        given_back.status()
    }
}
