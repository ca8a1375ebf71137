//! The two vocabularies of progress: the seed's status strings, one set per resource, and the canonical
//! phase that is the same on all of them.

use serde::{Deserialize, Serialize};

/// A status string of the seed's wire contract (`seed` = the Java project that this system replaces), with
/// the additions for steps the seed did not have. The strings are fixed: other people's scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The booking is taken.
    Booking,
    /// Nobody knows yet whether the money moved; it is being found out.
    #[serde(rename = "Timeout")]
    Timeout,
    /// The money is captured.
    SuccessPay,
    /// The payment was refused, or its booking was rejected.
    PayFailed,
    /// The space is registered for the booking.
    SuccessRegister,
    /// The same, as My Page of the seed writes it.
    #[serde(rename = "Registered")]
    Registered,
    /// Staff are preparing the space.
    Preparing,
    /// The space can be handed over.
    Ready,
    /// Key or code are with the customer.
    Delivered,
    /// The customer is in the space.
    InUse,
    /// The rental is over.
    Completed,
    /// The customer did not come.
    NoShow,
    /// The hold ran out before it was paid.
    Expired,
    /// The customer cancelled; money and registration are being undone.
    CancelBooking,
    /// The money is back, or was never taken.
    CancelPay,
    /// The registration is undone: the cancellation is complete.
    CancelRegister,
}

impl Status {
    /// The string on the wire and in the read models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Booking => "booking",
            Self::Timeout => "Timeout",
            Self::SuccessPay => "success-pay",
            Self::PayFailed => "pay-failed",
            Self::SuccessRegister => "success-register",
            Self::Registered => "Registered",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Delivered => "delivered",
            Self::InUse => "in-use",
            Self::Completed => "completed",
            Self::NoShow => "no-show",
            Self::Expired => "expired",
            Self::CancelBooking => "cancel-booking",
            Self::CancelPay => "cancel-pay",
            Self::CancelRegister => "cancel-register",
        }
    }
}

/// How far a booking is, in one vocabulary for all resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Taken, not paid.
    Placed,
    /// Waiting for the outcome of a charge.
    PaymentPending,
    /// Paid, not registered.
    Paid,
    /// The charge was declined.
    PaymentFailed,
    /// The hold ran out.
    Expired,
    /// Registered with the space.
    Registered,
    /// Being prepared.
    Preparing,
    /// Ready for hand-over.
    Ready,
    /// Handed over.
    HandedOver,
    /// The customer is in.
    InUse,
    /// Over.
    Completed,
    /// The customer did not come.
    NoShow,
    /// Cancellation under way.
    Cancelling,
    /// Money undone, registration not yet.
    Refunded,
    /// Cancellation complete.
    Cancelled,
}

impl Phase {
    /// The string on the wire and in the read models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::PaymentPending => "payment_pending",
            Self::Paid => "paid",
            Self::PaymentFailed => "payment_failed",
            Self::Expired => "expired",
            Self::Registered => "registered",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::HandedOver => "handed_over",
            Self::InUse => "in_use",
            Self::Completed => "completed",
            Self::NoShow => "no_show",
            Self::Cancelling => "cancelling",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_and_the_json_agree() {
        for status in [
            Status::Booking,
            Status::Timeout,
            Status::SuccessPay,
            Status::PayFailed,
            Status::SuccessRegister,
            Status::Registered,
            Status::Preparing,
            Status::Ready,
            Status::Delivered,
            Status::InUse,
            Status::Completed,
            Status::NoShow,
            Status::Expired,
            Status::CancelBooking,
            Status::CancelPay,
            Status::CancelRegister,
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for phase in [
            Phase::Placed,
            Phase::PaymentPending,
            Phase::Paid,
            Phase::PaymentFailed,
            Phase::Expired,
            Phase::Registered,
            Phase::Preparing,
            Phase::Ready,
            Phase::HandedOver,
            Phase::InUse,
            Phase::Completed,
            Phase::NoShow,
            Phase::Cancelling,
            Phase::Refunded,
            Phase::Cancelled,
        ] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }
}
