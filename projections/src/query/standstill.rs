//! Frozen read models: those that do not move though there is something before them.
//!
//! Whoever catches up is not frozen, however far behind; who waits at a hole, fails, or is followed by nobody is,
//! once that has lasted longer than the operator's bound. Time is the database's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::StoreError;
use journal::incidents::Class;
use journal::runtime::Runtime;
use serde::Serialize;
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::ReadModels;

/// How often a process looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A read model that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standstill {
    /// Which one.
    pub projection: String,
    /// Everything up to here is in it, or parked.
    pub position: i64,
    /// For how long something has been waiting since it last moved.
    pub seconds: i64,
    /// Why, as far as that is known.
    pub reason: String,
}

impl Standstill {
    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            projection,
            position,
            seconds,
            reason,
        } = self;
        format!("{projection} stands still at position {position} for {seconds} s: {reason}")
    }
}

impl ReadModels {
    /// Which live read models have stood still for longer than `bound`, in order of name.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn standstills(&self, bound: Duration) -> Result<Vec<Standstill>, StoreError> {
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
        .fetch_all(self.journal.pool())
        .await?;
        let mut found = vec![];
        for row in rows {
            let projection: String = row.try_get("name")?;
            // What nobody here reads: the file says how far it is itself.
            if self.file(&projection).is_none() {
                found.push(Standstill {
                    projection,
                    position: row.try_get("position")?,
                    seconds: row.try_get("seconds")?,
                    reason: row.try_get("reason")?,
                });
            }
        }
        found.extend(self.file_standstill(bound).await?);
        Ok(found)
    }

    /// My Page's file, when what is before it has waited for longer than `bound`.
    async fn file_standstill(&self, bound: Duration) -> Result<Option<Standstill>, StoreError> {
        let Some(file) = self.mypage.as_ref().filter(|file| file.is_ready()) else {
            return Ok(None);
        };
        let position = file.position().await?;
        let seconds: Option<i64> = sqlx::query_scalar(
            "select extract(epoch from clock_timestamp() - recorded_at)::bigint from events
             where position > $1 order by position limit 1",
        )
        .bind(position)
        .fetch_optional(self.journal.pool())
        .await?;
        let seconds =
            seconds.filter(|seconds| u64::try_from(*seconds).is_ok_and(|s| s > bound.as_secs()));
        Ok(seconds.map(|seconds| Standstill {
            projection: file.projection().name.to_owned(),
            position,
            seconds,
            reason: "the file of this process is not filled; the log says why".to_owned(),
        }))
    }
}

/// Tells of standstills when they begin and when they end: as a row, a metric and a line of the log.
pub struct Watch {
    models: ReadModels,
    bound: Duration,
    /// What stood still at the last look; nothing is known of what a process before this one saw.
    standing: BTreeMap<String, Standstill>,
    looked: bool,
}

impl Watch {
    /// A watch that has not looked yet.
    #[must_use]
    pub fn new(models: ReadModels, bound: Duration) -> Self {
        Self {
            models,
            bound,
            standing: BTreeMap::new(),
            looked: false,
        }
    }

    /// One look.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; then it has not looked.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        let now = self.models.standstills(self.bound).await?;
        let now: BTreeMap<_, _> = now
            .into_iter()
            .map(|standstill| (standstill.projection.clone(), standstill))
            .collect();
        let journal = &self.models.journal;
        for projection in crate::NAMES {
            let (before, now) = (self.standing.get(projection), now.get(projection));
            let seconds = now.map_or(0, |standstill| standstill.seconds);
            metrics::gauge!("projection_standstill_seconds", "projection" => projection)
                .set(f64::from(u32::try_from(seconds).unwrap_or(u32::MAX)));
            match (before, now) {
                (None, Some(standstill)) => {
                    let (class, reason) = (Class::Standstill, &standstill.reason);
                    journal.incident_begins(class, projection, reason).await?;
                    metrics::counter!("projection_standstills_total", "projection" => projection)
                        .increment(1);
                    let Standstill {
                        position, seconds, ..
                    } = standstill;
                    tracing::error!(
                        projection,
                        position,
                        seconds,
                        reason,
                        "a read model stands still"
                    );
                }
                (Some(_), None) => {
                    journal.incident_ends(Class::Standstill, projection).await?;
                    tracing::info!(projection, "a read model that stood still moves again");
                }
                // A process before this one may have left it open.
                (None, None) if !self.looked => {
                    journal.incident_ends(Class::Standstill, projection).await?;
                }
                _ => {}
            }
        }
        self.standing = now;
        self.looked = true;
        Ok(())
    }

    /// Looks until cancelled. With a bound of nothing, never.
    pub async fn run(mut self, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
        if self.bound.is_zero() {
            return;
        }
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "whether read models stand still is not known");
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = runtime.sleep(LOOK_EVERY) => {}
            }
        }
    }
}
