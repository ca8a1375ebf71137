//! The end of a rebuild: catch up with the head, and let readers see the new generation in one short transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::StoreError;
use journal::follow::BATCH_MAX;
use sqlx::{Connection, PgConnection};

use super::ReplayError;
use super::filling::Filling;
use super::progress::Stage;
use super::report::{between, seconds};
use super::run::{Run, position};
use crate::generation;
use crate::projection::Projection;
use crate::store::Statements;

/// How many positions are filled before what was written is read back, once the rest is verified.
const CHUNK: i64 = 10 * BATCH_MAX;
/// How often the switch is tried when it does not get its locks, for fifteen seconds together.
const SWITCHES_MAX: u32 = 30;
/// How long readers rest from a switch that waited for its locks and kept them waiting.
const SWITCH_REST: Duration = Duration::from_millis(300);

impl Run<'_> {
    /// Catches up with the head, and lets readers see the new generation.
    pub(super) async fn switch(&mut self) -> Result<(), ReplayError> {
        let mut refused = None;
        for _ in 0..SWITCHES_MAX {
            match self.catch_up_and_switch().await {
                Ok(()) => {
                    self.report.switched = true;
                    return Ok(());
                }
                Err(ReplayError::Store(error)) if error.is_transient() => {
                    refused = Some(error);
                    self.rebuilder.runtime.sleep(SWITCH_REST).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.map_or(
            ReplayError::TakenOver(self.projection.name),
            ReplayError::Busy,
        ))
    }

    async fn catch_up_and_switch(&mut self) -> Result<(), ReplayError> {
        self.rebuilder.progress.stage(Stage::CatchUp);
        self.catch_up().await?;
        self.rebuilder.progress.stage(Stage::Switch);
        self.try_switch().await
    }

    /// Fills up to the head; reads back what it writes.
    async fn catch_up(&mut self) -> Result<(), ReplayError> {
        let head = self.rebuilder.journal.head().await?;
        self.filling.aim = head;
        while self.filling.position < head {
            let before = self.filling.position;
            let filling = self.filling.fill_to(head.min(before.saturating_add(CHUNK)));
            let held = match filling.await {
                Ok(()) => None,
                Err(held @ ReplayError::Held { .. }) => Some(held),
                // What was not committed cannot be read back.
                Err(error) => return Err(error),
            };
            read_back(&mut self.owner, self.projection, &self.filling).await?;
            if let Some(held) = held {
                let live = position(&mut self.owner, self.projection, self.live.number, "").await?;
                // The live generation holds at the same hole: this is as far as anybody gets.
                return if self.filling.position >= live {
                    Ok(())
                } else {
                    Err(held)
                };
            }
            if self.filling.position == before {
                break;
            }
        }
        Ok(())
    }

    /// Holds the live follower still, takes what it has taken meanwhile, and replaces the views.
    async fn try_switch(&mut self) -> Result<(), ReplayError> {
        self.rebuilder.go_on(self.projection)?;
        let mut tx = self.owner.begin().await?;
        // Whoever stops this process in here holds followers and readers up no longer than that.
        sqlx::raw_sql(
            "set local lock_timeout = '200ms'; set local idle_in_transaction_session_timeout = '4s'",
        )
        .execute(&mut *tx)
        .await?;
        let (projection, live, clock) = (
            self.projection,
            self.live.number,
            self.rebuilder.journal.clock(),
        );
        let filling = &mut self.filling;
        let switched = async {
            let last = position(&mut tx, projection, live, "for update").await?;
            let locked_at = clock.now();
            filling.fill_to(last).await?;
            read_back(&mut tx, projection, filling).await?;
            // Given back before readers come: whoever follows the live generation may take it at once.
            filling.release().await?;
            generation::switch(&mut tx, projection, filling.number).await?;
            Ok::<_, ReplayError>(locked_at)
        }
        .await;
        match switched {
            Ok(locked_at) => {
                tx.commit().await?;
                let held = between(locked_at, clock.now());
                self.report.switch_lock_seconds = Some(seconds(held));
                Ok(())
            }
            Err(error) => {
                // At once, and not when the connection is used next: the live follower waits.
                tx.rollback().await?;
                Err(error)
            }
        }
    }
}

/// Reads back the rows that were written since the last time, and holds them against what was folded.
async fn read_back(
    connection: &mut PgConnection,
    projection: &'static Projection,
    filling: &Filling<'_>,
) -> Result<(), ReplayError> {
    let schema = projection.schema(filling.number);
    for (place, table) in projection.tables.iter().enumerate() {
        let folded = filling.memory.take_latest(place);
        let keys: Vec<_> = folded.keys().cloned().collect();
        let mut found = BTreeMap::new();
        for cells in Statements::new(table, &schema)
            .load(connection, &keys)
            .await?
        {
            found.insert(table.key_of(&cells).map_err(StoreError::from)?, cells);
        }
        if found != folded {
            return Err(ReplayError::Damaged {
                table: table.name,
                folded: folded.len() as u64,
                found: found.len() as u64,
            });
        }
    }
    Ok(())
}
