//! `/spaces`: registrations of spaces for bookings, and what staff do with them. The saga registers.

pub(crate) mod staff;

use domain::space::{Space, Stage};
use domain::{BookId, Phase, Status};
use projections::SpaceRow;

use crate::resource::{Resource, view};

view! {
    /// A registration on the wire: the seed's fields first, in its order.
    pub(crate) struct SpaceView of SpaceRow {
        /// For whom.
        userid: Option<i64>,
        /// The name of the space.
        spacename: String,
        /// How far the registration is, in the words of this resource.
        status: Option<Status>,
        /// The booking.
        bookid: i64,
        /// Its number, the booking's.
        spaceid: i64,
        /// How far the booking is, in the words of all resources.
        phase: Phase,
    }
}

impl Resource for SpaceView {
    const COLLECTION: &'static str = "spaces";
    const REL: &'static str = "space";
    const WRITABLE: &'static [&'static str] = &[];

    fn id(&self) -> i64 {
        self.spaceid
    }

    fn version(row: &SpaceRow) -> Option<i64> {
        Some(row.version)
    }
}

impl SpaceView {
    /// A registration as its own stream knows it.
    fn of(spaceid: BookId, space: &Space) -> Self {
        Self {
            userid: space.userid().map(|user| user.0),
            spacename: space.spacename().to_owned(),
            status: status(space.reached()),
            bookid: spaceid.0,
            spaceid: spaceid.0,
            phase: phase(space.stage),
        }
    }
}

/// How far a registration is, in the words of its resource.
fn status(stage: Stage) -> Option<Status> {
    match stage {
        Stage::None | Stage::Refused | Stage::Stopped => None,
        Stage::Registered => Some(Status::SuccessRegister),
        Stage::Preparing => Some(Status::Preparing),
        Stage::Prepared => Some(Status::Ready),
        Stage::HandedOver => Some(Status::Delivered),
        Stage::CheckedIn => Some(Status::InUse),
        Stage::CheckedOut => Some(Status::Completed),
        Stage::NoShow => Some(Status::NoShow),
        Stage::Cancelled => Some(Status::CancelRegister),
    }
}

/// How far its booking is, as far as the registration's own stream tells.
fn phase(stage: Stage) -> Phase {
    match stage {
        Stage::None => Phase::Paid,
        Stage::Registered => Phase::Registered,
        Stage::Preparing => Phase::Preparing,
        Stage::Prepared => Phase::Ready,
        Stage::HandedOver => Phase::HandedOver,
        Stage::CheckedIn => Phase::InUse,
        Stage::CheckedOut => Phase::Completed,
        Stage::NoShow => Phase::NoShow,
        Stage::Refused | Stage::Stopped => Phase::Cancelling,
        Stage::Cancelled => Phase::Cancelled,
    }
}
