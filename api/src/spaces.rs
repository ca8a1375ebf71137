//! `/spaces`: registrations of spaces for bookings. Read-only here: the saga registers, staff do the rest.

use domain::{Phase, Status};
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
