//! What the journal says of itself: head, watermark, open hole, followers, jobs.

mod hole;
mod pace;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;

pub use hole::{Blocker, Hole};
pub use pace::Pace;

use crate::incidents::Incident;
use crate::transfer::Unfinished;
use crate::{Journal, StoreError};

/// What the journal says of itself, as `spacerent status --json` prints it.
///
/// Its parts are asked one after the other, head first, and are not of one snapshot: while events are stored, a follower
/// may be shown beyond the head.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The highest committed position.
    pub head: i64,
    /// Everything up to here is delivered to every live follower's feed, or proved dead.
    pub watermark: i64,
    /// Where the feed holds, if it does.
    pub hole: Option<Hole>,
    /// An import that is under way, or was interrupted: nothing else is stored, and nobody follows.
    pub import: Option<Unfinished>,
    /// Followers of live generations, one entry a name.
    pub followers: Vec<FollowerStatus>,
    /// Followers of other generations.
    pub generations: Vec<FollowerStatus>,
    /// Read models as they were at one position.
    pub as_of: Vec<AsOf>,
    /// What waits to be done outside.
    pub jobs: JobCounts,
    /// What went on or happened elsewhere: see [`crate::incidents`].
    pub incidents: Vec<Incident>,
}

/// How many incidents are shown.
const INCIDENTS_MAX: i64 = 20;

/// How far a follower is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FollowerStatus {
    /// Its name.
    pub name: String,
    /// Which generation it fills.
    pub generation: i32,
    /// The version of the fold that fills it; none of a follower that fills no read model.
    pub version: Option<i32>,
    /// Its lowest slice's position.
    pub position: i64,
    /// Committed events behind it.
    pub lag_events: i64,
    /// Age of the oldest of them, in seconds.
    pub lag_seconds: i64,
    /// `running`, `never_ran` (no process ever followed), `unowned` (nobody holds the lease), `failing` (its steps fail),
    /// `holding` (at a hole); of a generation that is not live and that nobody fills now, what it is: `building`, `kept`.
    /// A program that knows another version
    /// than [`FollowerStatus::version`] makes it `outdated`.
    pub state: String,
    /// Why it is `failing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Parked events.
    pub parked: i64,
    /// Parked keys that are tried no more by themselves.
    pub quarantined: i64,
}

/// A read model as it was at one position, kept for people to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AsOf {
    /// Which one.
    pub name: String,
    /// The schema that its tables are in.
    pub schema: String,
    /// Everything up to here is in it.
    pub position: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Jobs by what can be done about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Runnable now, or running.
    pub due: i64,
    /// Waiting for their time: a retry in back-off, or a charge whose customer still waits.
    pub waiting: i64,
    /// For people.
    pub needs_attention: i64,
    /// Dated by the business.
    pub timers: i64,
}

