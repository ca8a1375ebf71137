//! Frozen read models: those that do not move though there is something before them.
//!
//! A read model that catches up is not frozen, however far behind; one that waits at a hole, fails, or is followed by
//! nobody is, once that has lasted longer than the operator's bound. Time is the database's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::StoreError;
use journal::incidents::Class;
use journal::runtime::Runtime;
use serde::Serialize;
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
        let mut found = vec![];
        for stalled in self.journal.stalled(bound).await? {
            // What nobody here reads: the file says how far it is itself.
            if self.file(&stalled.projection).is_none() {
                found.push(Standstill {
                    projection: stalled.projection,
                    position: stalled.position,
                    seconds: stalled.seconds,
                    reason: stalled.reason,
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
        let seconds = self.journal.oldest_behind(position).await?;
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
