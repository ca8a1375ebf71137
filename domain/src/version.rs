//! How events are written and read back: names, versions, upcasters.
//!
//! A stored event is for ever. Its name and version stand in the journal beside the payload; a frozen JSON
//! sample of every name and version ever written lies in `domain/samples/`, and a test reads each of them
//! with the code of today. A changed shape gets a new version and an upcaster here; no sample is edited.

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};

use crate::book::Book;
use crate::payment::Payment;
use crate::space::Space;
use crate::{Event, book, payment, space};

/// The version that events are written with.
pub const CURRENT: &str = "1";

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No aggregate of this name is known.
    #[error("unknown aggregate type {0:?}")]
    UnknownAggregate(String),
    /// The payload is not an event of the aggregate, or not of a known version.
    #[error(
        "{aggregate_type} event {event_type:?} version {event_version:?} cannot be read: {source}"
    )]
    Unreadable {
        /// Which aggregate.
        aggregate_type: String,
        /// The stored name.
        event_type: String,
        /// The stored version.
        event_version: String,
        /// What serde says.
        source: serde_json::Error,
    },
}

/// Every upcaster, oldest first. None yet: all events are of their first version.
#[must_use]
pub fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
    vec![]
}

/// Reads a stored event, whatever version it was written with.
///
/// # Errors
/// [`DecodeError`] when the aggregate or the payload is unknown to this version of the code.
pub fn decode(stored: SerializedEvent) -> Result<Event, DecodeError> {
    let event = upcasters().iter().fold(stored, |event, upcaster| {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            upcaster.upcast(event)
        } else {
            event
        }
    });
    let SerializedEvent {
        aggregate_type,
        event_type,
        event_version,
        payload,
        ..
    } = event;
    let decoded = match aggregate_type.as_str() {
        Book::TYPE => serde_json::from_value::<book::Event>(payload).map(Event::Book),
        Payment::TYPE => serde_json::from_value::<payment::Event>(payload).map(Event::Payment),
        Space::TYPE => serde_json::from_value::<space::Event>(payload).map(Event::Space),
        _ => return Err(DecodeError::UnknownAggregate(aggregate_type)),
    };
    decoded.map_err(|source| DecodeError::Unreadable {
        aggregate_type,
        event_type,
        event_version,
        source,
    })
}