impl Journal {
    /// Reads everything that [`Status`] says.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let head = self.head().await?;
        let watermark = self.watermark_below(head).await?;
        let all = self.follower_status().await?;
        let (followers, generations): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, live)| *live);
        let strip = |list: Vec<(FollowerStatus, bool)>| list.into_iter().map(|(f, _)| f).collect();
        Ok(Status {
            head,
            watermark,
            hole: self.open_hole(watermark).await?,
            import: self.unfinished_import().await?,
            followers: strip(followers),
            generations: strip(generations),
            as_of: self.as_of().await?,
            jobs: self.job_counts().await?,
            incidents: self.incidents(INCIDENTS_MAX).await?,
        })
    }

    /// The position below the first hole that is not proved dead, at or above the slowest live follower.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn watermark(&self) -> Result<i64, StoreError> {
        let head = self.head().await?;
        self.watermark_below(head).await
    }

    /// The same, where the head was asked before: never above it.
    async fn watermark_below(&self, head: i64) -> Result<i64, StoreError> {
        let first_hole: Option<i64> = sqlx::query_scalar(
            "with floor as (
                 select coalesce(min(f.position), 0) as position from followers f
                 left join projections p using (name, generation)
                 where p.name is null or p.state = 'live'
             ), gaps as (
                 select e.position, lag(e.position, 1, floor.position) over (order by e.position) as before
                 from events e, floor where e.position > floor.position
             )
             select min(g.before + 1) from gaps g
             where g.position > g.before + 1
               and not exists (
                   select from dead_spans d
                   where d.first_position <= g.before + 1 and d.last_position >= g.position - 1
               )",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(first_hole.map_or(head, |first| head.min(first - 1)))
    }

    async fn follower_status(&self) -> Result<Vec<(FollowerStatus, bool)>, StoreError> {
        let rows = sqlx::query(
            "with known as (
                 select name, generation from followers
                 -- What is to be followed, and was not yet.
                 union select name, generation from projections where state = 'live'
                 union select name, generation from follower_layouts
             )
             select k.name, k.generation, coalesce(min(f.position), 0) as position,
                    count(f.name) = 0 as never_ran,
                    bool_and(f.lease_until is not null and f.lease_until > clock_timestamp()) as owned,
                    coalesce(bool_and(p.state = 'live'), true) as live,
                    min(p.version) as version,
                    min(p.state) as generation_state,
                    exists (select from open_holes h where h.follower = any (array_agg(
                        f.name || '/' || f.generation || case f.slice when 0 then '' else '/' || f.slice end
                    ))) as holding,
                    (select min(i.reason) from incidents i
                     where i.class = 'follower_failing' and i.ended_at is null
                       and i.subject = any (array_agg(f.name || '/' || f.generation || '/' || f.slice))) as failing,
                    (select count(*) from parked_tries t
                     where t.name = k.name and t.generation = k.generation and t.next_at is null) as quarantined,
                    (select count(*) from parked e where e.name = k.name and e.generation = k.generation) as parked,
                    (select count(*) from events e where e.position > coalesce(min(f.position), 0)) as lag_events,
                    coalesce((
                        select extract(epoch from clock_timestamp() - e.recorded_at)::bigint from events e
                        where e.position > coalesce(min(f.position), 0) order by e.position limit 1
                    ), 0) as lag_seconds
             from known k
             left join followers f using (name, generation)
             left join projections p using (name, generation)
             where p.state is distinct from 'gone'
             group by k.name, k.generation order by k.name, k.generation",
        )
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(read_follower).collect()
    }

    async fn as_of(&self) -> Result<Vec<AsOf>, StoreError> {
        let rows = sqlx::query(
            "select name, name || '_at_' || as_of as schema, as_of, created_at
             from projections where state = 'at' order by name, as_of",
        )
        .fetch_all(self.pool())
        .await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let created_at: jiff_sqlx::Timestamp = row.try_get("created_at")?;
            Ok(AsOf {
                name: row.try_get("name")?,
                schema: row.try_get("schema")?,
                position: row.try_get("as_of")?,
                created_at: created_at.to_jiff(),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        let row = sqlx::query(
            "select count(*) filter (where state = 'open' and not timer and due_at <= clock_timestamp()) as due,
                    count(*) filter (where state = 'open' and not timer and due_at > clock_timestamp()) as waiting,
                    count(*) filter (where state = 'attention') as needs_attention,
                    count(*) filter (where state = 'open' and timer) as timers
             from jobs where state <> 'done'",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(JobCounts {
            due: row.try_get("due")?,
            waiting: row.try_get("waiting")?,
            needs_attention: row.try_get("needs_attention")?,
            timers: row.try_get("timers")?,
        })
    }
}

fn read_follower(row: &sqlx::postgres::PgRow) -> Result<(FollowerStatus, bool), StoreError> {
    let (owned, holding): (bool, bool) = (row.try_get("owned")?, row.try_get("holding")?);
    let live: bool = row.try_get("live")?;
    let kind: Option<&str> = row.try_get("generation_state")?;
    let failing: Option<String> = row.try_get("failing")?;
    let state = match (owned, holding) {
        _ if row.try_get("never_ran")? => "never_ran",
        // Between two tries it has no lease.
        _ if failing.is_some() => "failing",
        // Nobody has to have it: it is indexed or compared, was stopped, or waits to be switched back to.
        (false, _) if !live => kind.unwrap_or("unowned"),
        (false, _) => "unowned",
        (true, true) => "holding",
        (true, false) => "running",
    };
    let status = FollowerStatus {
        name: row.try_get("name")?,
        generation: row.try_get("generation")?,
        version: row.try_get("version")?,
        position: row.try_get("position")?,
        lag_events: row.try_get("lag_events")?,
        lag_seconds: row.try_get("lag_seconds")?,
        state: state.to_owned(),
        reason: failing,
        parked: row.try_get("parked")?,
        quarantined: row.try_get("quarantined")?,
    };
    Ok((status, live))
}
