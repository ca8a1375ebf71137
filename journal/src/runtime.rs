//! Sleep, spawn, clock and randomness as arguments, and the real ones.
//!
//! Workers name none of tokio's or the system's globals (clippy.toml bans them), so that tests and
//! the simulation can drive all of them. These are the only places where the real ones are called.

use std::pin::pin;
use std::time::Duration;

use domain::ports::{Clock, Random};
use futures::future::{self, BoxFuture, Either};
use jiff::Timestamp;
use uuid::Uuid;

/// What a worker needs of its surroundings.
pub trait Runtime: Send + Sync {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Runs `task` to its end, whether or not anybody waits for it.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// What `work` comes to; nothing when that takes longer than `max`.
pub async fn within<T>(
    runtime: &dyn Runtime,
    max: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match future::select(pin!(work), runtime.sleep(max)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// The tokio runtime that the caller runs in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the real timer is used"
    )]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where tasks are really spawned"
    )]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the system's clock is read"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's randomness, for ids and jitter.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where random ids are drawn"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            fastrand::u64(0..bound)
        }
    }
}
