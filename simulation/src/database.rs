//! What Postgres does for the journal, in memory: transactions with ids, rows that are seen when their transaction
//! commits and not before, locks that are waited for, numbers that no rollback gives back, crashes.
//!
//! It is a model of the rules that the code above relies on, and no more. That it is a true one is held by the
//! conformance suite, which Postgres passes, too.

mod append;
mod batch;
mod checks;
mod jobs;
mod line;
mod locks;
mod orders;
mod show;
mod slices;
mod slots;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use journal::append::Answer;
use journal::feed::{Span, Stored};
use journal::follow::FollowerId;
use journal::jobs::NewJob;
use journal::{StoreError, StreamId};
use projections::cell::Cell;
use projections::projection::Key;
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::mutation::Mutation;
use crate::scheduler::{Place, Scheduler, lock};

pub use batch::{Begun, InMemory};
pub use jobs::JobRow;
pub use line::Line;
pub use orders::Orders;
pub use show::{Poison, Shows};
pub use writing::Writing;

use locks::Active;
pub(crate) use slots::Slot;

/// How many positions a crash may lose: what Postgres writes ahead of a sequence.
const LOG_AHEAD: u64 = 32;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub(crate) scheduler: Scheduler,
    inner: Arc<Mutex<Inner>>,
    /// Counts transactions that ended: who waits for a lock looks again.
    ended: Arc<watch::Sender<u64>>,
    mutation: Option<Mutation>,
    troubles: Troubles,
    /// Nothing goes wrong by itself any more.
    calm: Arc<AtomicBool>,
}

/// What goes wrong by itself, in so many of a thousand statements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Troubles {
    /// The connection breaks before the statement arrives.
    pub lost_before: u64,
    /// The connection breaks after it arrived: it goes on, and its answer is lost.
    pub lost_after: u64,
    /// The server gives a transaction up before it commits.
    pub rolled_back: u64,
    /// A commit becomes visible late.
    pub late: u64,
}

/// A stored event.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) stored: Stored,
    pub(crate) payload: Value,
    pub(crate) metadata: Value,
    pub(crate) xid: u64,
}

/// What becomes of a group that is held before its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It waits.
    Still,
    /// It is cancelled.
    Cancelled,
}

/// A follower's row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) position: i64,
    pub(crate) owner: Option<Uuid>,
    pub(crate) epoch: i64,
    pub(crate) lease_until_ms: i64,
}

pub(crate) type FollowerKey = (String, i32, i32);

pub(crate) fn key_of(id: &FollowerId) -> FollowerKey {
    (id.name.clone(), id.generation, id.slice)
}

/// Under which everything is parked that a follower parks, in whatever slice.
pub(crate) fn parks_of((name, generation, _): &FollowerKey) -> FollowerKey {
    (name.clone(), *generation, 0)
}

