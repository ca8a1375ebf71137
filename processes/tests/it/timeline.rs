//! Time that stands still until a test moves it: the clock, and everybody who sleeps by it.

use std::sync::Mutex;
use std::time::Duration;

use domain::ports::Clock;
use futures::future::BoxFuture;
use jiff::Timestamp;
use journal::runtime::{Runtime, SystemClock, Tokio};
use local_postgres::testing::timeout;
use tokio::sync::{oneshot, watch};

use crate::world::PATIENCE;

/// A clock and a runtime whose sleepers wake when [`Timeline::advance`] passes their time.
pub(crate) struct Timeline {
    now: Mutex<Timestamp>,
    sleepers: Mutex<Vec<Sleeper>>,
    /// Counts sleepers that lay down.
    lay_down: watch::Sender<u64>,
    /// Counts looks at the clock.
    looks: watch::Sender<u64>,
}

struct Sleeper {
    until: Timestamp,
    asked: Duration,
    wake: oneshot::Sender<()>,
}

impl Timeline {
    /// Starts now, so that what is due at once is due for the database too.
    pub(crate) fn new() -> Self {
        Self {
            now: Mutex::new(SystemClock.now()),
            sleepers: Mutex::default(),
            lay_down: watch::Sender::new(0),
            looks: watch::Sender::new(0),
        }
    }

    /// Moves the clock, and wakes whoever slept until then.
    pub(crate) fn advance(&self, by: Duration) {
        let now = {
            let mut now = self.now.lock().unwrap();
            *now = now.checked_add(by).unwrap();
            *now
        };
        let mut sleepers = self.sleepers.lock().unwrap();
        let (awake, asleep): (Vec<_>, Vec<_>) = sleepers.drain(..).partition(|s| s.until <= now);
        *sleepers = asleep;
        for sleeper in awake {
            let _ = sleeper.wake.send(());
        }
    }

    /// Waits until somebody sleeps who asked for exactly this long.
    pub(crate) async fn asleep(&self, asked: Duration) {
        let mut lay_down = self.lay_down.subscribe();
        let sleeps = |s: &Sleeper| s.asked == asked && !s.wake.is_closed();
        timeout(PATIENCE, async {
            while !self.sleepers.lock().unwrap().iter().any(sleeps) {
                lay_down.changed().await.unwrap();
            }
        })
        .await
        .unwrap_or_else(|_| panic!("nobody sleeps for {asked:?}"));
    }

    /// How often anybody looked at the clock.
    pub(crate) fn looks(&self) -> u64 {
        *self.looks.borrow()
    }

    /// Waits until the clock was looked at so often.
    pub(crate) async fn looked_at(&self, looks: u64) {
        let mut seen = self.looks.subscribe();
        timeout(PATIENCE, seen.wait_for(|seen| *seen >= looks))
            .await
            .unwrap_or_else(|_| panic!("the clock was looked at {} times", self.looks()))
            .unwrap();
    }
}

impl Clock for Timeline {
    fn now(&self) -> Timestamp {
        self.looks.send_modify(|looks| *looks += 1);
        *self.now.lock().unwrap()
    }
}

impl Runtime for Timeline {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let until = self
            .now
            .lock()
            .unwrap()
            .checked_add(duration)
            .unwrap_or(Timestamp::MAX);
        self.sleepers.lock().unwrap().push(Sleeper {
            until,
            asked: duration,
            wake,
        });
        self.lay_down.send_modify(|count| *count += 1);
        Box::pin(async move {
            // The timeline outlives every test's tasks; if it is gone, nobody wakes any more.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}
