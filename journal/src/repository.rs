//! cqrs-es's repository over our append: reads are postgres-es's, writes are ours.
//!
//! postgres-es inserts one event a round trip, takes every unique violation for a version conflict, and
//! knows no command ids. Its reads are fine. Snapshots are refused: those of 0.5.0 apply events twice.

use std::collections::HashMap;

use cqrs_es::Aggregate;
use cqrs_es::persist::{
    PersistedEventRepository, PersistedEventStore, PersistenceError, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use postgres_es::PostgresEventRepository;
use serde_json::Value;

use crate::append::{Append, Outcome, StoredEvent, StreamAppend};
use crate::connections::statement;
use crate::{Journal, Metadata, StoreError, StreamId};

/// Loads and stores single streams for cqrs-es.
pub struct Repository {
    journal: Journal,
    reads: PostgresEventRepository,
}

impl Journal {
    /// cqrs-es's event store of one aggregate, on this journal.
    #[must_use]
    pub fn store<A: Aggregate>(&self) -> PersistedEventStore<Repository, A> {
        let reads = PostgresEventRepository::new(self.pool().pool().clone());
        PersistedEventStore::new_event_store(Repository {
            journal: self.clone(),
            reads,
        })
        .with_upcasters(domain::version::upcasters())
    }
}

impl PersistedEventRepository for Repository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        read(self.reads.get_events::<A>(aggregate_id)).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        read(self.reads.get_last_events::<A>(aggregate_id, last_sequence)).await
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(unknown("snapshots are not kept: streams are short"));
        }
        let Some(first) = events.first() else {
            return Ok(());
        };
        let append = self.one_command::<A>(first, events)?;
        match self.journal.append(vec![append]).await.pop() {
            Some(Ok(Outcome::Stored(_) | Outcome::Already(_))) => Ok(()),
            Some(Ok(Outcome::Conflict | Outcome::Taken)) => {
                Err(PersistenceError::OptimisticLockError)
            }
            Some(Err(error @ StoreError::Unreachable(_))) => {
                Err(PersistenceError::ConnectionError(Box::new(error)))
            }
            Some(Err(error)) => Err(PersistenceError::UnknownError(Box::new(error))),
            None => Err(unknown("the append was not answered")),
        }
    }

    async fn stream_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        self.reads.stream_events::<A>(aggregate_id).await
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        // Its stream is ordered by sequence, not by time, and ends without an error when it breaks.
        Err(unknown("read everything through the feed"))
    }
}

impl Repository {
    fn one_command<A: Aggregate>(
        &self,
        first: &SerializedEvent,
        events: &[SerializedEvent],
    ) -> Result<Append, PersistenceError> {
        let expected_version = i64::try_from(first.sequence.saturating_sub(1))
            .map_err(|error| PersistenceError::UnknownError(Box::new(error)))?;
        let metadata: HashMap<String, String> = serde_json::from_value(first.metadata.clone())?;
        let metadata: Metadata = serde_json::from_value(serde_json::to_value(metadata)?)?;
        let stored = |event: &SerializedEvent| StoredEvent {
            event_type: event.event_type.clone(),
            event_version: event.event_version.clone(),
            payload: event.payload.clone(),
        };
        Ok(Append {
            command_id: self.journal.random().uuid(),
            metadata,
            streams: vec![StreamAppend {
                stream: StreamId::new(A::TYPE, &first.aggregate_id),
                expected_version,
                events: events.iter().map(stored).collect(),
            }],
            claims: vec![],
        })
    }
}

/// Bounds a read of postgres-es as every statement of ours is bounded.
async fn read<T>(
    reading: impl Future<Output = Result<T, PersistenceError>>,
) -> Result<T, PersistenceError> {
    let silent = |silent| Err(PersistenceError::ConnectionError(Box::new(silent)));
    statement(reading).await.unwrap_or_else(silent)
}

fn unknown(message: &str) -> PersistenceError {
    PersistenceError::UnknownError(message.into())
}
