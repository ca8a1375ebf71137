//! Waiting for other processes: looking again, in real time, until a bound is reached.
//!
//! Everything here waits for the operating system (a lock, a server, a dying process), which no simulated
//! clock can hurry; so this crate keeps its one sleep here instead of taking it as an argument.

use std::time::{Duration, Instant};

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

/// Waits while `condition` holds, for at most `within`; whether it has ceased to hold.
pub(crate) async fn while_so(condition: impl Fn() -> bool, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while condition() {
        if Instant::now() >= deadline {
            return false;
        }
        pause(LOOK_EVERY).await;
    }
    true
}
