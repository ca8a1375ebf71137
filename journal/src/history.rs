//! A stream as it was recorded: its state, and every event with when, by whom and because of what.
//!
//! Deciding needs the state alone ([`Journal::load`]). Whoever must know *when* something was asked, as the
//! workers that find out what became of a charge do, reads the history.

use cqrs_es::Aggregate;

use crate::loading::LoadedEvent;
use crate::{Journal, Metadata, StoreError};

/// A stream that has events. Those that one row was split into have the same metadata.
#[derive(Clone, Debug)]
pub struct History<A: Aggregate> {
    /// The fold of its events.
    pub aggregate: A,
    /// Its events, oldest first.
    pub events: Vec<(A::Event, Metadata)>,
    /// The version that it was read at, for [`Journal::execute_at`].
    pub version: i64,
}

impl Journal {
    /// A stream's history; none when nothing was ever recorded that still means something.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn history<A: Aggregate>(
        &self,
        id: impl ToString + Send,
    ) -> Result<Option<History<A>>, StoreError> {
        let loaded = self.stream::<A>(&id.to_string()).await?;
        let version = loaded.version;
        let mut aggregate = A::default();
        let mut events = Vec::with_capacity(loaded.events.len());
        for LoadedEvent {
            event, metadata, ..
        } in loaded.events
        {
            aggregate.apply(event.clone());
            events.push((event, Metadata::from_json(metadata)?));
        }
        Ok((!events.is_empty()).then_some(History {
            aggregate,
            events,
            version,
        }))
    }
}
