//! What others want to know of the events without reading them: how many there are, how old, and up to where.
//!
//! What looks at the whole table is asked on a connection of the owner's, whose statements may take their time.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, Row};

use crate::{Journal, StoreError};

/// A follower of a read model that answers questions, and does not move although there is something before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Which read model.
    pub projection: String,
    /// The follower's checkpoint, of several slices the lowest.
    pub position: i64,
    /// For how long, in seconds.
    pub seconds: i64,
    /// Why, as far as the tables tell.
    pub reason: String,
}

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

    /// Followers of live read models that have stood still for longer than `bound`, in order of name.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stalled(&self, bound: Duration) -> Result<Vec<Stalled>, StoreError> {
        let rows = sqlx::query(
            "with follower as (
                 select p.name, p.generation, coalesce(f.slice, 0) as slice, coalesce(f.position, 0) as position,
                        f.moved_at, f.lease_until
                 from projections p left join followers f using (name, generation) where p.state = 'live'
             )
             select distinct on (f.name) f.name, f.position,
                    extract(epoch from clock_timestamp() - greatest(f.moved_at, e.recorded_at))::bigint as seconds,
                    case
                        when i.reason is not null then 'its steps fail: ' || i.reason
                        when h.follower is not null
                            then format('the feed holds at the hole %s-%s', h.first_position, h.last_position)
                        when coalesce(f.lease_until, '-infinity') < clock_timestamp()
                            then 'nobody follows: no process with the role projections runs, or none can'
                        else 'its follower does not move'
                    end as reason
             from follower f
             cross join lateral (
                 select recorded_at from events where position > f.position order by position limit 1
             ) e
             left join open_holes h on h.follower = f.name || '/' || f.generation
             left join incidents i on i.class = 'follower_failing' and i.ended_at is null
                  and i.subject = f.name || '/' || f.generation || '/' || f.slice
             where clock_timestamp() - greatest(f.moved_at, e.recorded_at) > $1 * interval '1 second'
             order by f.name, f.position",
        )
        .bind(i64::try_from(bound.as_secs()).unwrap_or(i64::MAX))
        .fetch_all(self.pool())
        .await?;
        let read = |row: &sqlx::postgres::PgRow| {
            Ok(Stalled {
                projection: row.try_get("name")?,
                position: row.try_get("position")?,
                seconds: row.try_get("seconds")?,
                reason: row.try_get("reason")?,
            })
        };
        rows.iter().map(read).collect()
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
