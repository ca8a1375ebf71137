//! A follower's checkpoint, and the transaction of its batch.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use async_trait::async_trait;
use domain::order::CHARGE_JOB;
use journal::follow::{Checkpoints, FollowerId, LEASE_MS, Lease, Parked};
use journal::jobs::NewJob;
use journal::{Recorded, StoreError, StreamId};
use processes::order::{Rows, StoredOrder, Written};
use projections::cell::Cell;
use projections::projection::Key;
use serde_json::Value;
use uuid::Uuid;

use super::locks::Lock;
use super::{Checkpoint, Database, FollowerKey, gone, key_of};
use crate::mutation::Mutation;

/// The checkpoints of one follower, in memory.
pub struct InMemory {
    database: Database,
    id: FollowerId,
    key: FollowerKey,
    owner: Uuid,
}

impl InMemory {
    /// Those of `id`, for one process.
    #[must_use]
    pub fn new(database: Database, id: FollowerId, owner: Uuid) -> Self {
        let key = key_of(&id);
        Self {
            database,
            id,
            key,
            owner,
        }
    }

    fn lease_until_ms(&self) -> i64 {
        self.database.scheduler.now_ms() + i64::try_from(LEASE_MS).unwrap_or(0)
    }

    fn is_held_by(&self, row: &Checkpoint, lease: Lease) -> bool {
        let ours = row.owner == Some(self.owner) && row.epoch == lease.epoch;
        (ours && row.position == lease.position) || self.database.has(Mutation::NoFence)
    }

    /// Takes the lease when it is free, over, or one's own.
    fn take_over(&self) -> Option<Lease> {
        let now = self.database.scheduler.now_ms();
        let until = self.lease_until_ms();
        let mut inner = self.database.inner();
        let checkpoint = inner.followers.entry(self.key.clone()).or_default();
        let is_over =
            checkpoint.lease_until_ms < now && !self.database.has(Mutation::LeaseNeverEnds);
        let others = checkpoint.owner.is_some_and(|owner| owner != self.owner);
        if others && !is_over {
            return None;
        }
        checkpoint.owner = Some(self.owner);
        checkpoint.epoch += 1;
        checkpoint.lease_until_ms = until;
        let lease = Lease {
            epoch: checkpoint.epoch,
            position: checkpoint.position,
        };
        if others {
            inner.count("a lease was taken over");
        }
        Some(lease)
    }

    /// A statement outside a batch.
    async fn statement<T>(&self, statement: impl FnOnce(&Database) -> T) -> Result<T, StoreError> {
        let database = &self.database;
        database.scheduler.pause().await;
        if database.per_mille(database.troubles.lost_before) {
            database.inner().count("a statement was lost on the way");
            return Err(gone());
        }
        let done = statement(database);
        database.scheduler.pause().await;
        Ok(done)
    }

    /// Waits until no batch holds the row.
    async fn row(&self) -> Result<Writing, StoreError> {
        let writing = Writing::begin(&self.database);
        writing.hold(Lock::Follower(self.key.clone())).await?;
        Ok(writing)
    }
}

#[async_trait]
impl Checkpoints for InMemory {
    type Connection = Writing;
    type Transaction<'s> = Begun<'s>;
    type Session = ();

    fn name(&self) -> &str {
        &self.id.name
    }

    async fn hold(&self) -> Result<Option<Lease>, StoreError> {
        let row = self.row().await?;
        let lease = self.take_over();
        drop(row);
        self.database.scheduler.pause().await;
        Ok(lease)
    }

    async fn renew(&self, lease: Lease) -> Result<bool, StoreError> {
        let row = self.row().await?;
        let until = self.lease_until_ms();
        let mut inner = self.database.inner();
        let renewed = inner.followers.get_mut(&self.key).is_some_and(|row| {
            let held = self.is_held_by(row, lease);
            if held {
                row.lease_until_ms = until;
            }
            held
        });
        drop(inner);
        drop(row);
        Ok(renewed)
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.statement(|database| {
            let mut inner = database.inner();
            if let Some(row) = inner.followers.get_mut(&self.key)
                && row.owner == Some(self.owner)
                && row.epoch == lease.epoch
            {
                row.owner = None;
            }
        })
        .await
    }

