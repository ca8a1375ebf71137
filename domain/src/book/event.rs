//! What happened to a booking.

use cqrs_es::{Aggregate, DomainEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Book, Outcome};
use crate::status::Status;
use crate::terms::{Slot, Terms};
use crate::value::{BookId, Money, UserId};
use crate::version;

/// What happened to a booking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    /// A customer booked a space.
    Booked {
        /// The booking.
        bookid: BookId,
        /// Who booked.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// `booking`.
        status: Status,
        /// The price at this moment; later price changes never alter it.
        #[serde(flatten)]
        price: Money,
        /// For when; an unscheduled booking has no time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<Slot>,
        /// What was agreed to, with a slot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terms: Option<Terms>,
        /// How long the slot is kept while nothing was paid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_until: Option<Timestamp>,
    },
    /// The customer was told to wait for the payment.
    PaymentDeferred {
        /// The booking.
        bookid: BookId,
        /// `Timeout`.
        status: Status,
        /// Why the outcome is not known.
        reason: String,
        /// Whether the charge may have reached the gateway. `false` is certain: nothing was sent.
        sent: bool,
    },
    /// Paid and registered.
    BookConfirmed {
        /// The booking.
        bookid: BookId,
        /// `success-register`.
        status: Status,
    },
    /// The booking cannot be.
    BookRejected {
        /// The booking.
        bookid: BookId,
        /// `pay-failed`.
        status: Status,
        /// Why, in words for the customer.
        reason: String,
    },
    /// The hold ran out.
    BookExpired {
        /// The booking.
        bookid: BookId,
        /// `expired`.
        status: Status,
    },
    /// The booking was moved to another time, perhaps at another price.
    Rescheduled {
        /// The booking.
        bookid: BookId,
        /// `success-register`.
        status: Status,
        /// The time that it had.
        from: Slot,
        /// The time that it has now.
        slot: Slot,
        /// The price from now on.
        #[serde(flatten)]
        price: Money,
        /// A cancellation gives back at most so much of it, in percent: what it would have given back at this moment.
        /// Moving a booking away does not bring back what was lost by waiting.
        refund_percent_max: u8,
    },
    /// The booking was cancelled; payment and registration follow.
    Bookcancelled {
        /// The booking.
        bookid: BookId,
        /// Whose booking it was.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// `cancel-booking`.
        status: Status,
        /// What is to be given back, by the policy at this moment.
        #[serde(flatten)]
        refund: Money,
        /// Why, in the canceller's words.
        reason: Option<String>,
        /// What of the price that is, in percent, where a policy decided it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refund_percent: Option<u8>,
    },
    /// The story is over.
    BookClosed {
        /// The booking.
        bookid: BookId,
        /// `cancel-register`, `completed` or `no-show`.
        status: Status,
        /// How it ended.
        outcome: Outcome,
    },
}

impl Event {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Booked { .. } => "Booked",
            Self::PaymentDeferred { .. } => "PaymentDeferred",
            Self::BookConfirmed { .. } => "BookConfirmed",
            Self::BookRejected { .. } => "BookRejected",
            Self::BookExpired { .. } => "BookExpired",
            Self::Rescheduled { .. } => "Rescheduled",
            Self::Bookcancelled { .. } => "Bookcancelled",
            Self::BookClosed { .. } => "BookClosed",
        }
    }
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        version::written(Book::TYPE, self.name())
    }
}
