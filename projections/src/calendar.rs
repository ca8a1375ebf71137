//! The calendar: per space and day, how many bookings were made and cancelled, and what they brought.
//!
//! A day is one of UTC, and an event counts on the day on which it happened: what came in on a day, which never changes
//! afterwards. On which day a space is used, by its venue's clock, is the board's. Revenue is what was captured less what
//! went back, for whatever reason, as [`crate::money`] counts it: over all days it is what the payments hold.
//!
//! Most of what happens to money names no space. Which one a booking is of is kept beside the days.

use std::collections::BTreeMap;

use domain::{Currency, Event, book};
use jiff::tz::TimeZone;
use journal::Recorded;

use crate::booking;
use crate::cell::Value;
use crate::money::{captured, refunded};
use crate::projection::{Key, Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static CALENDAR: Projection = Projection {
    name: "calendar",
    version: 2,
    tables: &[
        Table::state::<OfSpace>(counted),
        Table::state_by_rows::<DayRow>(touched),
    ],
    by_booking: false,
    fold,
};

row! {
    /// Which space a booking is of, and what it is paid in.
    pub struct OfSpace in calendar.bookings by (bookid) {
        /// The booking.
        pub bookid: i64,
        /// Which space, as it is named on its days.
        pub spacename: String,
        /// The currency of all its amounts.
        pub currency: Currency,
    }
}

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
        /// What was captured on it in won, less what went back on it; it may be less than nothing.
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
#[derive(Default)]
struct Addition {
    bookings: i64,
    cancelled: i64,
    /// In minor units of the booking's currency.
    revenue: i64,
}

fn addition(event: &Event) -> Option<Addition> {
    let addition = match event {
        Event::Book(book::Event::Booked { .. }) => Addition {
            bookings: 1,
            ..Addition::default()
        },
        Event::Book(book::Event::Bookcancelled { .. }) => Addition {
            cancelled: 1,
            ..Addition::default()
        },
        Event::Payment(event) => {
            let revenue = captured(event).saturating_sub(refunded(event));
            if revenue == 0 {
                return None;
            }
            Addition {
                revenue,
                ..Addition::default()
            }
        }
        _ => return None,
    };
    Some(addition)
}

/// The booking of an event that adds something.
fn counted(event: &Recorded) -> Option<Key> {
    addition(&event.event)?;
    booking::key(event)
}

/// The days that a batch adds to. A booking that is made in it has no row yet.
fn touched(rows: &Rows, events: &[Recorded]) -> Vec<Key> {
    let mut made = BTreeMap::new();
    let day_of = |event: &Recorded| {
        let booking = counted(event)?;
        if let Event::Book(book::Event::Booked { spacename, .. }) = &event.event {
            made.insert(booking.clone(), booking::short(spacename));
        }
        let stored = rows.get(&booking).map(|of: &OfSpace| &of.spacename);
        let spacename = made.get(&booking).or(stored)?;
        Some(key(spacename, &day(event)))
    };
    events.iter().filter_map(day_of).collect()
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
    let bookid = booking::id(event)?;
    if let Event::Book(book::Event::Booked {
        spacename, price, ..
    }) = &event.event
    {
        rows.add(OfSpace {
            bookid,
            spacename: booking::short(spacename),
            currency: price.currency,
        })?;
    }
    let of = rows.get::<OfSpace>(&[bookid].into());
    let of = of.ok_or_else(|| Unfit(format!("booking {bookid} was never made")))?;
    let (spacename, currency) = (of.spacename.clone(), of.currency);
    add(rows, spacename, day(event), currency, &addition)
}

fn add(
    rows: &mut Rows,
    spacename: String,
    day: String,
    currency: Currency,
    addition: &Addition,
) -> Result<(), Unfit> {
    let key = key(&spacename, &day);
    if rows.get::<DayRow>(&key).is_none() {
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
    let revenue = match currency {
        Currency::KRW => &mut row.revenue_krw,
        Currency::USD => &mut row.revenue_usd,
        Currency::EUR => &mut row.revenue_eur,
        Currency::JPY => &mut row.revenue_jpy,
    };
    *revenue = revenue.saturating_add(addition.revenue);
    Ok(())
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
