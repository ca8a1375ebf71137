//! Spaces: one row per booking, shown once the space is registered for it.
//!
//! As with payments, the row is made when the booking is: a registration may come when the booking is being
//! cancelled already, and its phase must say so.

use domain::{Event, Phase, Status, book, space};
use jiff::Timestamp;
use journal::Recorded;

use crate::booking;
use crate::progress;
use crate::projection::{Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static SPACES: Projection = Projection {
    name: "spaces",
    version: 1,
    tables: &[Table::state::<SpaceRow>(booking::key).shown_when("status is not null")],
    by_booking: true,
    fold,
};

row! {
    /// A registration as `/spaces` shows it.
    pub struct SpaceRow in spaces.spaces by (spaceid) {
        /// Its number; equals `bookid`.
        pub spaceid: i64,
        /// The booking.
        pub bookid: i64,
        /// For whom.
        pub userid: Option<i64>,
        /// Which space.
        pub spacename: String,
        /// The seed's status string; a booking whose space is not registered is not shown.
        pub status: Option<Status>,
        /// How far the booking is, in the words of all resources.
        pub phase: Phase,
        /// The version of the Space stream: what a command on it must expect.
        pub version: i64,
        /// When the space was registered.
        pub created_at: Timestamp,
        /// When something last happened to the booking, in whatever stream.
        pub updated_at: Timestamp,
    }
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let (bookid, at) = (booking::id(event)?, booking::at(event));
    if let Event::Book(book::Event::Booked {
        userid, spacename, ..
    }) = &event.event
    {
        return rows.add(SpaceRow {
            spaceid: bookid,
            bookid,
            userid: userid.map(|user| user.0),
            spacename: spacename.clone(),
            status: None,
            phase: Phase::Placed,
            version: 0,
            created_at: at,
            updated_at: at,
        });
    }
    let row: &mut SpaceRow = rows.change(&[bookid].into())?;
    let progress = progress::after(row.phase, &event.event);
    row.phase = progress.phase;
    row.status = progress.space.or(row.status);
    row.updated_at = row.updated_at.max(at);
    if let Event::Space(space) = &event.event {
        row.version = event.sequence;
        if matches!(space, space::Event::Registered { .. }) {
            row.created_at = at;
        }
    }
    Ok(())
}
