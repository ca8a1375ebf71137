//! Books: one row per booking.

use domain::{Currency, Event, Phase, Status, book};
use jiff::Timestamp;
use journal::Recorded;

use crate::booking;
use crate::progress;
use crate::projection::{Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static BOOKS: Projection = Projection {
    name: "books",
    version: 2,
    tables: &[Table::state::<BookRow>(booking::key).indexed_by(&["btree (userid, bookid)"])],
    by_booking: true,
    fold,
};

row! {
    /// A booking as `/books` shows it.
    pub struct BookRow in books.books by (bookid) {
        /// Its number.
        pub bookid: i64,
        /// Who booked.
        pub userid: Option<i64>,
        /// Which space.
        pub spacename: String,
        /// The seed's status string.
        pub status: Status,
        /// How far the booking is, in the words of all resources.
        pub phase: Phase,
        /// The price, in minor units.
        pub amount: i64,
        /// The price's currency.
        pub currency: Currency,
        /// From when it is; a booking without a time has none.
        pub starts_at: Option<Timestamp>,
        /// Up to when.
        pub ends_at: Option<Timestamp>,
        /// Which unit of its venue it has.
        pub unit: Option<i64>,
        /// The version of the Book stream: what a command on it must expect.
        pub version: i64,
        /// When it was booked.
        pub created_at: Timestamp,
        /// When something last happened to the booking, in whatever stream.
        pub updated_at: Timestamp,
    }
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let (bookid, at) = (booking::id(event)?, booking::at(event));
    if let Event::Book(book::Event::Booked {
        userid,
        spacename,
        status,
        price,
        slot,
        ..
    }) = &event.event
    {
        return rows.add(BookRow {
            bookid,
            userid: userid.map(|user| user.0),
            spacename: spacename.clone(),
            status: *status,
            phase: Phase::Placed,
            amount: price.minor,
            currency: price.currency,
            starts_at: slot.map(|slot| slot.start),
            ends_at: slot.map(|slot| slot.end),
            unit: slot.and_then(|slot| slot.unit),
            version: event.sequence,
            created_at: at,
            updated_at: at,
        });
    }
    let row: &mut BookRow = rows.change(&[bookid].into())?;
    let progress = progress::after(row.phase, &event.event);
    row.phase = progress.phase;
    row.status = progress.book.unwrap_or(row.status);
    if let Event::Book(event_of_book) = &event.event {
        row.version = event.sequence;
        if let book::Event::Rescheduled { price, slot, .. } = event_of_book {
            row.amount = price.minor;
            row.starts_at = Some(slot.start);
            row.ends_at = Some(slot.end);
            row.unit = slot.unit;
        }
    }
    row.updated_at = row.updated_at.max(at);
    Ok(())
}
