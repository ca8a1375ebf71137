//! Where a follower keeps how far it is, and what it parked: what the stores of both have in common.

use std::ops::DerefMut;

use async_trait::async_trait;

use super::{HandlerError, Parked, Step};
use crate::StoreError;
use crate::incidents::Class;

/// A held lease: the right to move a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Raised with every take-over.
    pub epoch: i64,
    /// Everything up to here was taken, or parked.
    pub position: i64,
}

/// A store of one follower's checkpoint and parked events. What the handler writes is written in the same
/// transaction, so it is in the same place.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// What is written through, in a transaction.
    type Connection: Send;
    /// A transaction; it is rolled back when it is dropped.
    type Transaction<'s>: DerefMut<Target = Self::Connection> + Send;
    /// A connection, for one transaction.
    type Session: Send;

    /// The follower's name, in metrics and log lines.
    fn name(&self) -> &str;

    /// The same for what is said of each slice apart.
    fn label(&self) -> String {
        self.name().to_owned()
    }

    /// Takes the lease; `None` when somebody else holds it.
    async fn hold(&self) -> Result<Option<Lease>, StoreError>;

    /// A sign of life of one that has nothing to take; false when the lease was lost.
    async fn renew(&self, lease: Lease) -> Result<bool, StoreError>;

    /// Gives the lease back.
    async fn release(&self, lease: Lease) -> Result<(), StoreError>;

    /// Every key that is parked, or was and is still to be forgotten.
    async fn parked_keys(&self) -> Result<Vec<String>, StoreError>;

    /// The keys of which something behind `position` was parked, and up to where all of them was taken, parked or
    /// discarded before. None where nobody begins again at a lower place.
    async fn dealt_with(&self, _position: i64) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(vec![])
    }

    /// The key to try again now, if there is one. Asked before every batch while anything is parked.
    async fn asked_for(&self) -> Result<Option<String>, StoreError>;

    /// The positions of a key's first parked events, in order.
    async fn parked_positions(&self, key: &str, limit: i64) -> Result<Vec<i64>, StoreError>;

    /// Waits for a connection.
    async fn session(&self) -> Result<Self::Session, StoreError>;

    /// Begins the transaction of a batch; it is rolled back when it is dropped.
    async fn begin<'s>(
        &self,
        session: &'s mut Self::Session,
    ) -> Result<Self::Transaction<'s>, StoreError>;

    /// Moves the checkpoint, as the first statement of a batch's transaction; false when the lease was lost.
    async fn advance(
        &self,
        tx: &mut Self::Connection,
        lease: Lease,
        to: i64,
    ) -> Result<bool, StoreError>;

    /// Parks these events.
    async fn park(&self, tx: &mut Self::Connection, events: &[Parked]) -> Result<(), StoreError>;

    /// Says of events that are parked already why they still are.
    async fn rewrite_reasons(
        &self,
        tx: &mut Self::Connection,
        events: &[Parked],
    ) -> Result<(), StoreError>;

    /// Takes what is about to be written out of the parked events; false when it is not all there any more.
    async fn unpark(
        &self,
        tx: &mut Self::Connection,
        positions: &[i64],
    ) -> Result<bool, StoreError>;

    /// Notes that a key was tried: whether one of its events is stuck again. How many of it are still parked.
    async fn tried(
        &self,
        tx: &mut Self::Connection,
        key: &str,
        stuck: bool,
    ) -> Result<i64, StoreError>;

    /// Commits a batch.
    async fn commit(&self, tx: Self::Transaction<'_>) -> Result<(), StoreError>;

    /// Says that this one could follow, unless its steps are `failing`, and hears whether it is the one that should
    /// while there are others.
    async fn turn(&self, _failing: bool) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Says that this one follows no more.
    async fn withdraw(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Keeps a row of what happens to the follower's lease, and says why it does.
    async fn note_lease(&self, _: Class) -> Result<String, StoreError> {
        Ok("somebody else has it".to_owned())
    }

    /// Keeps a row of why the follower fails, or (`None`) that it does no longer; true when that is news.
    async fn note_failing(&self, _: Option<&str>) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Hears how a step of [`super::run`] ended.
    fn stepped(&self, _: &Result<Step, HandlerError>) {}
}
