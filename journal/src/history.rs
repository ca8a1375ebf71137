//! A stream as it was recorded: its state, and every event with when, by whom and because of what.
//!
//! Deciding needs the state alone ([`Journal::load`]). Whoever must know *when* something was asked, as the
//! workers that find out what became of a charge do, reads the history.

use cqrs_es::{Aggregate, EventStore};

use crate::command::load_error;
use crate::{Journal, Metadata, StoreError};

/// A stream that has events.
#[derive(Clone, Debug)]
pub struct History<A: Aggregate> {
    /// The fold of its events.
    pub aggregate: A,
    /// Its events, oldest first.
    pub events: Vec<(A::Event, Metadata)>,
}

impl Journal {
    /// A stream's history; none when nothing was ever recorded.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn history<A: Aggregate>(
        &self,
        id: impl ToString + Send,
    ) -> Result<Option<History<A>>, StoreError> {
        let envelopes = self
            .store::<A>()
            .load_events(&id.to_string())
            .await
            .map_err(load_error)?;
        let mut aggregate = A::default();
        let mut events = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            aggregate.apply(envelope.payload.clone());
            events.push((envelope.payload, Metadata::from_map(envelope.metadata)?));
        }
        Ok((!events.is_empty()).then_some(History { aggregate, events }))
    }
}
