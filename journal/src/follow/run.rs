//! The loop around [`Follower::step`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::turn::Turn;
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

/// After so many failures in a row, ten seconds about, a follower is said to fail.
const FAILURES_MAX: u32 = 8;

/// Steps while it is its turn, until cancelled, woken by appends and by the poll; then gives the lease back.
pub async fn run<C: Checkpoints, H: Handler<C::Connection>>(
    follower: Follower<H, C>,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) {
    run_and_tell(follower, runtime, stop, &Notify::new()).await;
}

/// The same, and tells when the lease was lost.
pub(super) async fn run_and_tell<C: Checkpoints, H: Handler<C::Connection>>(
    mut follower: Follower<H, C>,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
    lost: &Notify,
) {
    let mut wake = follower.journal.wake();
    let mut turn = Turn::default();
    // Those since it was last denied, and those since it last went well.
    let (mut failures, mut in_a_row) = (0, 0);
    let mut said = Said::Unknown;
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            step = follower.step_in_turn(&mut turn, failures > 0) => step,
        };
        follower.checkpoints.stepped(&step);
        let pause = match step {
            Ok(step) => {
                if step == Step::Lost {
                    lost.notify_one();
                }
                failures = 0;
                if !matches!(step, Step::Denied | Step::Lost) {
                    in_a_row = 0;
                    if said != Said::Fine {
                        said = says(&follower, None).await;
                    }
                } else if said == Said::Fine {
                    said = Said::Unknown;
                }
                pause_after(step)
            }
            Err(error) => {
                (failures, in_a_row) = (failures + 1, in_a_row + 1);
                // The connection may have broken after the commit: the position is read again.
                follower.lease = None;
                metrics::counter!("follower_errors_total", "follower" => follower.name())
                    .increment(1);
                tracing::warn!(follower = follower.name(), %error, failures, "a step failed");
                if in_a_row >= FAILURES_MAX && said != Said::Failing {
                    said = says(&follower, Some(&error.to_string())).await;
                }
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
    if said == Said::Failing {
        // Somebody else goes on, or nobody has to: a slice that is no more.
        metrics::gauge!("follower_failing", "follower" => follower.checkpoints.label()).set(0);
    }
    if let Err(error) = follower.checkpoints.withdraw().await {
        tracing::debug!(follower = follower.name(), %error, "another node's turn comes when this one is missed");
    }
    if let Err(error) = follower.release().await {
        tracing::debug!(follower = follower.name(), %error, "the lease was not given back; it will run out");
    }
}

/// What was last written down of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing by this process since it has the lease; who had it before may have failed, and left that open.
    Unknown,
    Fine,
    Failing,
}

/// Says that a follower fails, and why, or that it does not.
async fn says<C: Checkpoints, H: Handler<C::Connection>>(
    follower: &Follower<H, C>,
    reason: Option<&str>,
) -> Said {
    let name = follower.name();
    let failing = metrics::gauge!("follower_failing", "follower" => follower.checkpoints.label());
    failing.set(if reason.is_some() { 1 } else { 0 });
    match (follower.checkpoints.note_failing(reason).await, reason) {
        (Ok(_), Some(reason)) => {
            tracing::error!(follower = name, reason, "a follower fails again and again");
            Said::Failing
        }
        (Ok(was_failing), None) => {
            if was_failing {
                tracing::info!(follower = name, "a follower that failed goes on");
            }
            Said::Fine
        }
        // It is said with the next step.
        (Err(error), _) => {
            tracing::warn!(follower = name, %error, "whether it fails could not be written down");
            Said::Unknown
        }
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