/// What is committed, and what is under way.
#[derive(Default)]
pub(crate) struct Inner {
    next_xid: u64,
    next_position: i64,
    next_book: i64,
    last_job: i64,
    active: BTreeMap<u64, Active>,
    pub(crate) events: BTreeMap<i64, Row>,
    /// Position by sequence.
    pub(crate) streams: BTreeMap<StreamId, BTreeMap<i64, i64>>,
    pub(crate) commands: BTreeMap<Uuid, Answer>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) followers: BTreeMap<FollowerKey, Checkpoint>,
    /// Into how many slices followers are cut; one that is not here is not cut.
    layouts: BTreeMap<FollowerKey, i32>,
    /// By follower and position: the key, and why.
    pub(crate) parked: BTreeMap<(FollowerKey, i64), (String, Option<String>)>,
    pub(crate) retries: BTreeSet<(FollowerKey, String)>,
    dead: Vec<Span>,
    pub(crate) holds: BTreeMap<String, Span>,
    pub(crate) jobs: BTreeMap<i64, JobRow>,
    pub(crate) orders: BTreeMap<i64, (Value, i64)>,
    /// By follower's name and the table's place.
    pub(crate) tables: BTreeMap<(String, usize), BTreeMap<Key, Vec<Cell>>>,
    /// How often each follower wrote each event.
    pub(crate) applied: BTreeMap<(String, i64), u32>,
    /// The last sequence of each stream that each follower wrote.
    pub(crate) reached: BTreeMap<(String, StreamId), i64>,
    pub(crate) violations: Vec<String>,
    /// When holes were first seen, for the mutation that believes in time.
    hole_seen_ms: BTreeMap<i64, i64>,
    /// The next transaction id when a checkpoint last moved.
    earlier_x: u64,
    last_append: Option<u64>,
    /// Commands whose group stands still before its commit.
    held: BTreeMap<Uuid, Held>,
    /// How many wait for a lock, or are held.
    waiting: usize,
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Database {
    /// An empty one.
    #[must_use]
    pub fn new(scheduler: Scheduler, mutation: Option<Mutation>, troubles: Troubles) -> Self {
        let inner = Inner {
            next_xid: 1_000,
            next_position: 1,
            next_book: 1,
            ..Inner::default()
        };
        Self {
            scheduler,
            inner: Arc::new(Mutex::new(inner)),
            ended: Arc::new(watch::Sender::new(0)),
            mutation,
            troubles,
            calm: Arc::default(),
        }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn per_mille(&self, of_a_thousand: u64) -> bool {
        self.scheduler.below(1_000) < of_a_thousand && !self.calm.load(Ordering::Relaxed)
    }

    /// A statement that is done in one moment: there and back, or broken on the way.
    async fn at_once<T>(&self, statement: impl FnOnce(&Self) -> T) -> Result<T, StoreError> {
        self.scheduler.pause().await;
        if self.per_mille(self.troubles.lost_before) {
            self.inner().count("a statement was lost on the way");
            return Err(gone());
        }
        let done = statement(self);
        self.scheduler.pause().await;
        if self.per_mille(self.troubles.lost_after) {
            self.inner().count("an answer was lost on the way");
            return Err(gone());
        }
        Ok(done)
    }

    /// From now on nothing goes wrong by itself.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn parked_keys(&self, follower: &FollowerId) -> BTreeSet<String> {
        let key = parks_of(&key_of(follower));
        let inner = self.inner();
        let of_it = inner.parked.iter().filter(|((name, _), _)| *name == key);
        of_it.map(|(_, (parked, _))| parked.clone()).collect()
    }

    /// The server dies and comes back: whatever was under way is gone, and positions jump.
    pub fn crash(&self) {
        let jump = self.scheduler.below(LOG_AHEAD + 1);
        self.scheduler.kill(Place::Server);
        let mut inner = self.inner();
        inner.active.clear();
        inner.held.clear();
        inner.next_position += i64::try_from(jump).unwrap_or(0);
        inner.count("the database died");
        if self.has(Mutation::CommitNotDurable)
            && let Some(xid) = inner.last_append.take()
        {
            inner.forget(xid);
        }
        drop(inner);
        self.tell_ended();
    }

    /// Ends every transaction that is under way, as `pg_terminate_backend` does.
    pub fn terminate(&self) {
        let mut inner = self.inner();
        inner.active.clear();
        inner.count("its sessions were terminated");
        drop(inner);
        self.tell_ended();
    }

    /// Somebody else in the cluster writes for a while: no later transaction id is proved meanwhile.
    pub async fn foreign_transaction(self, time: std::time::Duration) {
        let elsewhere = self.begin_elsewhere();
        self.scheduler.sleep(time).await;
        drop(elsewhere);
    }

    /// Begins a transaction of somebody else in the cluster. It ends when it is dropped.
    #[must_use]
    pub fn begin_elsewhere(&self) -> Elsewhere {
        Elsewhere(locks::Running {
            xid: self.begin_with_id(false),
            database: self.clone(),
        })
    }

    /// Groups in which this command wins stand still before their commit, with all that they hold, until
    /// [`Self::let_go`] or [`Self::cancel`].
    pub fn hold_still(&self, command: Uuid) {
        self.inner().held.insert(command, Held::Still);
    }

    /// What was held goes on.
    pub fn let_go(&self, command: Uuid) {
        self.inner().held.remove(&command);
        self.tell_ended();
    }

    /// What was held is rolled back, as `pg_cancel_backend` does.
    pub fn cancel(&self, command: Uuid) {
        self.inner().held.insert(command, Held::Cancelled);
        self.tell_ended();
    }

    /// How many statements wait for a lock, or are held.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner().waiting
    }

    /// Writes jobs, in a transaction of their own.
    pub fn schedule(&self, jobs: &[NewJob]) {
        let learns = !self.has(Mutation::JobForgotWhatItKnew);
        let now = self.scheduler.now();
        let mut inner = self.inner();
        for job in jobs {
            inner.schedule(job, now, learns);
        }
    }

    /// Ends jobs whose matter settled itself, in a transaction of its own.
    pub fn settle(&self, kind: &str, keys: &[String]) {
        self.inner().settle(kind, keys);
    }

    /// Has jobs looked at again, in a transaction of its own.
    pub fn look_again(&self, kind: &str, keys: &[String]) {
        let now = self.scheduler.now();
        self.inner().look_again(kind, keys, now);
    }

    /// For the mutation that draws X too early.
    fn note_earlier_x(&self) {
        let mut inner = self.inner();
        inner.earlier_x = inner.next_xid;
    }

    fn tell_ended(&self) {
        self.ended
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks for a parked key to be tried again.
    pub fn retry(&self, follower: &FollowerId, key: &str) {
        self.inner()
            .retries
            .insert((parks_of(&key_of(follower)), key.to_owned()));
    }

    /// Everything that was found wrong so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.inner().violations.clone()
    }
}

/// A transaction of somebody else in the cluster.
pub struct Elsewhere(#[expect(dead_code, reason = "it ends when it is dropped")] locks::Running);

impl Inner {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn forget(&mut self, xid: u64) {
        let gone: Vec<i64> = self
            .events
            .iter()
            .filter(|(_, row)| row.xid == xid)
            .map(|(position, _)| *position)
            .collect();
        for position in gone {
            if let Some(row) = self.events.remove(&position) {
                self.commands.remove(&row.stored.command_id);
                let stream = StreamId::new(&row.stored.aggregate_type, &row.stored.aggregate_id);
                if let Some(rows) = self.streams.get_mut(&stream) {
                    rows.remove(&row.stored.sequence);
                }
            }
        }
    }

    /// The oldest transaction under way, or the next one.
    fn xmin(&self) -> u64 {
        self.active.keys().next().copied().unwrap_or(self.next_xid)
    }
}

pub(crate) fn gone() -> StoreError {
    StoreError::Unreachable("the connection broke".to_owned())
}
