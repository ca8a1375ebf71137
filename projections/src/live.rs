//! Follows the feed: folds a batch and writes its rows in the transaction of the checkpoint.
//!
//! [`Fill`] is the handler that fills one generation, for the live one as for one that is being rebuilt, which it
//! fills in bulk: in large batches, whose new rows go through COPY. Nothing else differs. [`run`]
//! keeps one follower per projection on the generation that is live, and moves it when that changes: one that
//! still fills a generation that was switched away does no harm, because checkpoints belong to generations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use journal::follow::{self, Follower, FollowerId, Handler, HandlerError};
use journal::runtime::Runtime;
use journal::{Journal, Recorded, StoreError};
use sqlx::PgConnection;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::PROJECTIONS;
use crate::batch::{self, Tables};
use crate::cell::Cell;
use crate::generation::{self, Generation};
use crate::projection::{Key, Projection};
use crate::rows::Changed;
use crate::store::Statements;

/// How often a process looks which generations are live.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Fills the tables of one schema.
pub(crate) struct Fill {
    projection: &'static Projection,
    statements: Vec<Statements>,
    pace: Pace,
    witness: Option<Arc<dyn Witness>>,
    /// The highest key of each table that may be stored, once that is known: nothing is looked up behind it.
    highest: Mutex<Vec<Option<Key>>>,
}

/// How batches are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Few events at a time: one statement writes new and changed rows.
    Steady,
    /// Very many: new rows are copied in.
    Bulk,
}

/// Sees what was written: a rebuild compares it with what it finds in the end.
#[async_trait]
pub(crate) trait Witness: Send + Sync {
    /// A batch begins. What was written before and not committed never was.
    fn begun(&self);

    /// These rows of the table at `place` in the projection's list were written.
    fn written(&self, place: usize, rows: &[Changed]);

    /// The batch is written, and commits next.
    async fn settle(&self, tx: &mut PgConnection) -> Result<(), StoreError>;

    /// It is committed.
    fn committed(&self);
}

impl Fill {
    pub(crate) fn new(projection: &'static Projection, schema: &str, pace: Pace) -> Self {
        let tables = projection.tables.iter();
        Self {
            projection,
            statements: tables.map(|table| Statements::new(table, schema)).collect(),
            pace,
            witness: None,
            highest: Mutex::default(),
        }
    }

    pub(crate) fn witnessed_by(self, witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self
        }
    }
}

impl Fill {
    /// No row of the table at `place` that this one has to do with is stored behind this key. Asked once: after
    /// that it knows what it wrote itself, and nobody else writes rows of its bookings.
    async fn highest_stored(
        &self,
        place: usize,
        tx: &mut PgConnection,
    ) -> Result<Option<Key>, StoreError> {
        let known = self.known().get(place).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut highest = vec![];
        for statements in &self.statements {
            let last = statements.last(tx).await?;
            highest.push(
                last.map(|cells| statements.table().key_of(&cells))
                    .transpose()?,
            );
        }
        let found = highest.get(place).cloned().flatten();
        *self.known() = highest;
        Ok(found)
    }

