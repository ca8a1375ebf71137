//! What is written behind the events: how far the saga had acted, slots that are held, jobs that people have in hand, and
//! the searches for late calls. Only what belongs to events of the file; all else follows from them.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::line::{Claimed, KeptJob, KeptVenue};
use crate::feed::Span;
use crate::follow::FollowerId;
use crate::jobs::payload;
use crate::{Journal, StoreError};

/// What the payload of a job says that people settled where the job comes from: the decision itself stays there.
pub(super) const RESOLVED: &str = "resolved";
/// What only the payload of a job says that searches for a call whose charge counted as not made when it ended. No event
/// has led to it, so no saga would write it again.
pub(super) const LATE_SINCE: &str = "late_since";
/// How far apart the events of one command are looked for: one statement draws their positions, beside other writers.
const COMMAND_POSITIONS_MAX: i64 = 100_000;
/// How many rows are read at a time.
pub(super) const ROWS_MAX: i64 = 1_000;

impl Journal {
    /// Up to where a follower has dealt with everything, here or where the events come from: before its
    /// checkpoint, and before what it parked.
    pub(super) async fn dealt_with(&self, follower: &FollowerId) -> Result<i64, StoreError> {
        let position: Option<i64> = sqlx::query_scalar(
            "with here as (
                 select coalesce(min(position), 0) as position from followers
                 where name = $1 and generation = $2
             )
             select least(
                 greatest(here.position, (
                     select max(i.acted_to) from imports i
                     where i.finished_at is not null and i.first_position <= here.position + 1
                 )),
                 (select min(k.position) - 1 from parked k where k.name = $1 and k.generation = $2)
             )
             from here",
        )
        .bind(&follower.name)
        .bind(follower.generation)
        .fetch_one(self.pool())
        .await?;
        Ok(position.unwrap_or(0))
    }

    /// From the first to the last event of the commands that have some on either side of a position's end.
    pub(super) async fn command_across(&self, position: i64) -> Result<Option<Span>, StoreError> {
        let row = sqlx::query(
            "select min(e.position) as first, max(l.position) as last
             from events l join events e using (command_id)
             where l.position > $1 and l.position <= $1 + $2 and e.position <= $1 and e.position > $1 - $2",
        )
        .bind(position)
        .bind(COMMAND_POSITIONS_MAX)
        .fetch_one(self.pool())
        .await?;
        let (first, last): (Option<i64>, Option<i64>) =
            (row.try_get("first")?, row.try_get("last")?);
        Ok(first.zip(last).map(|(first, last)| Span { first, last }))
    }

    /// The venues behind the one of that name, in order of their names.
    pub(super) async fn kept_venues(&self, after: &str) -> Result<Vec<KeptVenue>, StoreError> {
        let rows = sqlx::query(
            "select v.spacename, to_jsonb(v) as venue,
                    (select coalesce(jsonb_agg(to_jsonb(u) order by u.unit), '[]') from venue_units u
                     where u.spacename = v.spacename) as units,
                    (select coalesce(jsonb_agg(to_jsonb(c) order by c.version), '[]') from venue_changes c
                     where c.spacename = v.spacename) as changes
             from venues v where v.spacename collate \"C\" > $1
             order by v.spacename collate \"C\" limit $2",
        )
        .bind(after)
        .bind(ROWS_MAX)
        .fetch_all(self.pool())
        .await?;
        let read = |row: &PgRow| {
            let (Json(venue), Json(units), Json(changes)) = (
                row.try_get("venue")?,
                row.try_get("units")?,
                row.try_get("changes")?,
            );
            Ok(KeptVenue {
                spacename: row.try_get("spacename")?,
                venue,
                units,
                changes,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The claims behind `after` (the very first ones when there is none) of bookings that were placed between these
    /// positions.
    pub(super) async fn claims(
        &self,
        after: Option<&Claimed>,
        file: &RangeInclusive<i64>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query(
            "select c.bookid, c.unit, c.during::text as during from slot_claims c
             where ($1 is null or (c.bookid, c.unit, c.during) > ($1, $2, $3::tstzrange)) and exists (
                 select from events e
                 where e.aggregate_type = 'Book' and e.aggregate_id = c.bookid::text and e.sequence = 1
                   and e.position between $4 and $5
             )
             order by c.bookid, c.unit, c.during limit $6",
        )
        .bind(after.map(|claim| claim.bookid))
        .bind(after.map(|claim| claim.unit))
        .bind(after.map(|claim| &claim.during))
        .bind(file.start())
        .bind(file.end())
        .bind(ROWS_MAX)
        .fetch_all(self.pool())
        .await?;
        let read = |row: &PgRow| {
            Ok(Claimed {
                bookid: row.try_get("bookid")?,
                unit: row.try_get("unit")?,
                during: row.try_get("during")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The jobs behind row `after` that are for people, or that people have settled by hand, here or where they come
    /// from, of bookings that were placed between these positions, as was the event that led to them; and of such bookings
    /// the searches for late calls, also open ones, which need no event. Each with its row.
    pub(super) async fn jobs_of_people(
        &self,
        after: i64,
        file: &RangeInclusive<i64>,
    ) -> Result<Vec<(i64, KeptJob)>, StoreError> {
        let rows = sqlx::query(
            "select j.* from jobs j
             where j.id > $1
               and (j.state = 'attention' or j.state = 'open' and j.payload->>$6 is not null or j.state = 'done' and (
                   j.payload->>$4 is not null or exists (
                       select from decisions d where d.action = 'job.resolve' and d.subject->>'id' = j.id::text
                   )
               ))
               and exists (
                   select from events e
                   where e.aggregate_type = 'Book' and e.aggregate_id = j.bookid::text and e.sequence = 1
                     and e.position between $2 and $3
               )
               and (j.payload->>$6 is not null or exists (
                   select from events e
                   where e.aggregate_type in ('Book', 'Payment') and e.aggregate_id = j.bookid::text
                     and e.event_id::text = j.payload->>'causation_id' and e.position between $2 and $3
               ))
             order by j.id limit $5",
        )
        .bind(after)
        .bind(file.start())
        .bind(file.end())
        .bind(RESOLVED)
        .bind(ROWS_MAX)
        .bind(LATE_SINCE)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(read_job).collect()
    }
}

fn read_job(row: &PgRow) -> Result<(i64, KeptJob), StoreError> {
    let time = |name: &str| -> Result<Option<Timestamp>, sqlx::Error> {
        let time: Option<jiff_sqlx::Timestamp> = row.try_get(name)?;
        Ok(time.map(jiff_sqlx::Timestamp::to_jiff))
    };
    let job = KeptJob {
        kind: row.try_get("kind")?,
        key: row.try_get("key")?,
        bookid: row.try_get("bookid")?,
        // As people see it: a row that no worker can read must not make a file that nobody can import.
        payload: payload::shown(&payload::stored(row)?),
        state: row.try_get("state")?,
        timer: row.try_get("timer")?,
        attempts: row.try_get("attempts")?,
        last_error: row.try_get("last_error")?,
        due_at: time("due_at")?.unwrap_or_default(),
        created_at: time("created_at")?.unwrap_or_default(),
        finished_at: time("finished_at")?,
    };
    Ok((row.try_get("id")?, job))
}
