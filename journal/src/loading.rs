//! Reads a stream: rows as the store has them, events as they are meant today.

use cqrs_es::Aggregate;
use domain::version::{Payload, Stored};
use serde_json::Value;

use crate::{Journal, StoreError, StreamId};

/// A stream as it is read today.
pub(crate) struct Loaded<E> {
    /// Sequence of the last stored row, whatever is read from it; 0 for a stream without one.
    pub(crate) version: i64,
    /// Sequence of the last row that says something: the version that read models show.
    pub(crate) shown: i64,
    /// Its events, oldest first.
    pub(crate) events: Vec<LoadedEvent<E>>,
}

/// An event of a stream.
pub(crate) struct LoadedEvent<E> {
    /// Its row's.
    pub(crate) sequence: usize,
    pub(crate) event: E,
    pub(crate) metadata: Value,
}

impl Journal {
    /// Reads a stream: postgres-es's rows, through the table of events.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or an event cannot be read.
    pub(crate) async fn stream<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<Loaded<A::Event>, StoreError> {
        let rows = self.store.stream(&StreamId::new(A::TYPE, id)).await?;
        let mut loaded = Loaded {
            version: 0,
            shown: 0,
            events: Vec::new(),
        };
        for row in rows {
            loaded.version = i64::try_from(row.sequence)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            let reading = self.events.read_as::<A::Event>(Stored {
                aggregate_type: &row.aggregate_type,
                event_type: &row.event_type,
                event_version: &row.event_version,
                payload: Payload::Tree(row.payload),
            })?;
            for event in reading.into_events() {
                loaded.shown = loaded.version;
                loaded.events.push(LoadedEvent {
                    sequence: row.sequence,
                    event,
                    metadata: row.metadata.clone(),
                });
            }
        }
        Ok(loaded)
    }
}
