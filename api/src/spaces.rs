//! `/spaces`: registrations of spaces for bookings, and what staff do with them. The saga registers.

pub(crate) mod staff;

use domain::space::Space;
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
            status: space.status(),
            bookid: spaceid.0,
            spaceid: spaceid.0,
            phase: space.phase(),
        }
    }
}
