//! Questions of the people of a venue.
//!
//! Each has an index that holds its rows in its order, and is asked for what comes behind a place in that order, never
//! for a page by its number: the thousandth page costs what the first does. Only bookings of more than one day are
//! looked for twice, by their first day and by their last.

mod days;
mod list;

use jiff::civil::Date;
use journal::StoreError;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};

pub use self::days::{BookedDay, LongerPart, LongerPlace, RevenueDay};
use self::days::{booked_day, longer, money, revenue_day, within_days};
use self::list::statement;
pub use self::list::{BoardFilter, BoardList, BoardPage, Place};
use super::{ReadModels, SIZE_MAX};
use crate::board::BoardRow;
use crate::projection::Row;
use crate::{booking, store};

/// A statement that is being written.
type Sql = QueryBuilder<'static, Postgres>;

impl ReadModels {
    /// A part of a list: at most `size` bookings (1 to 1,000) behind a place.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn board(
        &self,
        list: BoardList,
        filter: &BoardFilter,
        after: Option<Place>,
        size: u64,
    ) -> Result<BoardPage, StoreError> {
        let size = usize::try_from(size.clamp(1, SIZE_MAX)).unwrap_or(1);
        // One more, to know whether there are more.
        let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
        let mut sql = statement(list, filter, after, limit);
        let found = sql.build().fetch_all(self.journal.questions()).await?;
        let mut rows = rows(&found)?;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|row| list.place_of(row));
        Ok(BoardPage { rows, next })
    }

    /// The money of the bookings of these days, both included, by day of use and currency.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn revenue(
        &self,
        spacename: Option<&str>,
        from: Date,
        to: Date,
    ) -> Result<Vec<RevenueDay>, StoreError> {
        let mut sql = money(spacename, from, to);
        let rows = sql.build().fetch_all(self.journal.questions()).await?;
        rows.iter().map(revenue_day).collect()
    }

    /// What is booked of a space on these days, both included, by bookings that are of one day. Cancelled bookings are
    /// not; those nobody came to are.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn booked(
        &self,
        spacename: &str,
        from: Date,
        to: Date,
    ) -> Result<Vec<BookedDay>, StoreError> {
        let spacename = booking::short(spacename);
        let mut sql = within_days(&spacename, from.into(), to.into());
        let found = sql.build().fetch_all(self.journal.questions()).await?;
        found.iter().map(booked_day).collect()
    }

    /// The same by bookings of more than one day: a part of them, at most 1,000 behind a place.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn booked_longer(
        &self,
        spacename: &str,
        from: Date,
        to: Date,
        after: Option<LongerPlace>,
    ) -> Result<LongerPart, StoreError> {
        let spacename = booking::short(spacename);
        let limit = i64::try_from(SIZE_MAX).unwrap_or(i64::MAX);
        let mut sql = longer(&spacename, from.into(), to.into(), after, limit);
        let found = sql.build().fetch_all(self.journal.questions()).await?;
        let rows = rows(&found)?;
        // A part that is full may be the last one; then the next one is empty.
        let is_full = found.len() >= usize::try_from(SIZE_MAX).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| is_full).map(LongerPlace::of);
        Ok(LongerPart { rows, next })
    }
}

fn rows(found: &[PgRow]) -> Result<Vec<BoardRow>, StoreError> {
    let row = |row: &PgRow| {
        let cells = store::read(row, BoardRow::COLUMNS, 0)?;
        Ok(BoardRow::from_cells(cells)?)
    };
    found.iter().map(row).collect()
}
