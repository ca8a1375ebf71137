//! What can be asked of a booking.

use jiff::Timestamp;

use super::{Outcome, Scheduled};
use crate::payment::Difference;
use crate::terms::Slot;
use crate::value::{BookId, Money, UserId};

/// What can be asked of a booking.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Place the booking. The price is frozen here; `bookid` is given by the server.
    Place {
        /// The number that the server gave.
        bookid: BookId,
        /// Who books; the seed allows nobody.
        userid: Option<UserId>,
        /// Which space, by its name.
        spacename: String,
        /// What it costs.
        price: Money,
        /// For when; a booking without is unscheduled, as in the seed.
        scheduled: Option<Box<Scheduled>>,
    },
    /// The payment's outcome is not known yet (saga or `POST /books`).
    DeferPayment {
        /// Why it is not known.
        reason: String,
        /// Whether the charge may have reached the gateway.
        sent: bool,
    },
    /// Payment and registration stand (saga).
    Confirm,
    /// The booking cannot be: declined, or the registration was refused (saga).
    Reject {
        /// Why, for the customer.
        reason: String,
    },
    /// The hold ran out (the charge's worker, when it is certain that nobody sends the charge).
    Expire,
    /// Move a confirmed booking to another time.
    Reschedule {
        /// The time that it is moved to.
        slot: Slot,
        /// What that changes. It was reckoned from what the booking costs and gives back now; where that is not so any
        /// more, nothing is done.
        difference: Difference,
        /// Now.
        at: Timestamp,
    },
    /// The customer or a manager cancels.
    Cancel {
        /// Why, in the canceller's words.
        reason: Option<String>,
        /// Now: the policy goes by it.
        at: Timestamp,
    },
    /// The story is over (saga).
    Close {
        /// How it ended.
        outcome: Outcome,
    },
}
