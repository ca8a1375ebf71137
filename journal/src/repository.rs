//! cqrs-es's own framework on this journal, for a user of this crate who wants `CqrsFramework` or another thing that
//! takes an event store.
//!
//! [`Journal::store`] gives it one: loading goes through the table of events, and what it commits goes through our
//! append, under the same rules as everything else. Spacerent itself does not come this way. It runs commands by
//! [`Journal::execute`](crate::command), which knows what the framework does not: several streams in one commit,
//! command ids, slots, and a second decision after a conflict. Tests hold that both write the same.
//!
//! postgres-es's own store inserts one event a round trip, takes every unique violation for a version conflict, and
//! knows no command ids. Its reads are fine ([`crate::store`]). Snapshots are refused: those of 0.5.0 apply events
//! twice.

use std::collections::HashMap;

use cqrs_es::persist::{
    EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore, PersistenceError,
    ReplayStream, SerializedEvent, SerializedSnapshot,
};
use cqrs_es::{Aggregate, AggregateError, EventEnvelope, EventStore};
use serde_json::Value;

use crate::append::{Append, Needs, Outcome, StoredEvent, StreamAppend, written};
use crate::loading::LoadedEvent;
use crate::{Journal, Metadata, StoreError, StreamId};

/// Loads and stores single streams for cqrs-es, row by row.
pub struct Repository {
    journal: Journal,
}

/// cqrs-es's event store of one aggregate. Its own reads one event from a row, and takes the last event that it
/// read for the stream's version: a row that was split or means nothing any more would make every later command a
/// conflict. So loading is ours.
pub struct Streams<A: Aggregate + Send + Sync> {
    journal: Journal,
    store: PersistedEventStore<Repository, A>,
}

impl Journal {
    /// cqrs-es's event store of one aggregate, on this journal.
    #[must_use]
    pub fn store<A: Aggregate>(&self) -> Streams<A> {
        Streams {
            journal: self.clone(),
            store: PersistedEventStore::new_event_store(self.repository()),
        }
    }

    fn repository(&self) -> Repository {
        Repository {
            journal: self.clone(),
        }
    }
}

impl<A: Aggregate + Send + Sync> EventStore<A> for Streams<A> {
    type AC = EventStoreAggregateContext<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let loaded = self.journal.stream::<A>(aggregate_id).await;
        let events = loaded.map_err(aggregate_error)?.events.into_iter();
        let envelope = |loaded: LoadedEvent<A::Event>| {
            Ok(EventEnvelope {
                aggregate_id: aggregate_id.to_owned(),
                sequence: loaded.sequence,
                payload: loaded.event,
                metadata: serde_json::from_value(loaded.metadata)?,
            })
        };
        events.map(envelope).collect()
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<Self::AC, AggregateError<A::Error>> {
        let loaded = self.journal.stream::<A>(aggregate_id).await;
        let loaded = loaded.map_err(aggregate_error)?;
        let mut aggregate = A::default();
        for LoadedEvent { event, .. } in loaded.events {
            aggregate.apply(event);
        }
        Ok(EventStoreAggregateContext {
            aggregate_id: aggregate_id.to_owned(),
            aggregate,
            current_sequence: usize::try_from(loaded.version).unwrap_or(0),
            current_snapshot: None,
        })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        self.store.commit(events, context, metadata).await
    }
}

impl PersistedEventRepository for Repository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let stream = StreamId::new(A::TYPE, aggregate_id);
        let rows = self.journal.store.stream(&stream).await;
        rows.map_err(persistence_error)
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let rows = self.get_events::<A>(aggregate_id).await?;
        let newer = |row: &SerializedEvent| row.sequence > last_sequence;
        Ok(rows.into_iter().filter(newer).collect())
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
            Some(Ok(Outcome::Conflict | Outcome::Taken | Outcome::NotCovered)) => {
                Err(PersistenceError::OptimisticLockError)
            }
            Some(Err(error)) => Err(persistence_error(error)),
            None => Err(unknown("the append was not answered")),
        }
    }

    async fn stream_events<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        // Its stream knows no table of events, and reads one event from a row.
        Err(unknown("read a stream through the store or its history"))
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
        let stored = |event: &SerializedEvent| {
            let version = written(&self.journal.events, A::TYPE, &event.event_type)?;
            Ok::<_, StoreError>(StoredEvent {
                event_type: event.event_type.clone(),
                event_version: version.to_owned(),
                payload: event.payload.clone(),
            })
        };
        let stored: Result<_, StoreError> = events.iter().map(stored).collect();
        let mut needs = Needs::default();
        for event in events {
            needs.add_stored(A::TYPE, &event.payload);
        }
        Ok(Append {
            command_id: self.journal.random().uuid(),
            metadata,
            streams: vec![StreamAppend {
                stream: StreamId::new(A::TYPE, &first.aggregate_id),
                expected_version,
                events: stored.map_err(|error| PersistenceError::UnknownError(Box::new(error)))?,
            }],
            claims: vec![],
            release: needs.release,
            spend: needs.spend,
        })
    }
}

fn persistence_error(error: StoreError) -> PersistenceError {
    match error {
        StoreError::Unreachable(_) => PersistenceError::ConnectionError(Box::new(error)),
        _ => PersistenceError::UnknownError(Box::new(error)),
    }
}

fn aggregate_error<E: std::error::Error>(error: StoreError) -> AggregateError<E> {
    match error {
        error @ StoreError::Unreachable(_) => {
            AggregateError::DatabaseConnectionError(Box::new(error))
        }
        error @ (StoreError::Unreadable(_) | StoreError::Newer(_)) => {
            AggregateError::DeserializationError(Box::new(error))
        }
        error => AggregateError::UnexpectedError(Box::new(error)),
    }
}

fn unknown(message: &str) -> PersistenceError {
    PersistenceError::UnknownError(message.into())
}
