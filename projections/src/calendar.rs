//! The calendar: per space and day, how many bookings were made and cancelled, and what they brought.
//!
//! A day is one of UTC, and an event counts on the day on which it happened: what came in on a day, which never changes
//! afterwards. On which day a space is used, by its venue's clock, is the board's.
//!
//! Revenue is what was captured less what a cancellation gave back. A partial refund, and money that came late or twice,
//! name no space and are not in it.

use domain::{Currency, Event, Money, book, payment};
use jiff::tz::TimeZone;
use journal::Recorded;

use crate::booking;
use crate::cell::Value;
use crate::projection::{Key, Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static CALENDAR: Projection = Projection {
    name: "calendar",
    version: 1,
    tables: &[Table::state::<DayRow>(touched)],
    by_booking: false,
    fold,
};

row! {
    /// A day of a space.
    pub struct DayRow in calendar.days by (spacename, day) {
        /// Which space; a name of more than 200 letters is cut, and told apart by a fingerprint.
        pub spacename: String,
        /// Which day, as `2026-05-01`.
        pub day: String,
        /// How many bookings were made on it.
        pub bookings: i64,
        /// How many were cancelled on it.
        pub cancelled: i64,
        /// What was earned on it in won; less than nothing when more was given back.
        pub revenue_krw: i64,
        /// The same in cents of a dollar.
        pub revenue_usd: i64,
        /// The same in cents of a euro.
        pub revenue_eur: i64,
        /// The same in yen.
        pub revenue_jpy: i64,
    }
}

/// What an event adds to a day of a space.
struct Addition<'e> {
    spacename: &'e str,
    bookings: i64,
    cancelled: i64,
    revenue: Option<Money>,
}

fn addition(event: &Event) -> Option<Addition<'_>> {
    let (spacename, bookings, cancelled, revenue) = match event {
        Event::Book(book::Event::Booked { spacename, .. }) => (spacename, 1, 0, None),
        Event::Book(book::Event::Bookcancelled { spacename, .. }) => (spacename, 0, 1, None),
        Event::Payment(payment::Event::Approved {
            spacename,
            captured,
            ..
        }) => (spacename, 0, 0, Some(*captured)),
        Event::Payment(payment::Event::Cancelled {
            spacename, refund, ..
        }) => {
            let given_back = refund.with_minor(refund.minor.saturating_neg());
            (spacename, 0, 0, Some(given_back))
        }
        _ => return None,
    };
    Some(Addition {
        spacename,
        bookings,
        cancelled,
        revenue,
    })
}

fn touched(event: &Recorded) -> Option<Key> {
    let addition = addition(&event.event)?;
    Some(key(&booking::short(addition.spacename), &day(event)))
}

fn key(spacename: &String, day: &String) -> Key {
    [spacename.to_cell(), day.to_cell()].into()
}

fn day(event: &Recorded) -> String {
    booking::at(event)
        .to_zoned(TimeZone::UTC)
        .date()
        .to_string()
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let Some(addition) = addition(&event.event) else {
        return Ok(());
    };
    let (spacename, day) = (booking::short(addition.spacename), day(event));
    let key = key(&spacename, &day);
    if rows.change_if_there::<DayRow>(&key)?.is_none() {
        rows.add(DayRow {
            spacename,
            day,
            bookings: 0,
            cancelled: 0,
            revenue_krw: 0,
            revenue_usd: 0,
            revenue_eur: 0,
            revenue_jpy: 0,
        })?;
    }
    let row: &mut DayRow = rows.change(&key)?;
    row.bookings = row.bookings.saturating_add(addition.bookings);
    row.cancelled = row.cancelled.saturating_add(addition.cancelled);
    if let Some(Money { minor, currency }) = addition.revenue {
        let revenue = match currency {
            Currency::KRW => &mut row.revenue_krw,
            Currency::USD => &mut row.revenue_usd,
            Currency::EUR => &mut row.revenue_eur,
            Currency::JPY => &mut row.revenue_jpy,
        };
        *revenue = revenue.saturating_add(minor);
    }
    Ok(())
}
