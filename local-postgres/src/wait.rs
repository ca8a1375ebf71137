//! Waiting for other processes: looking again, in real time, until a bound is reached.
//!
//! Everything here waits for the operating system (a lock, a server, a dying process), which no simulated
//! clock can hurry; so this crate keeps its one sleep, bound, look at the clock and thread for files here instead of
//! taking them as arguments.

use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio::time::error::Elapsed;

/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Lets others do something before the next look.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes live in real time, and so must we"
)]
pub(crate) async fn pause(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// What `work` comes to; [`Elapsed`] when that takes longer than `max`.
///
/// # Errors
/// [`Elapsed`] as said.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes live in real time, and so must we"
)]
pub async fn timeout<W: IntoFuture>(max: Duration, work: W) -> Result<W::Output, Elapsed> {
    tokio::time::timeout(max, work).await
}

/// Works something out on a thread that answers nobody meanwhile.
///
/// # Errors
/// [`JoinError`] when the work panicked.
#[expect(
    clippy::disallowed_methods,
    reason = "disks live in real time, and so must we"
)]
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// A look at a stopwatch.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes live in real time, and so must we"
)]
#[must_use]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// Waits while `condition` holds, for at most `within`; whether it has ceased to hold.
pub(crate) async fn while_so(condition: impl Fn() -> bool, within: Duration) -> bool {
    let deadline = stopwatch() + within;
    while condition() {
        if stopwatch() >= deadline {
            return false;
        }
        pause(LOOK_EVERY).await;
    }
    true
}
