//! What every event says beside its payload: when, by whom, because of what.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::StoreError;

/// Who caused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A customer.
    Customer,
    /// A manager.
    Manager,
    /// The system itself: saga, worker, payment role.
    System,
}

impl Actor {
    /// The word in the metadata and on the timeline.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Manager => "manager",
            Self::System => "system",
        }
    }
}

/// Where a command comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The journey: the same on everything that one request led to.
    pub correlation_id: String,
    /// The event that made the system send this command; none for a request from outside.
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Who caused it.
    pub actor: Actor,
    /// Who exactly: a user's number, or the name of a worker.
    pub actor_id: Option<String>,
}

impl Trace {
    /// A command that worker `name` sends because of an event with this metadata.
    #[must_use]
    pub fn caused_by(event_id: Uuid, metadata: &Metadata, name: &str) -> Self {
        Self {
            correlation_id: metadata.correlation_id.clone(),
            causation_id: Some(event_id),
            traceparent: metadata.traceparent.clone(),
            actor: Actor::System,
            actor_id: Some(name.to_owned()),
        }
    }
}

/// An event's metadata. Stored as a flat map of strings, because cqrs-es can load nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// When it was decided, by the clock of the process that decided.
    pub occurred_at: Timestamp,
    /// The journey.
    #[serde(default)]
    pub correlation_id: String,
    /// The event that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Who caused it.
    pub actor_type: Actor,
    /// Who exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
}

impl Metadata {
    /// The metadata of what `trace` causes at `occurred_at`.
    #[must_use]
    pub fn new(trace: &Trace, occurred_at: Timestamp) -> Self {
        Self {
            occurred_at,
            correlation_id: trace.correlation_id.clone(),
            causation_id: trace.causation_id,
            traceparent: trace.traceparent.clone(),
            actor_type: trace.actor,
            actor_id: trace.actor_id.clone(),
        }
    }

    /// Reads it as it is stored.
    pub(crate) fn from_json(json: serde_json::Value) -> Result<Self, StoreError> {
        serde_json::from_value(json).map_err(|error| StoreError::Unreadable(error.to_string()))
    }

    /// The map that cqrs-es carries.
    #[must_use]
    pub fn to_map(&self) -> HashMap<String, String> {
        let mut map = HashMap::from([
            ("occurred_at".to_owned(), self.occurred_at.to_string()),
            ("correlation_id".to_owned(), self.correlation_id.clone()),
            ("actor_type".to_owned(), self.actor_type.as_str().to_owned()),
        ]);
        map.extend(
            self.causation_id
                .map(|id| ("causation_id".to_owned(), id.to_string())),
        );
        map.extend(
            self.traceparent
                .clone()
                .map(|tp| ("traceparent".to_owned(), tp)),
        );
        map.extend(self.actor_id.clone().map(|id| ("actor_id".to_owned(), id)));
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_holds_strings_only_and_reads_back() {
        let metadata = Metadata {
            occurred_at: "2026-11-22T08:40:01.123456Z".parse().unwrap(),
            correlation_id: "journey".into(),
            causation_id: Some(Uuid::from_u128(7)),
            traceparent: Some("00-1-2-01".into()),
            actor_type: Actor::Customer,
            actor_id: Some("1".into()),
        };
        let stored = metadata.to_map().into_iter().collect();
        assert_eq!(Metadata::from_json(stored).unwrap(), metadata);
    }
}
