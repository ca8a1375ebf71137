//! What a transaction of a batch writes.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::order::CHARGE_JOB;
use journal::jobs::NewJob;
use journal::{Recorded, StoreError, StreamId};
use projections::cell::Cell;
use projections::projection::Key;
use serde_json::Value;

use super::locks::Lock;
use super::{Database, FollowerKey, gone, parks_of};
use crate::mutation::Mutation;

type Cells = Vec<Cell>;

/// What a transaction has written so far; nobody sees it before the commit. Dropped, it never was.
pub struct Writing {
    pub(super) database: Database,
    xid: u64,
    pub(super) moves: Option<(FollowerKey, i64, i64)>,
    pub(super) follower: String,
    pub(super) parks: Vec<(i64, String, Option<String>)>,
    pub(super) unparks: Vec<i64>,
    pub(super) forgets: Vec<(FollowerKey, String)>,
    pub(super) orders: Vec<(i64, Value, i64)>,
    pub(super) settled: Vec<String>,
    pub(super) jobs: Vec<NewJob>,
    pub(super) unwanted: Vec<String>,
    pub(super) rows: BTreeMap<(String, usize), Vec<(Key, Cells)>>,
    /// What the handler wrote because of which event.
    applied: Vec<(i64, StreamId, i64)>,
}

impl Writing {
    pub(super) fn begin(database: &Database) -> Self {
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
            unwanted: vec![],
            rows: BTreeMap::new(),
            applied: vec![],
        }
    }

    pub(super) async fn hold(&self, lock: Lock) -> Result<(), StoreError> {
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

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
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

    pub(super) fn apply_checkpoint(&mut self) {
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
        let parks = parks_of(&key);
        for (position, parked, reason) in std::mem::take(&mut self.parks) {
            inner
                .parked
                .insert((parks.clone(), position), (parked, reason));
            inner.count("an event was parked");
        }
        for position in std::mem::take(&mut self.unparks) {
            inner.parked.remove(&(parks.clone(), position));
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
        inner.look_again(CHARGE_JOB, &std::mem::take(&mut self.unwanted), now);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.database.end(self.xid);
    }
}
