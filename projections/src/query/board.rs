//! Questions of the people of a venue.
//!
//! Each has an index that holds its rows in its order, and is asked for what comes behind a place in that order, never
//! for a page by its number: the thousandth page costs what the first does. Only bookings of more than one day are
//! looked for twice, by their first day and by their last.

use domain::{Currency, Money};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use journal::StoreError;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::{ReadModels, SIZE_MAX, names};
use crate::board::{BoardRow, number};
use crate::cell::{Cell, Value as _};
use crate::projection::Row;
use crate::{booking, store};

/// The phases in which a booking has given its unit back: it takes no part in how full a venue is.
const GIVEN_BACK: &str = "('payment_failed', 'expired', 'cancelling', 'refunded', 'cancelled')";

/// Which bookings of a list; what is `None` lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardFilter {
    /// At which space.
    pub spacename: Option<String>,
    /// Whose.
    pub userid: Option<i64>,
    /// How far, in the words of the phases.
    pub phase: Option<String>,
    /// How far, in the words of My Page.
    pub status: Option<String>,
    /// How far the payment is.
    pub payment_status: Option<String>,
    /// How far refunds are.
    pub refund_status: Option<String>,
}

/// A list of bookings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardList {
    /// Those in use on one of these days, both included, by day and time.
    Days {
        /// The first.
        from: Date,
        /// The last.
        to: Date,
    },
    /// Those whose space is to be prepared, soonest first.
    Preparation,
    /// Those who are to come on a day and have not yet, soonest first.
    Arrivals {
        /// Which.
        on: Date,
    },
    /// Those that have not moved since before this time, longest first: the money, the registration or the end of a
    /// cancellation does not come, or money does not get back.
    Stuck {
        /// When.
        since: Timestamp,
    },
}

/// A place in the order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The day as a number, in lists by days.
    pub day: i64,
    /// The time by which the list is ordered.
    pub at: Timestamp,
    /// The booking.
    pub bookid: i64,
}

impl Place {
    /// Before everything.
    const FIRST: Self = Self {
        day: 0,
        at: Timestamp::UNIX_EPOCH,
        bookid: 0,
    };
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardPage {
    /// The bookings, in the list's order.
    pub rows: Vec<BoardRow>,
    /// Where the next part begins: behind this place. None behind the last one.
    pub next: Option<Place>,
}

/// The money of one day in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevenueDay {
    /// The day of use.
    pub day: i64,
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
    pub day: i64,
    /// How many bookings.
    pub bookings: i64,
    /// How many minutes of them.
    pub minutes: i64,
    /// How many nobody came to.
    pub no_shows: i64,
}

/// What is booked of a venue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Booked {
    /// By day.
    pub days: Vec<BookedDay>,
    /// Bookings of more than one day.
    pub longer: Vec<BoardRow>,
}

impl BoardList {
    /// The columns by which it is ordered.
    const fn order(self) -> &'static str {
        match self {
            Self::Days { .. } | Self::Arrivals { .. } => "day, starts_at, bookid",
            Self::Preparation => "starts_at, bookid",
            Self::Stuck { .. } => "since, bookid",
        }
    }

    /// What a booking must be to be on it, in each way of being on it; each has an index.
    const fn ways(self) -> &'static [Way] {
        match self {
            Self::Days { .. } => &[Way::FirstDay, Way::FurtherDay],
            Self::Preparation => &[Way::ToPrepare],
            Self::Arrivals { .. } => &[Way::ToCome],
            Self::Stuck { .. } => &[Way::NotMoving, Way::GoingBack],
        }
    }

    fn place_of(self, row: &BoardRow) -> Place {
        let at = match self {
            Self::Stuck { .. } => row.stuck().map_or(row.waits_since, |(_, since)| since),
            _ => row.starts_at,
        };
        Place {
            day: row.day,
            at,
            bookid: row.bookid,
        }
    }
}

impl BoardRow {
    /// What does not come, and since when; nothing for a booking that waits for nobody but its people.
    #[must_use]
    pub fn stuck(&self) -> Option<(&str, Timestamp)> {
        match self.waits_for.as_deref() {
            Some(what @ ("payment" | "registration" | "cancellation")) => {
                Some((what, self.waits_since))
            }
            _ => self.refund_since.map(|since| ("refund", since)),
        }
    }
}

/// A way of being on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FirstDay,
    FurtherDay,
    ToPrepare,
    ToCome,
    NotMoving,
    GoingBack,
}

type Sql = QueryBuilder<'static, Postgres>;

impl Way {
    /// The time by which its rows are ordered.
    const fn time(self) -> &'static str {
        match self {
            Self::NotMoving => "waits_since",
            Self::GoingBack => "refund_since",
            _ => "starts_at",
        }
    }

    /// Conditions stand as the index says them, where it holds some rows only.
    fn push(self, list: BoardList, sql: &mut Sql) {
        sql.push(match self {
            Self::FirstDay | Self::FurtherDay => "true",
            Self::ToPrepare => "waits_for = 'preparation'",
            Self::ToCome => "waits_for in ('preparation', 'arrival')",
            Self::NotMoving => "waits_for in ('payment', 'registration', 'cancellation')",
            Self::GoingBack => {
                "refund_since is not null
                 and coalesce(waits_for, '') not in ('payment', 'registration', 'cancellation')"
            }
        });
        match (self, list) {
            (Self::FurtherDay, BoardList::Days { from, .. }) => {
                sql.push(" and last_day is not null and last_day >= ")
                    .push_bind(number(from))
                    .push(" and day < ")
                    .push_bind(number(from));
            }
            (_, BoardList::Days { from, to }) => {
                sql.push(" and day between ")
                    .push_bind(number(from))
                    .push(" and ")
                    .push_bind(number(to));
            }
            (_, BoardList::Arrivals { on }) => {
                sql.push(" and day = ").push_bind(number(on));
            }
            (way, BoardList::Stuck { since }) => {
                sql.push(format!(" and {} < ", way.time()))
                    .push_bind(since.to_sqlx());
            }
            (_, BoardList::Preparation) => {}
        }
    }
}

