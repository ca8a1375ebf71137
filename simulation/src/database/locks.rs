//! Transactions with ids, and the locks that they hold until they end.

use std::collections::BTreeSet;
use std::time::Duration;

use journal::append::Answer;
use journal::{StoreError, StreamId};
use uuid::Uuid;

use super::{Database, FollowerKey, Held, gone};

/// How long a lock is waited for.
const LOCK_MAX: Duration = Duration::from_secs(2);
/// How long a transaction may do nothing, in milliseconds: less than a lease.
const IDLE_MAX_MS: i64 = 4_000;

/// What may be held by one transaction at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    Event(StreamId, i64),
    Command(Uuid),
    /// Of every slot of a unit: the model's waits are a little longer than Postgres's.
    Unit(i64),
    /// Of the slots that a booking gives up.
    Slots(i64),
    /// Of a user's points.
    Spender(i64),
    Follower(FollowerKey),
}

/// A transaction that has an id.
#[derive(Debug)]
pub(super) struct Active {
    locks: BTreeSet<Lock>,
    /// When it last did something, if somebody looks after that.
    idle_since_ms: Option<i64>,
}

impl Database {
    /// A transaction that writes; `watched` ones are ended when they are idle for too long.
    pub(super) fn begin_with_id(&self, watched: bool) -> u64 {
        let now = self.scheduler.now_ms();
        let mut inner = self.inner();
        let xid = inner.next_xid;
        inner.next_xid += 1;
        let active = Active {
            locks: BTreeSet::new(),
            idle_since_ms: watched.then_some(now),
        };
        inner.active.insert(xid, active);
        xid
    }

    /// Its locks are free; what it wrote was committed before, or never is.
    pub(super) fn end(&self, xid: u64) {
        self.inner().active.remove(&xid);
        self.tell_ended();
    }

    /// A sign of life; fails when the transaction was ended from outside.
    pub(super) fn touch(&self, xid: u64) -> Result<(), StoreError> {
        let now = self.scheduler.now_ms();
        self.end_idle(now);
        let mut inner = self.inner();
        let active = inner.active.get_mut(&xid).ok_or_else(gone)?;
        if let Some(since) = &mut active.idle_since_ms {
            *since = now;
        }
        Ok(())
    }

    fn end_idle(&self, now: i64) {
        let mut inner = self.inner();
        let before = inner.active.len();
        inner.active.retain(|_, active| {
            active
                .idle_since_ms
                .is_none_or(|since| now - since <= IDLE_MAX_MS)
        });
        let ended = before - inner.active.len();
        if ended > 0 {
            inner.count("a transaction was ended because it was idle");
        }
    }

    /// Waits until nobody else holds `lock`, and holds it until `xid` ends.
    pub(super) async fn hold(&self, xid: u64, lock: Lock) -> Result<(), StoreError> {
        self.wait_for(xid, &lock).await?;
        let mut inner = self.inner();
        let active = inner.active.get_mut(&xid).ok_or_else(gone)?;
        active.locks.insert(lock);
        Ok(())
    }

    /// Waits while somebody else holds `lock`, which stays free; says whether anybody did.
    pub(super) async fn wait_for(&self, xid: u64, lock: &Lock) -> Result<bool, StoreError> {
        let mut timeout = Box::pin(self.scheduler.sleep(LOCK_MAX));
        let mut waits = None;
        loop {
            let mut ended = self.ended.subscribe();
            self.touch(xid)?;
            {
                let mut inner = self.inner();
                let held = |(id, active): (&u64, &super::Active)| {
                    *id != xid && active.locks.contains(lock)
                };
                if !inner.active.iter().any(held) {
                    return Ok(waits.is_some());
                }
                inner.count("a lock was waited for");
            }
            waits.get_or_insert_with(|| Waits::begin(self));
            tokio::select! {
                biased;
                _ = ended.changed() => {}
                () = &mut timeout => {
                    return Err(StoreError::Busy {
                        sqlstate: "55P03".to_owned(),
                        message: "canceling statement due to lock timeout".to_owned(),
                    });
                }
            }
        }
    }
}

impl Database {
    /// Stands still while a command that is about to be recorded is held.
    pub(super) async fn stand_still(
        &self,
        xid: u64,
        recorded: &[(Uuid, Answer)],
    ) -> Result<(), StoreError> {
        let mut waits = None;
        loop {
            let mut ended = self.ended.subscribe();
            let held = {
                let inner = self.inner();
                let of = |(id, _): &(Uuid, Answer)| Some((*id, *inner.held.get(id)?));
                recorded.iter().find_map(of)
            };
            match held {
                None => return Ok(()),
                Some((command, Held::Cancelled)) => {
                    self.inner().held.remove(&command);
                    return Err(StoreError::Busy {
                        sqlstate: "57014".to_owned(),
                        message: "canceling statement due to user request".to_owned(),
                    });
                }
                Some((_, Held::Still)) => waits.get_or_insert_with(|| Waits::begin(self)),
            };
            let _ = ended.changed().await;
            self.touch(xid)?;
        }
    }
}

/// Counts a statement that waits, until it is dropped.
struct Waits(Database);

impl Waits {
    fn begin(database: &Database) -> Self {
        database.inner().waiting += 1;
        Self(database.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.inner().waiting -= 1;
    }
}

/// A transaction of a statement: rolled back when it is dropped.
pub(super) struct Running {
    pub(super) database: Database,
    pub(super) xid: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.database.end(self.xid);
    }
}
