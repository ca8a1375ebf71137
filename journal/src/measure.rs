//! What others want to know of the events without reading them: how many there are, how old, and up to where.
//!
//! What looks at the whole table is asked on a connection of the owner's, whose statements may take their time.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, Row};

use crate::{Journal, StoreError};

/// Up to where events were recorded by some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedBy {
    /// Position of the last one; none when nothing was recorded yet.
    pub position: Option<i64>,
    /// When the first of all was recorded, if there is one.
    pub first: Option<Timestamp>,
    /// The database's clock.
    pub now: Timestamp,
}

impl Journal {
    /// How many committed events stand behind a position, counted up to `at_most`: to count more would cost more. Asked
    /// among the questions of people ([`Journal::questions`]).
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn events_behind(&self, position: i64, at_most: i64) -> Result<i64, StoreError> {
        let behind = sqlx::query_scalar(
            "select count(*) from (select from events where position > $1 limit $2) behind",
        );
        Ok(behind
            .bind(position)
            .bind(at_most)
            .fetch_one(self.questions())
            .await?)
    }

    /// The age in seconds of the first event behind a position; none when there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn oldest_behind(&self, position: i64) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "select extract(epoch from clock_timestamp() - recorded_at)::bigint from events
             where position > $1 order by position limit 1",
        )
        .bind(position)
        .fetch_optional(self.pool())
        .await?)
    }
}

/// How many committed events there are up to a position.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn count_to(owner: &mut PgConnection, position: i64) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("select count(*) from events where position <= $1")
            .bind(position)
            .fetch_one(owner)
            .await?,
    )
}

/// The last event that was recorded by `time`, of those up to position `last`.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn recorded_by(
    owner: &mut PgConnection,
    time: Timestamp,
    last: i64,
) -> Result<RecordedBy, StoreError> {
    let row = sqlx::query(
        "select (select position from events where recorded_at <= $1 and position <= $2
                 order by position desc limit 1) as position,
                (select min(recorded_at) from events) as first,
                clock_timestamp() as now",
    )
    .bind(time.to_sqlx())
    .bind(last)
    .fetch_one(owner)
    .await?;
    let now: jiff_sqlx::Timestamp = row.try_get("now")?;
    let first: Option<jiff_sqlx::Timestamp> = row.try_get("first")?;
    Ok(RecordedBy {
        position: row.try_get("position")?,
        first: first.map(jiff_sqlx::Timestamp::to_jiff),
        now: now.to_jiff(),
    })
}
