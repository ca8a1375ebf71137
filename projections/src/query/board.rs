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
use sqlx::{Postgres, QueryBuilder, Row as _};

pub use self::days::{Booked, BookedDay, RevenueDay};
use self::days::{booked_day, longer, money, revenue_day, within_days};
use self::list::statement;
pub use self::list::{BoardFilter, BoardList, BoardPage, Place};
use super::{ReadModels, SIZE_MAX};
use crate::board::BoardRow;
use crate::day::Day;
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
        let mut sql = statement("", list, filter, after, limit);
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
        let mut sql = money("", spacename, from, to);
        let rows = sql.build().fetch_all(self.journal.questions()).await?;
        rows.iter().map(revenue_day).collect()
    }

    /// What is booked of a space on these days, both included. Cancelled bookings are not; those nobody came to are.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn booked(
        &self,
        spacename: &str,
        from: Date,
        to: Date,
    ) -> Result<Booked, StoreError> {
        let (spacename, from, to) = (booking::short(spacename), Day::from(from), Day::from(to));
        let (mut by_day, mut longer) = (
            within_days("", &spacename, from, to),
            longer("", &spacename, from, to),
        );
        let by_day = by_day.build().fetch_all(self.journal.questions()).await?;
        let longer = longer.build().fetch_all(self.journal.questions()).await?;
        Ok(Booked {
            days: by_day.iter().map(booked_day).collect::<Result<_, _>>()?,
            longer: rows(&longer)?,
        })
    }
}

/// A question about the board, for those who want to know how it is answered.
#[derive(Clone, Debug)]
pub enum BoardQuestion {
    /// Of [`ReadModels::board`].
    List(BoardList, BoardFilter, Option<Place>, u64),
    /// Of [`ReadModels::revenue`].
    Revenue(Option<String>, Date, Date),
    /// Of [`ReadModels::booked`].
    Booked(String, Date, Date),
}

impl ReadModels {
    /// How the database answers a question: its plan, with the rows that each part of it met. It is asked for that.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn plan(&self, question: &BoardQuestion) -> Result<Vec<String>, StoreError> {
        const HEAD: &str = "explain (analyze, costs off, timing off, summary off) ";
        let statements = match question {
            BoardQuestion::List(list, filter, after, size) => {
                let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
                vec![statement(HEAD, *list, filter, *after, limit)]
            }
            BoardQuestion::Revenue(spacename, from, to) => {
                vec![money(HEAD, spacename.as_deref(), *from, *to)]
            }
            BoardQuestion::Booked(spacename, from, to) => {
                let (name, from, to) =
                    (booking::short(spacename), Day::from(*from), Day::from(*to));
                vec![
                    within_days(HEAD, &name, from, to),
                    longer(HEAD, &name, from, to),
                ]
            }
        };
        let mut plan = vec![];
        for mut sql in statements {
            let lines = sql.build().fetch_all(self.journal.questions()).await?;
            for line in &lines {
                plan.push(line.try_get(0)?);
            }
        }
        Ok(plan)
    }
}

fn rows(found: &[PgRow]) -> Result<Vec<BoardRow>, StoreError> {
    let row = |row: &PgRow| {
        let cells = store::read(row, BoardRow::COLUMNS, 0)?;
        Ok(BoardRow::from_cells(cells)?)
    };
    found.iter().map(row).collect()
}
