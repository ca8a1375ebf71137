//! Lists of bookings: the ways of being on one, and the statement for a part of it.

use domain::venue::SLOT_MINUTES_MAX;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use super::Sql;
use crate::board::BoardRow;
use crate::booking;
use crate::day::Day;
use crate::projection::Row;
use crate::query::names;
use domain::payment::PaymentStatus;

/// Which bookings of a list; what is `None` lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardFilter {
    /// At which space.
    pub spacename: Option<String>,
    /// Of which user.
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
    /// Those whose customer is to come on a day and has not yet, soonest first.
    Arrivals {
        /// The day of use.
        on: Date,
    },
    /// Those that have not moved since before this time, longest first: the money, the registration or the end of a
    /// cancellation does not come, or money does not get back, or a further charge was declined and is still owed.
    Stuck {
        /// Since when at least they have waited.
        since: Timestamp,
    },
}

/// A place in the order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The day, in lists by days.
    pub day: Day,
    /// The time by which the list is ordered.
    pub at: Timestamp,
    /// The booking.
    pub bookid: i64,
}

impl Place {
    /// That a row stands behind it.
    fn push_behind(self, list: BoardList, time: &str, sql: &mut Sql) {
        if list.is_by_day() {
            sql.push(" and (day, starts_at, bookid) > (")
                .push_bind(self.day.number())
                .push(", ");
        } else {
            sql.push(format!(" and ({time}, bookid) > ("));
        }
        sql.push_bind(self.at.to_sqlx())
            .push(", ")
            .push_bind(self.bookid)
            .push(")");
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardPage {
    /// The bookings, in the list's order.
    pub rows: Vec<BoardRow>,
    /// Where the next part begins: behind this place. None behind the last one.
    pub next: Option<Place>,
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

    const fn is_by_day(self) -> bool {
        matches!(self, Self::Days { .. } | Self::Arrivals { .. })
    }

    /// What a booking must be to be on it, in each way of being on it; each has an index.
    const fn ways(self) -> &'static [Way] {
        match self {
            Self::Days { .. } => &[Way::FirstDay, Way::FurtherDay],
            Self::Preparation => &[Way::ToPrepare],
            Self::Arrivals { .. } => &[Way::ToCome],
            Self::Stuck { .. } => &[Way::NotMoving, Way::GoingBack, Way::Owing],
        }
    }

    pub(super) fn place_of(self, row: &BoardRow) -> Place {
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
            _ => match self.refund_since {
                Some(since) => Some(("refund", since)),
                None if self.payment_status == PaymentStatus::Outstanding => {
                    Some(("outstanding", self.updated_at))
                }
                None => None,
            },
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
    /// By when something last happened to them. Those who owe are few: their index holds them, and is not in that order,
    /// because a row that is found by when it changed would cost every change an entry in an index.
    Owing,
}

impl Way {
    /// The time by which its rows are ordered.
    const fn time(self) -> &'static str {
        match self {
            Self::NotMoving => "waits_since",
            Self::GoingBack => "refund_since",
            Self::Owing => "updated_at",
            _ => "starts_at",
        }
    }

    /// The rows that are on a list in this way.
    fn push_from(self, list: BoardList, sql: &mut Sql) {
        if self == Self::FurtherDay {
            // Its index is not in the list's order, and reads little; the planner would rather read in order, all that
            // came before. Behind `offset` it cannot know the order.
            sql.push("(select * from board.bookings where ");
            self.push(list, sql);
            sql.push(" offset 0) as further where true");
        } else {
            sql.push("board.bookings where ");
            self.push(list, sql);
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
            Self::Owing => {
                "payment_status = 'outstanding' and refund_since is null
                 and coalesce(waits_for, '') not in ('payment', 'registration', 'cancellation')"
            }
        });
        match (self, list) {
            (Self::FurtherDay, BoardList::Days { from, .. }) => {
                // What ends after the longest booking that begins before would is of a later day altogether.
                let longest = SignedDuration::from_mins(i64::from(SLOT_MINUTES_MAX));
                let latest = from.checked_add(longest).and_then(Date::tomorrow);
                sql.push(" and last_day between ")
                    .push_bind(Day::from(from).number())
                    .push(" and ")
                    .push_bind(Day::from(latest.unwrap_or(Date::MAX)).number())
                    .push(" and day < ")
                    .push_bind(Day::from(from).number());
            }
            (_, BoardList::Days { from, to }) => {
                sql.push(" and day between ")
                    .push_bind(Day::from(from).number())
                    .push(" and ")
                    .push_bind(Day::from(to).number());
            }
            (_, BoardList::Arrivals { on }) => {
                sql.push(" and day = ").push_bind(Day::from(on).number());
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

/// The statement for `limit` rows of a list behind a place.
pub(super) fn statement(
    list: BoardList,
    filter: &BoardFilter,
    after: Option<Place>,
    limit: i64,
) -> Sql {
    let (columns, order) = (names(BoardRow::COLUMNS), list.order());
    let mut sql = Sql::new(format!("select {columns} from ("));
    for (place, way) in list.ways().iter().enumerate() {
        if place > 0 {
            sql.push(" union all ");
        }
        let time = way.time();
        sql.push(format!("(select {columns}, {time} as since from "));
        way.push_from(list, &mut sql);
        filter.push(&mut sql);
        if let Some(after) = after {
            after.push_behind(list, time, &mut sql);
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