    async fn parked_keys(&self) -> Result<Vec<String>, StoreError> {
        self.statement(|database| {
            if database.has(Mutation::ParkedKeyForgotten) {
                return vec![];
            }
            let inner = database.inner();
            let parked = inner
                .parked
                .iter()
                .filter(|((name, _), _)| *name == self.key);
            let asked = inner.retries.iter().filter(|(name, _)| *name == self.key);
            let mut keys: Vec<String> = parked.map(|(_, (key, _))| key.clone()).collect();
            keys.extend(asked.map(|(_, key)| key.clone()));
            keys.sort();
            keys.dedup();
            keys
        })
        .await
    }

    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        self.statement(|database| {
            let inner = database.inner();
            let mut asked = inner.retries.iter().filter(|(name, _)| *name == self.key);
            asked.next().map(|(_, key)| key.clone())
        })
        .await
    }

    async fn parked_positions(&self, key: &str, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.statement(|database| {
            let inner = database.inner();
            let of_key = inner
                .parked
                .iter()
                .filter(|((name, _), (parked, _))| *name == self.key && parked == key);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            of_key.map(|((_, at), _)| *at).take(limit).collect()
        })
        .await
    }

    async fn session(&self) -> Result<(), StoreError> {
        self.statement(|_| ()).await
    }

    async fn begin<'s>(&self, _session: &'s mut ()) -> Result<Begun<'s>, StoreError> {
        self.database.scheduler.pause().await;
        Ok(Begun(Writing::begin(&self.database), PhantomData))
    }

    async fn advance(&self, tx: &mut Writing, lease: Lease, to: i64) -> Result<bool, StoreError> {
        let database = &self.database;
        database.scheduler.pause().await;
        if !database.has(Mutation::FenceLookedAtNotHeld) {
            tx.hold(Lock::Follower(self.key.clone())).await?;
        }
        let held = {
            let inner = database.inner();
            let row = inner.followers.get(&self.key);
            row.is_some_and(|row| self.is_held_by(row, lease))
        };
        if !held {
            database.inner().count("a fence was shut");
            return Ok(false);
        }
        tx.moves = Some((self.key.clone(), to, self.lease_until_ms()));
        tx.follower = self.id.name.clone();
        database.note_earlier_x();
        if database.has(Mutation::CheckpointBeforeEffect) {
            tx.apply_checkpoint();
        }
        database.scheduler.pause().await;
        Ok(true)
    }

    async fn park(&self, tx: &mut Writing, events: &[Parked]) -> Result<(), StoreError> {
        tx.statement().await?;
        let parked = events
            .iter()
            .map(|event| (event.position, event.key.clone(), event.reason.clone()));
        tx.parks.extend(parked);
        Ok(())
    }

    async fn rewrite_reasons(&self, tx: &mut Writing, _: &[Parked]) -> Result<(), StoreError> {
        tx.statement().await
    }

    async fn unpark(&self, tx: &mut Writing, positions: &[i64]) -> Result<bool, StoreError> {
        tx.statement().await?;
        let inner = self.database.inner();
        let is_there = |at: &i64| inner.parked.contains_key(&(self.key.clone(), *at));
        let all = positions.iter().all(is_there);
        if !self.database.has(Mutation::ParkedOnceMore) {
            tx.unparks.extend(positions.iter().copied());
        }
        Ok(all)
    }

    async fn tried(&self, tx: &mut Writing, key: &str, stuck: bool) -> Result<i64, StoreError> {
        tx.statement().await?;
        let inner = self.database.inner();
        let of_key = |((name, at), (parked, _)): &(&(FollowerKey, i64), &(String, _))| {
            *name == self.key && parked == key && !tx.unparks.contains(at)
        };
        let left = inner.parked.iter().filter(of_key).count();
        drop(inner);
        if stuck || left == 0 {
            tx.forgets.push((self.key.clone(), key.to_owned()));
        }
        Ok(i64::try_from(left).unwrap_or(i64::MAX))
    }

    async fn commit(&self, tx: Begun<'_>) -> Result<(), StoreError> {
        tx.0.commit().await
    }
}

type Cells = Vec<Cell>;

/// The transaction of a batch, begun on a session.
pub struct Begun<'s>(Writing, PhantomData<&'s mut ()>);

impl Deref for Begun<'_> {
    type Target = Writing;

    fn deref(&self) -> &Writing {
        &self.0
    }
}

impl DerefMut for Begun<'_> {
    fn deref_mut(&mut self) -> &mut Writing {
        &mut self.0
    }
}

/// What a transaction has written so far; nobody sees it before the commit. Dropped, it never was.
pub struct Writing {
    pub(super) database: Database,
    xid: u64,
    moves: Option<(FollowerKey, i64, i64)>,
    follower: String,
    parks: Vec<(i64, String, Option<String>)>,
    unparks: Vec<i64>,
    forgets: Vec<(FollowerKey, String)>,
    orders: Vec<(i64, Value, i64)>,
    settled: Vec<String>,
    jobs: Vec<NewJob>,
    pub(super) rows: BTreeMap<(String, usize), Vec<(Key, Cells)>>,
    /// What the handler wrote because of which event.
    applied: Vec<(i64, StreamId, i64)>,
}

impl Writing {
    fn begin(database: &Database) -> Self {
        Self {
            database: database.clone(),
            xid: database.begin_with_id(true),
            moves: None,
            follower: String::new(),
            parks: vec![],
            unparks: vec![],
            forgets: vec![],
            orders: vec![],
            settled: vec![],
            jobs: vec![],
            rows: BTreeMap::new(),
            applied: vec![],
        }
    }

