//! Follows the feed: folds a batch and writes its rows in the transaction of the checkpoint.
//!
//! [`Fill`] is the handler that fills one generation, for the live one as for one that is being rebuilt. [`run`]
//! keeps one follower per projection on the generation that is live, and moves it when that changes: one that
//! still fills a generation that was switched away does no harm, because checkpoints belong to generations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::follow::{self, Follower, FollowerId, Handler, HandlerError};
use journal::runtime::Runtime;
use journal::{Journal, Recorded};
use sqlx::PgConnection;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::PROJECTIONS;
use crate::generation::{self, Generation};
use crate::projection::Projection;
use crate::rows::{Changed, Rows, touched};
use crate::store::Statements;

/// How often a process looks which generations are live.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Fills one generation of a projection.
pub(crate) struct Fill {
    projection: &'static Projection,
    statements: Vec<Statements>,
    witness: Option<Arc<dyn Witness>>,
}

/// Sees what was written: a rebuild compares it with what it finds in the end.
pub(crate) trait Witness: Send + Sync {
    /// These rows of the table at `place` in the projection's list were written.
    fn written(&self, place: usize, rows: &[Changed]);
}

impl Fill {
    pub(crate) fn new(projection: &'static Projection, generation: i32) -> Self {
        let schema = projection.schema(generation);
        let tables = projection.tables.iter();
        Self {
            projection,
            statements: tables
                .map(|table| Statements::new(table, &schema))
                .collect(),
            witness: None,
        }
    }

    pub(crate) fn witnessed_by(self, witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self
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
        let mut rows = Rows::new(self.projection);
        let tables = || {
            self.projection
                .tables
                .iter()
                .zip(&self.statements)
                .enumerate()
        };
        for (place, (table, statements)) in tables() {
            for cells in statements.load(tx, &touched(table, events)).await? {
                rows.load(place, cells).map_err(journal::StoreError::from)?;
            }
        }
        for event in events {
            (self.projection.fold)(&mut rows, event).map_err(|unfit| HandlerError::Poison {
                position: event.position,
                reason: unfit.to_string(),
            })?;
        }
        for (place, (_, statements)) in tables() {
            let changed = rows.changed(place);
            statements.save(tx, &changed).await?;
            if let Some(witness) = &self.witness {
                witness.written(place, &changed);
            }
        }
        Ok(())
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
                Some(Generation { number, version }) if version == projection.version => {
                    tracing::info!(projection = name, generation = number, "following");
                    let id = FollowerId::new(name, number);
                    let fill = Fill::new(projection, number);
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
    if let Some(Generation { number, version }) = live {
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
