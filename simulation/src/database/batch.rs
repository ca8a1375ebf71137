//! A follower's checkpoint, and the transaction of its batch.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use async_trait::async_trait;
use journal::StoreError;
use journal::follow::{Checkpoints, FollowerId, LEASE_MS, Lease, Parked, Slice};
use uuid::Uuid;

use super::locks::Lock;
use super::writing::Writing;
use super::{Checkpoint, Database, FollowerKey, key_of, parks_of};
use crate::mutation::Mutation;

/// The checkpoints of one follower, in memory.
pub struct InMemory {
    database: Database,
    id: FollowerId,
    key: FollowerKey,
    /// Under which it parks.
    parks: FollowerKey,
    slice: Slice,
    owner: Uuid,
}

impl InMemory {
    /// Those of `id`, for one process.
    #[must_use]
    pub fn new(database: Database, id: FollowerId, owner: Uuid) -> Self {
        Self::of_slice(database, id, Slice::ALL, owner)
    }

    /// Those of one slice of `id`, for one process.
    #[must_use]
    pub fn of_slice(database: Database, id: FollowerId, slice: Slice, owner: Uuid) -> Self {
        let id = id.of_slice(slice.number());
        let key = key_of(&id);
        Self {
            database,
            id,
            parks: parks_of(&key),
            key,
            slice,
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
        let is_there = if self.database.has(Mutation::ClaimOfAnotherCut) {
            inner.slices_of(&self.key) >= self.slice.number()
        } else {
            inner.slices_of(&self.key) == self.slice.count()
        };
        if !is_there {
            inner.count("a slice of another cut was denied");
            return None;
        }
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
        self.database
            .at_once(|database| {
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
        self.database
            .at_once(|database| {
                if database.has(Mutation::ParkedKeyForgotten) {
                    return vec![];
                }
                let inner = database.inner();
                let parked = inner
                    .parked
                    .iter()
                    .filter(|((name, _), _)| *name == self.parks);
                let asked = inner.retries.iter().filter(|(name, _)| *name == self.parks);
                let mut keys: Vec<String> = parked.map(|(_, (key, _))| key.clone()).collect();
                keys.extend(asked.map(|(_, key)| key.clone()));
                keys.retain(|key| self.slice.holds(key));
                keys.sort();
                keys.dedup();
                keys
            })
            .await
    }

    async fn dealt_with(&self, position: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let behind = inner.parked.iter().filter(|((name, at), (key, _))| {
                    *name == self.parks && *at > position && self.slice.holds(key)
                });
                // In order of position: the last one of a key is kept.
                behind
                    .map(|((_, at), (key, _))| (key.clone(), *at))
                    .collect()
            })
            .await
    }

    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let mut asked = inner
                    .retries
                    .iter()
                    .filter(|(name, key)| *name == self.parks && self.slice.holds(key));
                asked.next().map(|(_, key)| key.clone())
            })
            .await
    }

    async fn parked_positions(&self, key: &str, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let of_key = inner
                    .parked
                    .iter()
                    .filter(|((name, _), (parked, _))| *name == self.parks && parked == key);
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                of_key.map(|((_, at), _)| *at).take(limit).collect()
            })
            .await
    }

    async fn session(&self) -> Result<(), StoreError> {
        self.database.at_once(|_| ()).await
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
        let is_there = |at: &i64| inner.parked.contains_key(&(self.parks.clone(), *at));
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
            *name == self.parks && parked == key && !tx.unparks.contains(at)
        };
        let left = inner.parked.iter().filter(of_key).count();
        drop(inner);
        if stuck || left == 0 {
            tx.forgets.push((self.parks.clone(), key.to_owned()));
        }
        Ok(i64::try_from(left).unwrap_or(i64::MAX))
    }

    async fn commit(&self, tx: Begun<'_>) -> Result<(), StoreError> {
        tx.0.commit().await
    }
}

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
