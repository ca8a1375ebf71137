//! Read your own writes: waits until a projection has taken an event, and says how far it is.

use std::time::Duration;

use journal::StoreError;
use journal::runtime::Runtime;

use super::ReadModels;
use crate::file;

/// How often a waiting reader looks without a sign that something moved: the follower may be in another process.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Up to how many events the lag is counted: whoever is behind that many is told so, and that is what counting costs.
pub const LAG_EVENTS_MAX: i64 = 10_000;

/// How far a projection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Everything up to here is in it, or parked.
    pub position: i64,
    /// Committed events behind that position, counted up to [`LAG_EVENTS_MAX`]; 0 when everything asked for is in it.
    pub lag_events: i64,
}

impl ReadModels {
    /// Waits until `projection` is at `min_position`, at most for `at_most`, and says where it is.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn wait(
        &self,
        projection: &str,
        min_position: i64,
        runtime: &dyn Runtime,
        at_most: Duration,
    ) -> Result<Freshness, StoreError> {
        // Before the first look, so that nothing moves unseen between look and wait.
        let follower = match self.file(projection) {
            Some(_) => file::FOLLOWER,
            None => projection,
        };
        let mut moves = self.journal.moved_of(follower);
        let mut over = runtime.sleep(at_most);
        loop {
            let position = self.position(projection).await?;
            if position >= min_position {
                let lag_events = 0;
                return Ok(Freshness {
                    position,
                    lag_events,
                });
            }
            tokio::select! {
                biased;
                () = &mut over => return self.freshness(projection).await,
                () = moves.moved() => {}
                () = runtime.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Where the live generation's follower is; 0 when it has taken nothing.
    async fn position(&self, projection: &str) -> Result<i64, StoreError> {
        if let Some(file) = self.file(projection) {
            return file.position().await;
        }
        let position = sqlx::query_scalar(
            "select min(f.position) from projections p join followers f using (name, generation)
             where p.name = $1 and p.state = 'live'",
        )
        .bind(projection)
        .fetch_one(self.journal.questions())
        .await?;
        Ok(Option::unwrap_or(position, 0))
    }

    /// Where it is, and how much it has before it. Its position is asked first, so that it is never said to be fresher
    /// than it is.
    async fn freshness(&self, projection: &str) -> Result<Freshness, StoreError> {
        let position = self.position(projection).await?;
        let lag_events = self.journal.events_behind(position, LAG_EVENTS_MAX).await?;
        Ok(Freshness {
            position,
            lag_events,
        })
    }
}
