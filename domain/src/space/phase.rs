//! How far a registration is, in the words of its resource and of all.

use super::{Space, Stage};
use crate::status::{Phase, Status};

impl Stage {
    /// The seed's status string of a registration; none where nothing is registered.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::None | Self::Refused | Self::Stopped => None,
            Self::Registered => Some(Status::SuccessRegister),
            Self::Preparing => Some(Status::Preparing),
            Self::Prepared => Some(Status::Ready),
            Self::HandedOver => Some(Status::Delivered),
            Self::CheckedIn => Some(Status::InUse),
            Self::CheckedOut => Some(Status::Completed),
            Self::NoShow => Some(Status::NoShow),
            Self::Cancelled => Some(Status::CancelRegister),
        }
    }

    /// The phase of its booking, as far as this stream tells: without a registration, nothing.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::None => Phase::Placed,
            Self::Registered => Phase::Registered,
            Self::Preparing => Phase::Preparing,
            Self::Prepared => Phase::Ready,
            Self::HandedOver => Phase::HandedOver,
            Self::CheckedIn => Phase::InUse,
            Self::CheckedOut => Phase::Completed,
            Self::NoShow => Phase::NoShow,
            Self::Refused | Self::Stopped => Phase::Cancelling,
            Self::Cancelled => Phase::Cancelled,
        }
    }
}

impl Space {
    /// The seed's status string: how far staff got, also of what a cancellation stopped.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.reached().status()
    }

    /// The phase of its booking, as far as this stream tells.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.stage.phase()
    }
}
