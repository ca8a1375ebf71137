//! How far a booking is in the words of all resources, as far as its own stream tells.

use super::{Book, Outcome, Stage};
use crate::status::Phase;

impl Outcome {
    /// The phase of a booking that ended so.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Cancelled => Phase::Cancelled,
            Self::Completed => Phase::Completed,
            Self::NoShow => Phase::NoShow,
        }
    }
}

impl Book {
    /// The phase, as far as this stream tells: what staff do, and what the gateway says, stands in the other two.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::None | Stage::Placed => Phase::Placed,
            Stage::Deferred => Phase::PaymentPending,
            Stage::Confirmed => Phase::Registered,
            Stage::Cancelling => Phase::Cancelling,
            Stage::Rejected => Phase::PaymentFailed,
            Stage::Expired => Phase::Expired,
            Stage::Closed => match self.outcome {
                Some(outcome) => outcome.phase(),
                None => Phase::Cancelled,
            },
        }
    }
}
