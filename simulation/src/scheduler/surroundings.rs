//! What the workers of one place are given for clock, randomness, sleep and spawn.

use std::time::Duration;

use domain::ports::{Clock, Random};
use futures::future::BoxFuture;
use jiff::Timestamp;
use journal::runtime::Runtime;
use uuid::Uuid;

use super::{Place, Scheduler};

/// What the workers of one place are given for their surroundings.
#[derive(Clone)]
pub struct Surroundings {
    scheduler: Scheduler,
    place: Place,
    /// How far this machine's clock is from the database's, in milliseconds.
    skew_ms: i64,
    /// Sleeps that last so long or less never end; none does that when it is zero.
    deaf_below: Duration,
    /// A clock that does not go.
    stands_at: Option<Timestamp>,
}

impl Surroundings {
    /// Those of `place`, whose clock is off by so much.
    #[must_use]
    pub fn new(scheduler: Scheduler, place: Place, skew_ms: i64) -> Self {
        Self {
            scheduler,
            place,
            skew_ms,
            deaf_below: Duration::ZERO,
            stands_at: None,
        }
    }

    /// Surroundings in which nobody is ever woken from a short sleep.
    #[must_use]
    pub fn without_polling(self, deaf_below: Duration) -> Self {
        Self { deaf_below, ..self }
    }

    /// Surroundings whose clock stands still.
    #[must_use]
    pub fn with_stopped_clock(self) -> Self {
        let stands_at = Some(self.scheduler.now());
        Self { stands_at, ..self }
    }
}

impl Runtime for Surroundings {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration > Duration::from_millis(100) && duration <= self.deaf_below {
            return Box::pin(std::future::pending());
        }
        Box::pin(self.scheduler.sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.scheduler.spawn_boxed(self.place, task);
    }
}

impl Clock for Surroundings {
    fn now(&self) -> Timestamp {
        if let Some(stands_at) = self.stands_at {
            return stands_at;
        }
        let now_ms = self.scheduler.now_ms() + self.skew_ms;
        Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Random for Surroundings {
    fn uuid(&self) -> Uuid {
        let (high, low) = (
            self.scheduler.below(u64::MAX),
            self.scheduler.below(u64::MAX),
        );
        uuid::Builder::from_u128(u128::from(high) << 64 | u128::from(low)).into_uuid()
    }

    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.scheduler.below(bound)
        }
    }
}