    async fn hold(&self, lock: Lock) -> Result<(), StoreError> {
        self.database.hold(self.xid, lock).await
    }

    /// A statement of it: there, and back; fails when the transaction was ended from outside.
    pub(super) async fn statement(&self) -> Result<(), StoreError> {
        self.database.scheduler.pause().await;
        if self.database.per_mille(self.database.troubles.lost_before) {
            self.database.end(self.xid);
        }
        self.database.touch(self.xid)
    }

    /// Notes what a handler took, to be held against what it should have.
    pub(super) fn note_applied(&mut self, events: &[Recorded]) {
        let rows = events.chunk_by(|one, next| one.position == next.position);
        let firsts = rows.filter_map(<[Recorded]>::first);
        let noted = firsts.map(|event| (event.position, event.stream.clone(), event.sequence));
        self.applied.extend(noted);
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        let database = self.database.clone();
        self.statement().await?;
        if database.per_mille(database.troubles.late) {
            let late = database.scheduler.up_to(Duration::from_millis(500));
            database.scheduler.sleep(late).await;
            database.touch(self.xid)?;
        }
        if database.has(Mutation::EffectBeforeCheckpoint) {
            self.apply_rows();
            self.apply_jobs();
            let later = database.scheduler.up_to(Duration::from_millis(200));
            database.scheduler.sleep(later).await;
            self.apply_checkpoint();
        } else {
            self.apply_checkpoint();
            self.apply_rows();
            if database.has(Mutation::JobsOutsideCheckpoint) {
                // A transaction of its own.
                let later = database.scheduler.up_to(Duration::from_millis(200));
                database.scheduler.sleep(later).await;
            }
            self.apply_jobs();
        }
        database.inner().count("a batch was committed");
        drop(self);
        database.scheduler.pause().await;
        if database.per_mille(database.troubles.lost_after) {
            database.inner().count("an answer was lost on the way");
            return Err(gone());
        }
        Ok(())
    }

    fn apply_checkpoint(&mut self) {
        let Some((key, to, until)) = self.moves.take() else {
            return;
        };
        let mut inner = self.database.inner();
        let row = inner.followers.entry(key.clone()).or_default();
        let backwards = to < row.position;
        row.position = to;
        row.lease_until_ms = until;
        if backwards {
            let name = &key.0;
            inner
                .violations
                .push(format!("the checkpoint of {name} went back to {to}"));
        }
        for (position, parked, reason) in std::mem::take(&mut self.parks) {
            inner
                .parked
                .insert((key.clone(), position), (parked, reason));
            inner.count("an event was parked");
        }
        for position in std::mem::take(&mut self.unparks) {
            inner.parked.remove(&(key.clone(), position));
            inner.count("a parked event was taken");
        }
    }

    fn apply_rows(&mut self) {
        let mut inner = self.database.inner();
        for forgotten in std::mem::take(&mut self.forgets) {
            inner.retries.remove(&forgotten);
        }
        for (bookid, order, position) in std::mem::take(&mut self.orders) {
            inner.orders.insert(bookid, (order, position));
        }
        for (table, rows) in std::mem::take(&mut self.rows) {
            inner.tables.entry(table).or_default().extend(rows);
        }
        for (position, stream, sequence) in std::mem::take(&mut self.applied) {
            inner.check_applied(&self.follower, position, &stream, sequence);
        }
    }

    fn apply_jobs(&mut self) {
        let learns = !self.database.has(Mutation::JobForgotWhatItKnew);
        let now = self.database.scheduler.now();
        let mut inner = self.database.inner();
        inner.settle(CHARGE_JOB, &std::mem::take(&mut self.settled));
        for job in std::mem::take(&mut self.jobs) {
            inner.schedule(&job, now, learns);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.database.end(self.xid);
    }
}

/// The saga's orders, in memory.
pub struct Orders(pub Database);

#[async_trait]
impl Rows for Orders {
    type Connection = Writing;

    async fn load(&self, bookids: &[i64]) -> Result<Vec<StoredOrder>, StoreError> {
        self.0.scheduler.pause().await;
        let inner = self.0.inner();
        let stored = |bookid: &i64| {
            let (order, position) = inner.orders.get(bookid)?;
            Some(StoredOrder {
                bookid: *bookid,
                position: *position,
                order: serde_json::from_value(order.clone()).map_err(|error| error.to_string()),
            })
        };
        Ok(bookids.iter().filter_map(stored).collect())
    }

    async fn write(&self, tx: &mut Writing, written: Written<'_>) -> Result<(), StoreError> {
        tx.statement().await?;
        for (bookid, order, position) in written.orders {
            let order = serde_json::to_value(order)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            tx.orders.push((bookid, order, position));
        }
        tx.statement().await?;
        tx.settled = written.settled;
        tx.jobs = written.jobs;
        tx.statement().await
    }
}
