//! A parked key tried again, because somebody asked: by its follower, under its lease, in order.
//!
//! What can be taken now is written with the checkpoint's fence as the first statement, as in any batch, and is
//! parked no longer. What still cannot stays where it is, with its new reason, and everything behind it.

use jiff::SignedDuration;

use super::{BATCH_MAX, Checkpoints, Follower, Handler, HandlerError, Lease, Step, park};
use crate::StoreError;
use crate::connections::{TRANSACTION_MAX, within};
use crate::feed::Item;

/// How long a follower leaves parked keys alone after a try that broke off.
const RETRY_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// How a try ended.
enum Tried {
    /// Written; so many of the key are still parked.
    Taken { left: i64 },
    /// Somebody discarded one of the events meanwhile: nothing was written, and the next step reads again.
    Changed,
    /// The lease was lost; nothing was written.
    Lost,
}

impl<C: Checkpoints, H: Handler<C::Connection>> Follower<H, C> {
    /// Tries one key again, if that is asked for. Costs a query, but only while something is parked.
    pub(super) async fn retry_parked(
        &mut self,
        lease: Lease,
    ) -> Result<Option<Step>, HandlerError> {
        let now = self.journal.clock().now();
        if self.retries_from.is_some_and(|from| now < from) {
            return Ok(None);
        }
        let Some(key) = self.asked_for().await? else {
            return Ok(None);
        };
        let items = self.parked_items(&key).await?;
        let rows: Vec<i64> = items.iter().map(Item::position).collect();
        let mut batch = park::Batch::sort(items, &park::Keys::default());
        loop {
            match self.take_parked(lease, &key, &rows, &batch).await {
                Ok(Tried::Taken { left }) => {
                    if left == 0 {
                        self.parked.remove(&key);
                    }
                    return Ok(Some(Step::Advanced {
                        events: batch.live.len(),
                        position: lease.position,
                    }));
                }
                Ok(Tried::Changed) => {
                    return Ok(Some(Step::Advanced {
                        events: 0,
                        position: lease.position,
                    }));
                }
                Ok(Tried::Lost) => return Ok(Some(self.lost().await)),
                Err(HandlerError::Poison { position, reason }) => {
                    batch = batch.park(position, &reason)?;
                }
                Err(HandlerError::Store(error)) if !error.is_transient() => {
                    // It would fail so every time, and nothing else would ever be taken: it stays parked.
                    let Some(first) = batch.live.first().map(|event| event.position) else {
                        return Err(error.into());
                    };
                    batch = batch.park(first, &error.to_string())?;
                }
                Err(error) => {
                    // Whatever it is, it may be of this key alone, and the others do not wait for that.
                    self.retries_from = now.checked_add(RETRY_PAUSE).ok();
                    return Err(error);
                }
            }
        }
    }

    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        if self.parked.is_empty() {
            return Ok(None);
        }
        self.checkpoints.asked_for().await
    }

    async fn parked_items(&self, key: &str) -> Result<Vec<Item>, StoreError> {
        let positions = self.checkpoints.parked_positions(key, BATCH_MAX).await?;
        self.journal.events_at(&positions).await
    }

    /// Plans and writes.
    async fn take_parked(
        &self,
        lease: Lease,
        key: &str,
        rows: &[i64],
        batch: &park::Batch,
    ) -> Result<Tried, HandlerError> {
        let plan = self.handler.plan(&batch.live).await?;
        let writing = self.write_parked(lease, key, rows, batch, plan);
        within(TRANSACTION_MAX, writing).await
    }

    async fn write_parked(
        &self,
        lease: Lease,
        key: &str,
        rows: &[i64],
        batch: &park::Batch,
        plan: H::Plan,
    ) -> Result<Tried, HandlerError> {
        let checkpoints = &self.checkpoints;
        let mut session = checkpoints.session().await?;
        let mut tx = checkpoints.begin(&mut session).await?;
        if !checkpoints.advance(&mut tx, lease, lease.position).await? {
            return Ok(Tried::Lost);
        }
        // Rows, not events: one may be read as several by now, or as none.
        let taken = rows.iter().copied().filter(|row| !batch.parks(*row));
        let positions: Vec<i64> = taken.collect();
        if !checkpoints.unpark(&mut tx, &positions).await? {
            return Ok(Tried::Changed);
        }
        checkpoints.rewrite_reasons(&mut tx, &batch.parked).await?;
        if !batch.live.is_empty() {
            self.handler.apply(&mut tx, &batch.live, plan).await?;
        }
        let stuck = !batch.parked.is_empty();
        let left = checkpoints.tried(&mut tx, key, stuck).await?;
        checkpoints.commit(tx).await?;
        self.handler.committed();
        let outcome = if stuck { "stuck" } else { "taken" };
        metrics::counter!("follower_retries_total", "follower" => checkpoints.name().to_owned(), "outcome" => outcome)
            .increment(1);
        tracing::info!(
            follower = checkpoints.name(),
            outcome,
            key,
            left,
            "a parked key was tried again"
        );
        Ok(Tried::Taken { left })
    }
}
