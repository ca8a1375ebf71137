//! The two vocabularies of progress: the seed's status strings, one set per resource, and the canonical
//! phase that is the same on all of them.

/// An enum whose members are words on the wire and in the read models. Each word is written once: here, so that what
/// is sent, what is read and the list of all of them cannot disagree.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$what:meta])* $member:ident = $word:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$what])* #[serde(rename = $word)] $member,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$member),+];

            /// The word on the wire and in the read models.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $word,)+
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A status string of the seed's wire contract (`seed` = the Java project that this system replaces), with
    /// the additions for steps the seed did not have. The strings are fixed: other people's scripts compare them.
    pub enum Status {
        /// The booking is taken.
        Booking = "booking",
        /// Nobody knows yet whether the money moved; it is being found out.
        Timeout = "Timeout",
        /// The money is captured.
        SuccessPay = "success-pay",
        /// The payment was refused, or its booking was rejected.
        PayFailed = "pay-failed",
        /// The space is registered for the booking.
        SuccessRegister = "success-register",
        /// The same, as My Page of the seed writes it.
        Registered = "Registered",
        /// Staff are preparing the space.
        Preparing = "preparing",
        /// The space can be handed over.
        Ready = "ready",
        /// Key or code are with the customer.
        Delivered = "delivered",
        /// The customer is in the space.
        InUse = "in-use",
        /// The rental is over.
        Completed = "completed",
        /// The customer did not come.
        NoShow = "no-show",
        /// The hold ran out before it was paid.
        Expired = "expired",
        /// The customer cancelled; money and registration are being undone.
        CancelBooking = "cancel-booking",
        /// The money is back, or was never taken.
        CancelPay = "cancel-pay",
        /// The registration is undone: the cancellation is complete.
        CancelRegister = "cancel-register",
    }
}

words! {
    /// How far a booking is, in one vocabulary for all resources.
    pub enum Phase {
        /// Taken, not paid.
        Placed = "placed",
        /// Waiting for the outcome of a charge.
        PaymentPending = "payment_pending",
        /// Paid, not registered.
        Paid = "paid",
        /// The charge was declined.
        PaymentFailed = "payment_failed",
        /// The hold ran out.
        Expired = "expired",
        /// Registered with the space.
        Registered = "registered",
        /// Being prepared.
        Preparing = "preparing",
        /// Ready for hand-over.
        Ready = "ready",
        /// Handed over.
        HandedOver = "handed_over",
        /// The customer is in.
        InUse = "in_use",
        /// Over.
        Completed = "completed",
        /// The customer did not come.
        NoShow = "no_show",
        /// Cancellation under way.
        Cancelling = "cancelling",
        /// Money undone, registration not yet.
        Refunded = "refunded",
        /// Cancellation complete.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_and_the_json_agree() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }

    /// Other people's scripts compare them.
    #[test]
    fn the_strings_stay_as_they_are() {
        let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        assert_eq!(
            words.join(" "),
            "booking Timeout success-pay pay-failed success-register Registered preparing ready \
             delivered in-use completed no-show expired cancel-booking cancel-pay cancel-register"
        );
        let words: Vec<_> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
        assert_eq!(
            words.join(" "),
            "placed payment_pending paid payment_failed expired registered preparing ready \
             handed_over in_use completed no_show cancelling refunded cancelled"
        );
    }
}
