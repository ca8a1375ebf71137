//! The loop around [`Follower::step`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Checkpoints, Follower, Handler, Step};
use crate::runtime::Runtime;

/// How long an idle follower waits before it looks again without being woken.
const POLL: Duration = Duration::from_millis(250);
/// How long a woken follower waits for more to come, so that a burst of appends is one batch.
const GATHER: Duration = Duration::from_millis(5);
/// How long a follower that holds at a hole, or lost its lease, waits.
const HOLD: Duration = Duration::from_millis(20);
/// The longest wait after repeated errors.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Steps until cancelled, woken by appends and by the poll; then gives the lease back.
pub async fn run<C: Checkpoints, H: Handler<C::Connection>>(
    mut follower: Follower<H, C>,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) {
    let mut wake = follower.journal.wake();
    let mut failures = 0;
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            step = follower.step() => step,
        };
        follower.checkpoints.stepped(&step);
        let pause = match step {
            Ok(step) => {
                failures = 0;
                pause_after(step)
            }
            Err(error) => {
                failures += 1;
                // The connection may have broken after the commit: the position is read again.
                follower.lease = None;
                metrics::counter!("follower_errors_total", "follower" => follower.name())
                    .increment(1);
                tracing::warn!(follower = follower.name(), %error, failures, "a step failed");
                Some((backoff(failures), false))
            }
        };
        if let Some((pause, wakes)) = pause {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = wake.woken(), if wakes => runtime.sleep(GATHER).await,
                () = runtime.sleep(pause) => {}
            }
        }
    }
    if let Err(error) = follower.release().await {
        tracing::debug!(follower = follower.name(), %error, "the lease was not given back; it will run out");
    }
}

/// How long to wait after a step, and whether an append cuts the wait short.
fn pause_after(step: Step) -> Option<(Duration, bool)> {
    match step {
        Step::Advanced { .. } => None,
        Step::Idle { hole: None } => Some((POLL, true)),
        Step::Idle { hole: Some(_) } | Step::Lost => Some((HOLD, false)),
        Step::Denied => Some((POLL, false)),
    }
}

fn backoff(failures: u32) -> Duration {
    (HOLD * 2u32.saturating_pow(failures.min(16))).min(BACKOFF_MAX)
}