impl BoardFilter {
    fn push(&self, sql: &mut Sql) {
        if let Some(spacename) = &self.spacename {
            sql.push(" and spacename = ")
                .push_bind(booking::short(spacename));
        }
        if let Some(userid) = self.userid {
            sql.push(" and userid = ").push_bind(userid);
        }
        for (column, word) in [
            ("phase", &self.phase),
            ("status", &self.status),
            ("payment_status", &self.payment_status),
            ("refund_status", &self.refund_status),
        ] {
            if let Some(word) = word {
                sql.push(format!(" and {column} = "))
                    .push_bind(word.clone());
            }
        }
    }
}

/// The statement for `limit` rows of a list behind a place; `head` stands before it.
fn statement(
    head: &str,
    list: BoardList,
    filter: &BoardFilter,
    after: Option<Place>,
    limit: i64,
) -> Sql {
    let (columns, order) = (names(BoardRow::COLUMNS), list.order());
    let mut sql = Sql::new(format!("{head}select {columns} from ("));
    for (place, way) in list.ways().iter().enumerate() {
        if place > 0 {
            sql.push(" union all ");
        }
        let time = way.time();
        sql.push(format!(
            "(select {columns}, {time} as since from board.bookings where "
        ));
        way.push(list, &mut sql);
        filter.push(&mut sql);
        let Place { day, at, bookid } = after.unwrap_or(Place::FIRST);
        if after.is_some() {
            if order.starts_with("day") {
                sql.push(" and (day, starts_at, bookid) > (")
                    .push_bind(day)
                    .push(", ");
            } else {
                sql.push(format!(" and ({time}, bookid) > ("));
            }
            sql.push_bind(at.to_sqlx())
                .push(", ")
                .push_bind(bookid)
                .push(")");
        }
        let order = order.replace("since", time);
        sql.push(format!(" order by {order} limit "))
            .push_bind(limit)
            .push(")");
    }
    sql.push(format!(") as found order by {order} limit "))
        .push_bind(limit);
    sql
}

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
        let found = sql.build().fetch_all(self.journal.pool()).await?;
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
        let rows = sql.build().fetch_all(self.journal.pool()).await?;
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
        let (spacename, from, to) = (booking::short(spacename), number(from), number(to));
        let (mut by_day, mut longer) = (
            within_days("", &spacename, from, to),
            longer("", &spacename, from, to),
        );
        let by_day = by_day.build().fetch_all(self.journal.pool()).await?;
        let longer = longer.build().fetch_all(self.journal.pool()).await?;
        Ok(Booked {
            days: by_day.iter().map(booked_day).collect::<Result<_, _>>()?,
            longer: rows(&longer)?,
        })
    }
}

/// The statement for the money of some days.
fn money(head: &str, spacename: Option<&str>, from: Date, to: Date) -> Sql {
    let mut sql = Sql::new(format!(
        "{head}select day, currency, count(*) filter (where captured > 0) as bookings,
                sum(captured)::bigint as captured, sum(refunded)::bigint as refunded,
                sum(outstanding)::bigint as outstanding, sum(points_spent)::bigint as points_spent
         from board.bookings where day between "
    ));
    sql.push_bind(number(from))
        .push(" and ")
        .push_bind(number(to));
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
fn within_days(head: &str, spacename: &str, from: i64, to: i64) -> Sql {
    let mut sql = Sql::new(format!(
        "{head}select day, count(*) as bookings, sum(minutes)::bigint as minutes,
                count(*) filter (where phase = 'no_show') as no_shows
         from board.bookings
         where last_day is null and phase not in {GIVEN_BACK} and spacename = "
    ));
    sql.push_bind(spacename.to_owned())
        .push(" and day between ")
        .push_bind(from)
        .push(" and ")
        .push_bind(to)
        .push(" group by day order by day");
    sql
}

/// The statement for bookings of more than one day.
fn longer(head: &str, spacename: &str, from: i64, to: i64) -> Sql {
    let mut sql = Sql::new(format!(
        "{head}select {} from board.bookings
         where last_day is not null and phase not in {GIVEN_BACK} and spacename = ",
        names(BoardRow::COLUMNS)
    ));
    sql.push_bind(spacename.to_owned())
        .push(" and last_day >= ")
        .push_bind(from)
        .push(" and day <= ")
        .push_bind(to)
        .push(" order by day, starts_at, bookid");
    sql
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
                let (name, from, to) = (booking::short(spacename), number(*from), number(*to));
                vec![
                    within_days(HEAD, &name, from, to),
                    longer(HEAD, &name, from, to),
                ]
            }
        };
        let mut plan = vec![];
        for mut sql in statements {
            let lines = sql.build().fetch_all(self.journal.pool()).await?;
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

fn revenue_day(row: &PgRow) -> Result<RevenueDay, StoreError> {
    let currency: String = row.try_get("currency")?;
    Ok(RevenueDay {
        day: row.try_get("day")?,
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

fn booked_day(row: &PgRow) -> Result<BookedDay, StoreError> {
    Ok(BookedDay {
        day: row.try_get("day")?,
        bookings: row.try_get("bookings")?,
        minutes: row.try_get("minutes")?,
        no_shows: row.try_get("no_shows")?,
    })
}
