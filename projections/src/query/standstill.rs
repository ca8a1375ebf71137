//! Followers that do not move though there is something before them: those of read models, and the saga.
//!
//! A follower that catches up does not stand still, however far behind; one that waits at a hole, fails, is followed by
//! nobody, or never was, does, once that has lasted longer than the operator's bound. Time is the database's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use journal::StoreError;
use journal::incidents::Class;
use journal::runtime::Runtime;
use journal::status::Pace;
use metrics::{Counter, Gauge, counter, gauge};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::ReadModels;

/// How often a process looks. It does not look before that, so that its followers can take what lies there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A follower that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standstill {
    /// Which one: that of a read model has its name, a slice of another one its number (`orders/2`).
    pub follower: String,
    /// Everything up to here is taken, or parked.
    pub position: i64,
    /// For how long something has been waiting since it last moved.
    pub seconds: i64,
    /// Why, as far as that is known.
    pub reason: String,
}

impl Standstill {
    /// Whether it is a read model that does not go on.
    #[must_use]
    pub fn is_of_a_read_model(&self) -> bool {
        fills_a_read_model(&self.follower)
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            follower,
            position,
            seconds,
            reason,
        } = self;
        format!("{follower} stands still at position {position} for {seconds} s: {reason}")
    }
}

fn fills_a_read_model(follower: &str) -> bool {
    crate::by_name(follower).is_some()
}

impl ReadModels {
    /// Which live followers, by slice, have stood still for longer than `bound`, in order of name; none for a bound of
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn standstills(&self, bound: Duration) -> Result<Vec<Standstill>, StoreError> {
        self.standing(self.journal.paces().await?, bound).await
    }

    async fn standing(
        &self,
        paces: Vec<Pace>,
        bound: Duration,
    ) -> Result<Vec<Standstill>, StoreError> {
        if bound.is_zero() {
            return Ok(vec![]);
        }
        let mut found = vec![];
        for pace in paces {
            // What nobody here reads: the file says how far it is itself.
            if pace.still > bound && self.file(&pace.follower).is_none() {
                found.push(Standstill {
                    follower: pace.follower,
                    position: pace.position,
                    seconds: i64::try_from(pace.still.as_secs()).unwrap_or(i64::MAX),
                    reason: pace.reason,
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
            follower: file.projection().name.to_owned(),
            position,
            seconds,
            reason: "the file of this process is not filled; the log says why".to_owned(),
        }))
    }
}

/// Tells of standstills when they begin and when they end, as a row, a metric and a line of the log; and of how far
/// every live follower is behind, as a metric.
pub struct Watch {
    models: ReadModels,
    bound: Duration,
    /// What stood still at the last look; nothing is known of what a process before this one saw.
    standing: BTreeSet<String>,
    /// Every follower that was seen: slices come and go.
    known: BTreeSet<String>,
    looked: bool,
}

impl Watch {
    /// A watch that has not looked yet. With a bound of nothing it tells of no standstill.
    #[must_use]
    pub fn new(models: ReadModels, bound: Duration) -> Self {
        Self {
            models,
            bound,
            standing: BTreeSet::new(),
            known: crate::NAMES.map(str::to_owned).into(),
            looked: false,
        }
    }

    /// One look.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; then it has not looked.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        let paces = self.models.journal.paces().await?;
        self.show_lags(&paces);
        let now = self.models.standing(paces, self.bound).await?;
        let now: BTreeMap<_, _> = now
            .into_iter()
            .map(|standstill| (standstill.follower.clone(), standstill))
            .collect();
        for follower in &self.known {
            let seconds = now.get(follower).map_or(0, |standstill| standstill.seconds);
            standstill_seconds(follower).set(of(seconds));
        }
        for standstill in now.values() {
            if !self.standing.contains(&standstill.follower) {
                self.begins(standstill).await?;
            }
        }
        for follower in self.over(&now).await? {
            self.ends(&follower).await?;
        }
        self.looked = true;
        Ok(())
    }

    fn show_lags(&mut self, paces: &[Pace]) {
        self.known
            .extend(paces.iter().map(|pace| pace.follower.clone()));
        for follower in &self.known {
            let pace = paces.iter().find(|pace| pace.follower == *follower);
            gauge!("follower_lag_seconds", "follower" => follower.clone())
                .set(of(pace.map_or(0, |pace| pace.lag_seconds)));
        }
    }

    /// What stood still and does not: a process before this one may have left it open.
    async fn over(&self, now: &BTreeMap<String, Standstill>) -> Result<Vec<String>, StoreError> {
        let mut over: Vec<String> = self.standing.iter().cloned().collect();
        if !self.looked {
            let open = self.models.journal.going_on(Class::Standstill).await?;
            over.extend(open);
        }
        over.retain(|follower| !now.contains_key(follower));
        Ok(over)
    }

    async fn begins(&mut self, standstill: &Standstill) -> Result<(), StoreError> {
        let Standstill {
            follower,
            position,
            seconds,
            reason,
        } = standstill;
        let journal = &self.models.journal;
        journal
            .incident_begins(Class::Standstill, follower, reason)
            .await?;
        self.standing.insert(follower.clone());
        standstills_total(follower).increment(1);
        if fills_a_read_model(follower) {
            tracing::error!(
                projection = follower,
                position,
                seconds,
                reason,
                "a read model stands still"
            );
        } else {
            tracing::error!(
                follower,
                position,
                seconds,
                reason,
                "a follower stands still"
            );
        }
        Ok(())
    }

    async fn ends(&mut self, follower: &str) -> Result<(), StoreError> {
        let journal = &self.models.journal;
        journal.incident_ends(Class::Standstill, follower).await?;
        if !self.standing.remove(follower) {
            return Ok(());
        }
        if fills_a_read_model(follower) {
            tracing::info!(
                projection = follower,
                "a read model that stood still moves again"
            );
        } else {
            tracing::info!(follower, "a follower that stood still moves again");
        }
        Ok(())
    }

    /// Looks until cancelled.
    pub async fn run(mut self, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = runtime.sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "whether followers stand still is not known");
            }
        }
    }
}

fn standstill_seconds(follower: &str) -> Gauge {
    let name = follower.to_owned();
    if fills_a_read_model(follower) {
        gauge!("projection_standstill_seconds", "projection" => name)
    } else {
        gauge!("follower_standstill_seconds", "follower" => name)
    }
}

fn standstills_total(follower: &str) -> Counter {
    let name = follower.to_owned();
    if fills_a_read_model(follower) {
        counter!("projection_standstills_total", "projection" => name)
    } else {
        counter!("follower_standstills_total", "follower" => name)
    }
}

/// Seconds as a sample.
fn of(seconds: i64) -> f64 {
    f64::from(u32::try_from(seconds).unwrap_or(u32::MAX))
}
