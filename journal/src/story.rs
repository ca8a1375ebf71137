//! Everything that was recorded about a booking, or because of one request: for people who ask what happened.

use sqlx::postgres::PgRow;

use crate::feed::{Stored, of_one_booking};
use crate::recover::JobRow;
use crate::{Journal, StoreError};

/// How many events a story has at most; a booking has about ten.
pub const EVENTS_MAX: i64 = 1_000;
/// How many jobs a story has at most.
const JOBS_MAX: i64 = 1_000;

/// What a story is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A booking: all streams that carry its number.
    Booking(i64),
    /// A correlation id: what one request led to, in whatever streams.
    Journey(String),
}

impl Journal {
    /// The events of a subject, in the order of positions; the first [`EVENTS_MAX`]. Those of a booking are found
    /// by the primary key. For a correlation id there is no index, because every append would pay for it: all
    /// events are looked at, within the statement time-out.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer in time.
    pub async fn story(&self, subject: &Subject) -> Result<Vec<Stored>, StoreError> {
        let query = match subject {
            Subject::Booking(bookid) => {
                sqlx::query(of_one_booking!("order by e.position limit $2"))
                    .bind(bookid.to_string())
            }
            Subject::Journey(correlation_id) => sqlx::query(
                "select * from events where metadata ->> 'correlation_id' = $1 order by position limit $2",
            )
            .bind(correlation_id),
        };
        let rows = query.bind(EVENTS_MAX).fetch_all(self.pool()).await?;
        rows.iter().map(Stored::from_row).collect()
    }

    /// The jobs of these bookings, done or not, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn jobs_of(&self, bookids: &[i64]) -> Result<Vec<JobRow>, StoreError> {
        // No index: there are as many jobs as refunds and charges that were not quick, and few remain open.
        let rows: Vec<PgRow> =
            sqlx::query("select * from jobs where bookid = any ($1) order by id limit $2")
                .bind(bookids)
                .bind(JOBS_MAX)
                .fetch_all(self.pool())
                .await?;
        rows.iter().map(JobRow::from_row).collect()
    }
}
