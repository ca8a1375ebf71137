//! A parked key tried again, because somebody asked: by its follower, under its lease, in order.
//!
//! What can be taken now is written with the checkpoint's fence as the first statement, as in any batch, and is
//! parked no longer. What still cannot stays where it is, with its new reason, and everything behind it.

use sqlx::{PgConnection, Row};

use super::{BATCH_MAX, Follower, Handler, HandlerError, Lease, Step, park};
use crate::connections::{TRANSACTION_MAX, within};
use crate::feed::Item;
use crate::{Session, StoreError};

/// How a try ended.
enum Tried {
    /// Written; so many of the key are still parked.
    Taken { left: i64 },
    /// Somebody discarded one of the events meanwhile: nothing was written, and the next step reads again.
    Changed,
    /// The lease was lost; nothing was written.
    Lost,
}

impl<H: Handler> Follower<H> {
    /// Tries one key again, if that is asked for. Costs a query, but only while something is parked.
    pub(super) async fn retry_parked(
        &mut self,
        lease: Lease,
    ) -> Result<Option<Step>, HandlerError> {
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
                Ok(Tried::Lost) => return Ok(Some(self.lost())),
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
                Err(error) => return Err(error),
            }
        }
    }

    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        if self.parked.is_empty() {
            return Ok(None);
        }
        Ok(sqlx::query_scalar(
            "select key from parked_retries where name = $1 and generation = $2 order by asked_at limit 1",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .fetch_optional(self.journal.pool())
        .await?)
    }

    async fn parked_items(&self, key: &str) -> Result<Vec<Item>, StoreError> {
        let positions: Vec<i64> = sqlx::query_scalar(
            "select position from parked where name = $1 and generation = $2 and key = $3
             order by position limit $4",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(key)
        .bind(BATCH_MAX)
        .fetch_all(self.journal.pool())
        .await?;
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
        let mut session = Session::open(self.journal.pool()).await?;
        let mut tx = session.begin().await?;
        if !self.hand().advance(&mut *tx, lease, lease.position).await? {
            return Ok(Tried::Lost);
        }
        if !self.unpark(&mut tx, rows, batch).await? {
            return Ok(Tried::Changed);
        }
        batch.rewrite_reasons(&mut tx, &self.id).await?;
        if !batch.live.is_empty() {
            self.handler.apply(&mut tx, &batch.live, plan).await?;
        }
        let left = self.tried(&mut tx, key, batch.has_parked()).await?;
        tx.commit().await?;
        Ok(Tried::Taken { left })
    }

    /// Takes what is about to be written out of the table; false when it is not all there any more.
    async fn unpark(
        &self,
        tx: &mut PgConnection,
        rows: &[i64],
        batch: &park::Batch,
    ) -> Result<bool, StoreError> {
        // Rows, not events: one may be read as several by now, or as none.
        let taken = rows.iter().copied().filter(|row| !batch.parks(*row));
        let positions: Vec<i64> = taken.collect();
        let gone = sqlx::query(
            "delete from parked where name = $1 and generation = $2 and position = any ($3)",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(&positions)
        .execute(tx)
        .await?;
        Ok(gone.rows_affected() == positions.len() as u64)
    }

    /// The key was tried: the request goes, unless there were more events than one batch takes.
    async fn tried(
        &self,
        tx: &mut PgConnection,
        key: &str,
        stuck: bool,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "select count(*) as left from parked where name = $1 and generation = $2 and key = $3",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(key)
        .fetch_one(&mut *tx)
        .await?;
        let left: i64 = row.try_get("left")?;
        if stuck || left == 0 {
            sqlx::query(
                "delete from parked_retries where name = $1 and generation = $2 and key = $3",
            )
            .bind(&self.id.name)
            .bind(self.id.generation)
            .bind(key)
            .execute(tx)
            .await?;
        }
        tracing::info!(
            follower = self.id.name,
            key,
            left,
            "a parked key was tried again"
        );
        Ok(left)
    }
}