    /// Takes these rows into account. If their transaction fails, a row may be looked up in vain.
    fn note_highest(&self, place: usize, rows: &[Changed]) {
        if let Some(highest) = self.known().get_mut(place) {
            let written = rows.iter().map(|row| &row.key).max().cloned();
            *highest = written.max(highest.take());
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Option<Key>>> {
        self.highest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a batch of a generation works on.
struct Generated<'b> {
    fill: &'b Fill,
    tx: &'b mut PgConnection,
}

#[async_trait]
impl Tables for Generated<'_> {
    async fn load(
        &mut self,
        place: usize,
        mut keys: Vec<Key>,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let Some(statements) = self.fill.statements.get(place) else {
            return Ok(vec![]);
        };
        if self.fill.pace == Pace::Bulk {
            // Most are of bookings that begin in this batch.
            let highest = self.fill.highest_stored(place, self.tx).await?;
            keys.retain(|key| Some(key) <= highest.as_ref());
        }
        statements.load(self.tx, &keys).await
    }

    async fn save(&mut self, place: usize, rows: Vec<Changed>) -> Result<(), StoreError> {
        let Some(statements) = self.fill.statements.get(place) else {
            return Ok(());
        };
        if let Some(witness) = &self.fill.witness {
            witness.written(place, &rows);
        }
        match self.fill.pace {
            Pace::Steady => statements.save(self.tx, &rows).await,
            Pace::Bulk => {
                let (old, new): (Vec<_>, Vec<_>) =
                    rows.into_iter().partition(|row| row.replaces.is_some());
                self.fill.note_highest(place, &new);
                statements.save(self.tx, &old).await?;
                statements.add(self.tx, &new).await
            }
        }
    }
}

#[async_trait]
impl Handler for Fill {
    type Plan = ();

    async fn plan(&self, _: &[Recorded]) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut PgConnection,
        events: &[Recorded],
        (): (),
    ) -> Result<(), HandlerError> {
        if let Some(witness) = &self.witness {
            witness.begun();
        }
        let mut tables = Generated { fill: self, tx };
        batch::fold(self.projection, &mut tables, events).await?;
        if let Some(witness) = &self.witness {
            witness.settle(tx).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        if let Some(witness) = &self.witness {
            witness.committed();
        }
    }
}

/// Follows the live generation of every projection until cancelled, each in a task of its own.
pub async fn run(journal: Journal, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
    let (live, _) = watch::channel(BTreeMap::new());
    // Nothing is sent: every task holds an end, and the last one that lets go closes the channel.
    let (running, mut ended) = mpsc::channel::<()>(1);
    for projection in PROJECTIONS {
        let following = follow_live(
            projection,
            journal.clone(),
            Arc::clone(&runtime),
            live.subscribe(),
            stop.clone(),
        );
        let running = running.clone();
        runtime.spawn(Box::pin(async move {
            following.await;
            drop(running);
        }));
    }
    drop(running);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = look(&journal, &*runtime, &live) => {}
    }
    ended.recv().await;
}

type Live = BTreeMap<String, Generation>;

/// Keeps `live` what the database says it is.
async fn look(journal: &Journal, runtime: &dyn Runtime, live: &watch::Sender<Live>) {
    loop {
        match generation::live(journal.pool()).await {
            Ok(now) => {
                live.send_if_modified(|known| {
                    let changed = *known != now;
                    *known = now;
                    changed
                });
            }
            Err(error) => tracing::warn!(%error, "which generations are live is not known"),
        }
        runtime.sleep(LOOK_EVERY).await;
    }
}

async fn follow_live(
    projection: &'static Projection,
    journal: Journal,
    runtime: Arc<dyn Runtime>,
    mut live: watch::Receiver<Live>,
    stop: CancellationToken,
) {
    let name = projection.name;
    while !stop.is_cancelled() {
        let generation = live.borrow_and_update().get(name).copied();
        let until = stop.child_token();
        let switched = async {
            tokio::select! {
                biased;
                () = until.cancelled() => {}
                _ = live.wait_for(|live| live.get(name).copied() != generation) => until.cancel(),
            }
        };
        let following = async {
            match generation {
                Some(Generation {
                    number, version, ..
                }) if version == projection.version => {
                    tracing::info!(projection = name, generation = number, "following");
                    let id = FollowerId::new(name, number);
                    let fill = Fill::new(projection, &projection.schema(number), Pace::Steady);
                    let follower = Follower::new(journal.clone(), id, fill);
                    follow::run(follower, Arc::clone(&runtime), until.clone()).await;
                }
                other => {
                    report_unfollowed(projection, other);
                    until.cancelled().await;
                }
            }
        };
        // Told to end, the follower still gives its lease back.
        futures::future::join(switched, following).await;
    }
}

/// Says why a projection is not followed, unless it is only that nothing is known yet.
fn report_unfollowed(projection: &Projection, live: Option<Generation>) {
    if let Some(Generation {
        number, version, ..
    }) = live
    {
        metrics::counter!("projection_outdated_total", "projection" => projection.name)
            .increment(1);
        tracing::error!(
            projection = projection.name,
            generation = number,
            filled_by = version,
            known = projection.version,
            "the live generation was filled by another version of this projection and stands still: \
             run `spacerent replay` for it"
        );
    }
}
