//! A scheduler on which everything that happens is drawn from one seed.
//!
//! It runs one task at a time, up to its next `await`, and draws who is next. Time stands still while anybody can go
//! on, and then jumps to the next timer. A task belongs to a [`Place`]; a place can be killed between any two
//! awaits (its tasks are dropped where they stand), or stopped for a while.

mod places;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

pub use places::Place;
pub use surroundings::Surroundings;

/// When a simulation begins.
const BEGINS_AT_MS: i64 = 1_800_000_000_000;

/// In so many of a hundred cases a step takes time, and how much at most.
const SLOW_PERCENT: u64 = 12;
const SLOW_MAX: Duration = Duration::from_millis(40);

/// How many lines are kept of a schedule's story.
const STORY_MAX: usize = 5_000;

type TaskId = u64;

struct Task {
    place: Place,
    /// Taken out while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: TaskId,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.id);
    }
}

struct State {
    tasks: BTreeMap<TaskId, Task>,
    next_task: TaskId,
    timers: BTreeMap<(i64, u64), Waker>,
    next_timer: u64,
    now_ms: i64,
    random: fastrand::Rng,
    stopped: BTreeMap<Place, i64>,
    /// Where the task is that is polled, or was last.
    here: Option<Place>,
    polls: u64,
    /// A number that every draw and every step goes into: two runs of a seed that differ show it here.
    trace: u64,
    story: Vec<String>,
}

/// The scheduler. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    state: Arc<Mutex<State>>,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// A scheduler that draws from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                tasks: BTreeMap::new(),
                next_task: 0,
                timers: BTreeMap::new(),
                next_timer: 0,
                now_ms: BEGINS_AT_MS,
                random: fastrand::Rng::with_seed(seed),
                stopped: BTreeMap::new(),
                here: None,
                polls: 0,
                trace: seed,
                story: vec![],
            })),
            ready: Arc::default(),
        }
    }

    /// Adds a task.
    pub fn spawn(&self, place: Place, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_boxed(place, Box::pin(task));
    }

    fn spawn_boxed(&self, place: Place, task: BoxFuture<'static, ()>) {
        let mut state = lock(&self.state);
        let id = state.next_task;
        state.next_task += 1;
        let ready = Arc::clone(&self.ready);
        state.tasks.insert(
            id,
            Task {
                place,
                future: Some(task),
                waker: Arc::new(TaskWaker { id, ready }),
            },
        );
        lock(&self.ready).insert(id);
    }

    /// Runs one task up to its next `await`, or moves the time to the next timer; false when nothing is left that
    /// could ever happen.
    pub fn step(&self) -> bool {
        let Some((id, mut future, waker)) = self.draw_task() else {
            return self.next_timer();
        };
        let waker = Waker::from(waker);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = lock(&self.state);
        match polled {
            Poll::Pending => {
                // It may have been killed by what it did itself.
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.future = Some(future);
                } else {
                    drop(state);
                    drop(future);
                }
            }
            Poll::Ready(()) => {
                state.tasks.remove(&id);
                drop(state);
                drop(future);
            }
        }
        true
    }

    fn draw_task(&self) -> Option<(TaskId, BoxFuture<'static, ()>, Arc<TaskWaker>)> {
        let mut state = lock(&self.state);
        let State {
            tasks,
            random,
            stopped,
            now_ms,
            polls,
            trace,
            here,
            ..
        } = &mut *state;
        stopped.retain(|_, until| *until > *now_ms);
        let mut ready = lock(&self.ready);
        ready.retain(|id| tasks.contains_key(id));
        let can_run: Vec<TaskId> = ready
            .iter()
            .copied()
            .filter(|id| {
                tasks
                    .get(id)
                    .is_some_and(|task| !stopped.contains_key(&task.place))
            })
            .collect();
        if can_run.is_empty() {
            return None;
        }
        let id = can_run[random.usize(..can_run.len())];
        ready.remove(&id);
        *polls += 1;
        *trace = mix(*trace, id);
        let task = tasks.get_mut(&id)?;
        *here = Some(task.place);
        Some((id, task.future.take()?, Arc::clone(&task.waker)))
    }

    fn next_timer(&self) -> bool {
        let mut state = lock(&self.state);
        let starts_again = state.stopped.values().min().copied();
        let next = state.timers.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = [starts_again, next].into_iter().flatten().min() else {
            return false;
        };
        state.now_ms = state.now_ms.max(at);
        let mut due = vec![];
        while let Some(entry) = state.timers.first_entry() {
            if entry.key().0 > at {
                break;
            }
            due.push(entry.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// Lets time pass in which nobody does anything.
    pub fn jump(&self, time: Duration) {
        lock(&self.state).now_ms += millis(time);
    }

    /// Milliseconds since the epoch, by the database's clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        lock(&self.state).now_ms
    }

    /// The same as a timestamp.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When every schedule begins.
    pub(crate) fn begins_at() -> Timestamp {
        Timestamp::from_millisecond(BEGINS_AT_MS).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Adds a line to what is told of a schedule in which something was found wrong.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        let mut state = lock(&self.state);
        if state.story.len() < STORY_MAX {
            let at_ms = state.now_ms - BEGINS_AT_MS;
            state.story.push(format!("{at_ms:>9} ms  {}", line()));
        }
    }

    /// What happened, line by line.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        lock(&self.state).story.clone()
    }

    /// How many steps there were.
    #[must_use]
    pub fn polls(&self) -> u64 {
        lock(&self.state).polls
    }

    /// A number that is the same in two runs exactly when they drew the same.
    #[must_use]
    pub fn trace(&self) -> u64 {
        lock(&self.state).trace
    }

    /// A number below `bound`, which is at least one.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        let mut state = lock(&self.state);
        let drawn = state.random.u64(..bound.max(1));
        state.trace = mix(state.trace, drawn);
        drawn
    }

    /// True in `percent` of a hundred cases.
    #[must_use]
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time of up to `max`.
    #[must_use]
    pub fn up_to(&self, max: Duration) -> Duration {
        Duration::from_millis(self.below(max.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// Completes after `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep {
            scheduler: self.clone(),
            until_ms: self.now_ms() + millis(duration).max(1),
            timer: None,
        }
    }

    /// Lets others go first, once, and sometimes lets a little time pass, so that what comes at a time of its own can
    /// come here.
    pub async fn pause(&self) {
        if self.chance(SLOW_PERCENT) {
            return self.sleep(self.up_to(SLOW_MAX)).await;
        }
        let mut paused = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn mix(trace: u64, with: u64) -> u64 {
    (trace ^ with)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
}

/// A wait for a time.
pub struct Sleep {
    scheduler: Scheduler,
    until_ms: i64,
    timer: Option<(i64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.scheduler.state);
        if let Some(timer) = self.timer {
            state.timers.remove(&timer);
        }
        if state.now_ms >= self.until_ms {
            return Poll::Ready(());
        }
        let timer = (self.until_ms, state.next_timer);
        state.next_timer += 1;
        state.timers.insert(timer, context.waker().clone());
        drop(state);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            lock(&self.scheduler.state).timers.remove(&timer);
        }
    }
}
