//! The journal of the simulation.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use domain::ports::{Clock, Random};
use journal::follow::{FollowerId, Slice};
use journal::jobs::NewJob;
use journal::store::Store;
use simulation::database::{Database, Elsewhere, InMemory, Line, Troubles};
use simulation::mutation::Mutation;
use simulation::scheduler::{Place, Scheduler, Surroundings};
use uuid::Uuid;

use crate::stage::Stage;

/// Under how many seeds each scenario is played.
const SEEDS: u64 = 25;

/// A database in memory, on a scheduler of its own.
pub struct Memory {
    scheduler: Scheduler,
    database: Database,
    surroundings: Arc<Surroundings>,
}

impl Memory {
    /// An empty one.
    pub fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let scheduler = Scheduler::new(seed);
        let calm = Troubles::default();
        Self {
            database: Database::new(scheduler.clone(), mutation, calm),
            surroundings: Arc::new(Surroundings::new(scheduler.clone(), Place::Outside, 0)),
            scheduler,
        }
    }

    /// Runs a scenario and everything that it set going, to the scenario's end.
    pub fn drive<T>(scheduler: &Scheduler, scenario: impl Future<Output = T>) -> T {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut scenario = pin!(scenario);
        loop {
            // Time only passes when the scenario waits.
            while woken.0.swap(false, Ordering::Relaxed) {
                let polled = scenario.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(done) = polled {
                    return done;
                }
            }
            assert!(scheduler.step(), "it waits for what can never happen");
        }
    }

    /// Its scheduler.
    pub fn scheduler(&self) -> Scheduler {
        self.scheduler.clone()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says which seed failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("under seed {}", self.0);
        }
    }
}

/// Plays a scenario under several seeds.
pub fn play(scenario: impl AsyncFn(&mut Memory)) {
    for seed in 1..=SEEDS {
        let _seed = Seed(seed);
        let mut stage = Memory::new(seed, None);
        let scheduler = stage.scheduler();
        Memory::drive(&scheduler, scenario(&mut stage));
        let violations = stage.database.violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// Whether a scenario fails on a database that has this bug, under one of the seeds.
pub fn fails_with(mutation: Mutation, scenario: impl AsyncFn(&mut Memory)) -> bool {
    (1..=SEEDS).any(|seed| {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut stage = Memory::new(seed, Some(mutation));
            let scheduler = stage.scheduler();
            Memory::drive(&scheduler, scenario(&mut stage));
        }));
        played.is_err()
    })
}

impl Stage for Memory {
    type Checkpoints = InMemory;
    type Elsewhere = Elsewhere;

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Line::new(self.database.clone()))
    }

    fn surroundings(&self) -> (Arc<dyn Clock>, Arc<dyn Random>) {
        (self.surroundings.clone(), self.surroundings.clone())
    }

    fn checkpoints(&self, name: &str) -> InMemory {
        let owner = self.surroundings.uuid();
        InMemory::new(self.database.clone(), FollowerId::new(name, 1), owner)
    }

    fn slice(&self, name: &str, slice: Slice) -> InMemory {
        let owner = self.surroundings.uuid();
        let id = FollowerId::new(name, 1);
        InMemory::of_slice(self.database.clone(), id, slice, owner)
    }

    async fn cut(&self, name: &str, slices: i32) {
        let cut = self.database.cut(&FollowerId::new(name, 1), slices).await;
        cut.unwrap();
    }

    async fn nap(&self, time: Duration) {
        self.scheduler.sleep(time).await;
    }

    async fn pass(&self, time: Duration) {
        self.scheduler.jump(time);
    }

    async fn hold_still(&self, command: Uuid) {
        self.database.hold_still(command);
    }

    async fn let_go(&self, command: Uuid) {
        self.database.let_go(command);
    }

    async fn cancel(&self, command: Uuid) {
        self.database.cancel(command);
    }

    async fn waiting(&self) -> usize {
        self.database.waiting()
    }

    async fn crash(&mut self) {
        self.database.crash();
    }

    async fn terminate(&self) {
        self.database.terminate();
    }

    async fn begin_elsewhere(&self) -> Elsewhere {
        self.database.begin_elsewhere()
    }

    async fn schedule(&self, jobs: &[NewJob]) {
        self.database.schedule(jobs);
    }

    async fn settle(&self, kind: &str, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        self.database.settle(kind, &keys);
    }

    async fn look_again(&self, kind: &str, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        self.database.look_again(kind, &keys);
    }

    async fn retry(&self, name: &str, key: &str) {
        self.database.retry(&FollowerId::new(name, 1), key);
    }
}
