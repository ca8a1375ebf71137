//! A follower that is cut into slices: how many there are is said in the database, and a process runs a loop for each.
//!
//! Turns deal the slices out among the nodes, as they deal followers. What keeps a process from taking part in a layout
//! that was is the claim: it names the number of slices, and a cut leaves no row that anybody holds
//! (docs/adr/0026).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::run::run_and_tell;
use super::{Checkpoints, Follower, FollowerId, Handler, InDatabase, Slice};
use crate::feed::Feed;
use crate::runtime::Runtime;
use crate::{Journal, StoreError};

/// How often a process looks whether the layout is another one; it does so at once when a lease is lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A follower that may be cut: into how many slices it is, and who takes one.
#[async_trait]
pub trait Cut: Send + Sync {
    /// Where a slice keeps its checkpoint.
    type Checkpoints: Checkpoints + 'static;
    /// What is driven.
    type Handler: Handler<<Self::Checkpoints as Checkpoints>::Connection> + 'static;

    /// Its name, in log lines.
    fn name(&self) -> &str;

    /// Into how many slices it is cut now.
    async fn slices(&self) -> Result<i32, StoreError>;

    /// Who takes one of them; it does not hold its lease yet.
    fn follower(&self, slice: Slice) -> Follower<Self::Handler, Self::Checkpoints>;
}

/// Follows every slice that there is, until cancelled; others when the follower is cut otherwise.
pub async fn run_cut<C: Cut>(cut: C, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
    while let Some(slices) = layout(&cut, runtime.as_ref(), &stop).await {
        let here = stop.child_token();
        let lost = Arc::new(Notify::new());
        let mut running: FuturesUnordered<_> = Slice::each_of(slices)
            .map(|slice| begin(cut.follower(slice), &runtime, &here, &lost))
            .collect();
        tokio::select! {
            biased;
            // One that panicked has said so; its lease runs out, and all of them begin anew.
            _ = running.next() => pause(runtime.as_ref(), &stop).await,
            () = until_another(&cut, slices, runtime.as_ref(), &here, &lost) => {}
        }
        here.cancel();
        while running.next().await.is_some() {}
    }
}

/// Sets a loop to work in a task of its own; what comes back is told when it has ended.
fn begin<C, H>(
    follower: Follower<H, C>,
    runtime: &Arc<dyn Runtime>,
    stop: &CancellationToken,
    lost: &Arc<Notify>,
) -> oneshot::Receiver<()>
where
    C: Checkpoints + 'static,
    H: Handler<C::Connection> + 'static,
{
    let (end, ended) = oneshot::channel();
    let (runs, stop, lost) = (Arc::clone(runtime), stop.clone(), Arc::clone(lost));
    runtime.spawn(Box::pin(async move {
        run_and_tell(follower, runs, stop, &lost).await;
        // Nobody waits for it when the process is given up.
        let _ = end.send(());
    }));
    ended
}

/// Into how many slices it is cut, as soon as the database says so; `None` when cancelled.
async fn layout<C: Cut>(cut: &C, runtime: &dyn Runtime, stop: &CancellationToken) -> Option<i32> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            slices = cut.slices() => match slices {
                Ok(slices) => return Some(slices),
                Err(error) => {
                    tracing::warn!(follower = cut.name(), %error, "into how many slices it is cut is not known");
                }
            }
        }
        if stop.is_cancelled() {
            return None;
        }
        pause(runtime, stop).await;
    }
}

/// Until the next look, or until cancelled.
async fn pause(runtime: &dyn Runtime, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = runtime.sleep(LOOK_EVERY) => {}
    }
}

/// Waits until it is cut into another number of slices, or until cancelled.
async fn until_another<C: Cut>(
    cut: &C,
    slices: i32,
    runtime: &dyn Runtime,
    stop: &CancellationToken,
    lost: &Notify,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = lost.notified() => {}
            () = runtime.sleep(LOOK_EVERY) => {}
        }
        match cut.slices().await {
            Ok(now) if now != slices => {
                tracing::info!(
                    follower = cut.name(),
                    before = slices,
                    now,
                    "it is cut otherwise"
                );
                return;
            }
            Ok(_) => {}
            // The loops find out by themselves when they are denied.
            Err(error) => {
                tracing::debug!(follower = cut.name(), %error, "the layout cannot be looked at");
            }
        }
    }
}

impl<H: Handler> Follower<H> {
    /// One that reads for itself the keys of one slice, as long as the follower is cut so.
    #[must_use]
    pub fn of_slice(journal: Journal, id: FollowerId, slice: Slice, handler: H) -> Self {
        let checkpoints = InDatabase::of_slice(journal.clone(), id, slice);
        let feed = Feed::new(journal.clone(), &checkpoints.id().reader()).only(slice);
        Self::over(journal, feed, checkpoints, handler)
    }
}

impl FollowerId {
    /// What its reader is called where it holds or proves something.
    fn reader(&self) -> String {
        let Self {
            name,
            generation,
            slice,
        } = self;
        match slice {
            0 => format!("{name}/{generation}"),
            slice => format!("{name}/{generation}/{slice}"),
        }
    }
}
