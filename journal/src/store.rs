//! What the journal asks of its database, as a trait: every call is one statement, and so one snapshot or one
//! commit. What is decided around the calls (when to look again, what is delivered, what is sent again) stands in
//! [`crate::feed`], [`crate::append`], [`crate::command`] and [`crate::jobs`], and runs over any store.
//!
//! [`Postgres`] is the one that is shipped. The simulation brings one in memory, in which commits become visible
//! late, and holds all of the above against it; one suite is run against both, so that they cannot drift apart.

mod postgres;

use std::collections::HashMap;

use async_trait::async_trait;
use cqrs_es::persist::SerializedEvent;
use jiff::Timestamp;
use uuid::Uuid;

use crate::append::{Answer, Append, Outcome};
use crate::feed::{Look, Proof, Span, Stored};
use crate::jobs::{Claimed, Finish, Job, NewJob};
use crate::transfer::{Caused, Imported, Led};
use crate::{StoreError, StreamId};

pub use postgres::Postgres;

/// Why a group was not stored; nothing of it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAppended {
    /// A member won only part of what it asked for: a slot was taken, or (not `taken`) another version is there,
    /// or its id was recorded by somebody else meanwhile.
    #[error("a command won only part of what it asked for")]
    Half {
        /// Whether it was a slot.
        taken: bool,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A database that holds a journal.
///
/// Every method fails with [`StoreError`] when the database does not answer or refuses. One that ends with
/// [`StoreError::Unreachable`] may have happened.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a group in one commit, in which each stream stands once, by the rules of `journal_append`
    /// (migrations/0023). Outcomes stand in the order of the commands.
    ///
    /// # Errors
    /// [`NotAppended`]; nothing of the group is stored.
    async fn append(&self, group: &[Append]) -> Result<Vec<Outcome>, NotAppended>;

    /// The answers of those among `ids` that stored something.
    async fn answers(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Answer>, StoreError>;

    /// A stream's rows, oldest first.
    async fn stream(&self, stream: &StreamId) -> Result<Vec<SerializedEvent>, StoreError>;

    /// Last position and version of each of these streams; of one without rows, nothing.
    async fn standing(&self, streams: &[StreamId]) -> Result<Answer, StoreError>;

    /// At most `limit` committed rows behind `after`, in order of position, which of the holes between them are
    /// known to be dead, and the verdict on `proof`: all from one snapshot.
    async fn look(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
    ) -> Result<Look<Stored>, StoreError>;

    /// The rows at these positions, in order; of positions without a row, nothing.
    async fn rows_at(&self, positions: &[i64]) -> Result<Vec<Stored>, StoreError>;

    /// Draws a transaction id in a transaction of its own.
    async fn draw_x(&self) -> Result<String, StoreError>;

    /// Notes spans that `proof` showed to be dead, for every reader.
    async fn record_dead(
        &self,
        spans: &[Span],
        proof: &Proof,
        reader: &str,
    ) -> Result<(), StoreError>;

    /// Says where a reader holds; nowhere, when there is no hole.
    async fn hold_at(
        &self,
        reader: &str,
        hole: Option<Span>,
        proof: Option<&Proof>,
    ) -> Result<(), StoreError>;

    /// The imports that brought events between these positions.
    async fn imported(&self, first: i64, last: i64) -> Result<Vec<Imported>, StoreError>;

    /// Those of these events that follow from imported ones, at whatever distance.
    async fn led_to_by_imports(&self, events: &[Caused]) -> Result<Vec<Led>, StoreError>;

    /// Claims up to `limit` jobs of these kinds that are due, for `lease_ms`; due by `set_time` where a clock was set by
    /// hand, else by the database's clock. What cannot be read is claimed like the others.
    async fn claim_jobs(
        &self,
        kinds: &[&str],
        owner: Uuid,
        limit: i32,
        lease_ms: i32,
        set_time: Option<Timestamp>,
    ) -> Result<Claimed, StoreError>;

    /// Writes a job; one that is there is open again, and whoever has it claimed finds the fence shut.
    async fn reopen_job(&self, job: &NewJob) -> Result<(), StoreError>;

    /// Adds to what a claimed job knows; false when somebody else holds it by now.
    async fn note_job(
        &self,
        job: &Job,
        notes: &HashMap<String, String>,
    ) -> Result<bool, StoreError>;

    /// Ends a claim; false when somebody else holds the job by now.
    async fn finish_job(&self, job: &Job, finish: &Finish) -> Result<bool, StoreError>;

    /// Whether people asked for this job to be tried again.
    async fn was_retried(&self, job: i64) -> Result<bool, StoreError>;

    /// How many jobs of a kind are open, of those whose key ends so.
    async fn open_jobs(&self, kind: &str, ending: &str) -> Result<i64, StoreError>;
}
