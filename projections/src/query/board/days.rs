//! Sums of days: the money of bookings, and how much of a venue is booked.

use domain::{Currency, Money};
use jiff::civil::Date;
use journal::StoreError;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Sql;
use crate::board::BoardRow;
use crate::booking;
use crate::cell::{Cell, Value as _};
use crate::day::Day;
use crate::projection::Row;
use crate::query::names;

/// The phases in which a booking has given its unit back: it takes no part in how full a venue is.
const GIVEN_BACK: &str = "('payment_failed', 'expired', 'cancelling', 'refunded', 'cancelled')";

/// The money of one day in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevenueDay {
    /// The day of use.
    pub day: Day,
    /// How many bookings brought money, or are to.
    pub bookings: i64,
    /// What was captured.
    pub captured: Money,
    /// What went back.
    pub refunded: i64,
    /// What was declined and is still owed.
    pub outstanding: i64,
    /// Points that paid, less those that came back.
    pub points_spent: i64,
}

/// How much of one day is booked, without bookings of more than one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookedDay {
    /// The day.
    pub day: Day,
    /// How many bookings.
    pub bookings: i64,
    /// How many minutes of them.
    pub minutes: i64,
    /// How many nobody came to.
    pub no_shows: i64,
}

/// A part of the bookings of more than one day.
#[derive(Clone, Debug, PartialEq)]
pub struct LongerPart {
    /// The bookings, by their last day.
    pub rows: Vec<BoardRow>,
    /// Where the next part begins: behind this place. None behind the last one.
    pub next: Option<LongerPlace>,
}

/// A place among the bookings of more than one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongerPlace {
    last_day: Day,
    day: Day,
    bookid: i64,
}

impl LongerPlace {
    pub(super) fn of(row: &BoardRow) -> Self {
        Self {
            last_day: row.last_day.unwrap_or(row.day),
            day: row.day,
            bookid: row.bookid,
        }
    }
}

/// The statement for the money of some days.
pub(super) fn money(spacename: Option<&str>, from: Date, to: Date) -> Sql {
    let mut sql = Sql::new(
        "select day, currency, count(*) filter (where captured > 0) as bookings,
                sum(captured)::bigint as captured, sum(refunded)::bigint as refunded,
                sum(outstanding)::bigint as outstanding, sum(points_spent)::bigint as points_spent
         from board.bookings where day between ",
    );
    sql.push_bind(Day::from(from).number())
        .push(" and ")
        .push_bind(Day::from(to).number());
    if let Some(spacename) = spacename {
        sql.push(" and spacename = ")
            .push_bind(booking::short(spacename));
    }
    sql.push(
        " group by day, currency
          having sum(captured) <> 0 or sum(refunded) <> 0 or sum(outstanding) <> 0 or sum(points_spent) <> 0
          order by day, currency collate \"C\"",
    );
    sql
}

/// The statement for what is booked of some days by bookings of one day.
pub(super) fn within_days(spacename: &str, from: Day, to: Day) -> Sql {
    let mut sql = Sql::new(format!(
        "select day, count(*) as bookings, sum(minutes)::bigint as minutes,
                count(*) filter (where phase = 'no_show') as no_shows
         from board.bookings
         where last_day is null and phase not in {GIVEN_BACK} and spacename = "
    ));
    sql.push_bind(spacename.to_owned())
        .push(" and day between ")
        .push_bind(from.number())
        .push(" and ")
        .push_bind(to.number())
        .push(" group by day order by day");
    sql
}

/// The statement for `limit` bookings of more than one day, behind a place, in the order of their index.
pub(super) fn longer(
    spacename: &str,
    from: Day,
    to: Day,
    after: Option<LongerPlace>,
    limit: i64,
) -> Sql {
    let mut sql = Sql::new(format!(
        "select {} from board.bookings
         where phase not in {GIVEN_BACK} and spacename = ",
        names(BoardRow::COLUMNS)
    ));
    sql.push_bind(spacename.to_owned())
        .push(" and last_day >= ")
        .push_bind(from.number())
        .push(" and day <= ")
        .push_bind(to.number());
    if let Some(after) = after {
        sql.push(" and (last_day, day, bookid) > (")
            .push_bind(after.last_day.number())
            .push(", ")
            .push_bind(after.day.number())
            .push(", ")
            .push_bind(after.bookid)
            .push(")");
    }
    sql.push(" order by last_day, day, bookid limit ")
        .push_bind(limit);
    sql
}

pub(super) fn revenue_day(row: &PgRow) -> Result<RevenueDay, StoreError> {
    let currency: String = row.try_get("currency")?;
    Ok(RevenueDay {
        day: Day::numbered(row.try_get("day")?),
        bookings: row.try_get("bookings")?,
        captured: Money {
            minor: row.try_get("captured")?,
            currency: Currency::from_cell(Cell::Word(currency.into()))?,
        },
        refunded: row.try_get("refunded")?,
        outstanding: row.try_get("outstanding")?,
        points_spent: row.try_get("points_spent")?,
    })
}

pub(super) fn booked_day(row: &PgRow) -> Result<BookedDay, StoreError> {
    Ok(BookedDay {
        day: Day::numbered(row.try_get("day")?),
        bookings: row.try_get("bookings")?,
        minutes: row.try_get("minutes")?,
        no_shows: row.try_get("no_shows")?,
    })
}
