//! What a manager is shown of bookings.

use domain::payment::{PaymentStatus, RefundStatus};
use domain::{Currency, Phase, Status};
use jiff::Timestamp;
use jiff::civil::Date;
use projections::{BoardFilter, BoardRow};
use serde::Serialize;

use crate::client::Client;
use crate::hal::{Link, Links};
use crate::problem::Problem;
use crate::state::Api;

/// What a list is about, as it was understood.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) spacename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) older_than_minutes: Option<i64>,
}

impl About {
    pub(super) fn space(filter: &BoardFilter) -> Self {
        Self {
            spacename: filter.spacename.clone(),
            ..Self::default()
        }
    }

    pub(super) fn day(filter: &BoardFilter, date: Date) -> Self {
        Self {
            date: Some(date),
            ..Self::space(filter)
        }
    }

    pub(super) fn days(spacename: Option<&str>, from: Date, to: Date) -> Self {
        Self {
            spacename: spacename.map(str::to_owned),
            from: Some(from),
            to: Some(to),
            ..Self::default()
        }
    }
}

/// A part of a list.
#[derive(Serialize)]
pub(super) struct Listing<'l> {
    #[serde(flatten)]
    about: About,
    #[serde(rename = "_embedded")]
    embedded: Embedded,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    attention: Option<Attention>,
    #[serde(rename = "_links")]
    links: &'l Links,
}

#[derive(Serialize)]
struct Embedded {
    bookings: Vec<LinkedLine>,
}

/// A line with its own links.
#[derive(Serialize)]
struct LinkedLine {
    #[serde(flatten)]
    line: Line,
    #[serde(rename = "_links")]
    links: Links,
}

impl<'l> Listing<'l> {
    pub(super) fn new(
        client: &Client,
        about: About,
        rows: Vec<BoardRow>,
        links: &'l Links,
        attention: Option<Attention>,
    ) -> Self {
        let line = |row: BoardRow| {
            let page = client.address(&format!("/mypages/{}", row.bookid));
            let links = Links(vec![
                ("trace", Link::to(format!("{page}/trace"))),
                ("mypage", Link::to(page)),
            ]);
            LinkedLine {
                line: Line::from(row),
                links,
            }
        };
        Self {
            about,
            embedded: Embedded {
                bookings: rows.into_iter().map(line).collect(),
            },
            attention,
            links,
        }
    }
}

/// Declares what is written of a row: its fields as they are there, or made of those there.
macro_rules! line {
    (@of $own:expr) => { $own };
    (@of $own:expr, $made:expr) => { $made };
    (
        $(#[$about:meta])*
        struct $line:ident of $row:ident: $type:ty {
            $($(#[$says:meta])* $field:ident: $kind:ty $(= $made:expr)?,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Serialize)]
        struct $line {
            $($(#[$says])* $field: $kind,)+
        }

        impl From<$type> for $line {
            fn from($row: $type) -> Self {
                Self {
                    $($field: line!(@of $row.$field $(, $made)?),)+
                }
            }
        }
    };
}

line! {
    /// A booking. Amounts are minor units of its currency.
    struct Line of row: BoardRow {
        bookid: i64,
        userid: Option<i64>,
        spacename: String,
        unit: Option<i64>,
        /// When it was booked for; null without a time.
        start: Option<Timestamp> = row.ends_at.map(|_| row.starts_at),
        end: Option<Timestamp> = row.ends_at,
        /// The first and the last day of its use, in `timezone`.
        date: Option<Date> = row.day.date(),
        last_date: Option<Date> = row.last_day.unwrap_or(row.day).date(),
        timezone: String,
        phase: Phase,
        status: Status,
        amount: i64,
        currency: Currency,
        payment_status: PaymentStatus,
        refund_status: RefundStatus,
        captured: i64,
        refunded: i64,
        outstanding: i64,
        points_spent: i64,
        waits_for: Option<String>,
        waits_since: Timestamp,
        /// Since when money is on its way back.
        refund_since: Option<Timestamp>,
        prepared_by: Option<String>,
        handed_over_by: Option<String>,
        checked_in_at: Option<Timestamp>,
        checked_out_at: Option<Timestamp>,
        overtime_minutes: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

/// What the machinery has left to people: `spacerent jobs` and `spacerent parked` show why, and decide.
#[derive(Serialize)]
pub(super) struct Attention {
    jobs: Vec<LeftJob>,
    parked: Vec<Parked>,
}

#[derive(Serialize)]
struct LeftJob {
    id: i64,
    bookid: i64,
    kind: String,
    attempts: i32,
    since: Option<Timestamp>,
}

#[derive(Serialize)]
struct Parked {
    /// The booking, as the follower knows it.
    key: String,
    follower: String,
    event: String,
    position: i64,
    behind: i64,
    since: Timestamp,
}

impl Attention {
    /// At most so many of each.
    pub(super) async fn ask(api: &Api, size: u64) -> Result<Self, Problem> {
        let limit = i64::try_from(size).unwrap_or(i64::MAX);
        let jobs = api.journal.jobs_for_people(limit).await?;
        let parked = api.journal.parked(limit).await?;
        Ok(Self {
            jobs: jobs
                .into_iter()
                .map(|job| LeftJob {
                    id: job.id,
                    bookid: job.bookid,
                    kind: job.kind,
                    attempts: job.attempts,
                    since: job.finished_at,
                })
                .collect(),
            parked: parked
                .into_iter()
                .map(|parked| Parked {
                    key: parked.key,
                    follower: parked.name,
                    event: parked.event_type,
                    position: parked.position,
                    behind: parked.behind,
                    since: parked.parked_at,
                })
                .collect(),
        })
    }
}
