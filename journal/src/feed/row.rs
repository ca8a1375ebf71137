//! A row of the feed as events of today, or as one that this version of the code cannot read.

use domain::Event;
use domain::version::{self, DecodeError, Payload, Reading, Table};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Read, Stored};
use crate::{Metadata, StreamId};

/// What is to be done about an event that a newer version of this code wrote.
const UPGRADE: &str =
    "upgrade this node; then it is tried again by itself, or at once by `spacerent parked retry`";

/// An event as the journal holds it, in the words of today.
///
/// A row that was written before its event was split is read as several events: parts, in order. They share
/// everything but [`Recorded::part`], name and content, and are never torn apart: they come in one batch, and are
/// taken or parked together.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place in the whole journal.
    pub position: i64,
    /// Which of the events of its row, from 0.
    pub part: u32,
    /// Its stream.
    pub stream: StreamId,
    /// Its row's place in the stream, from 1.
    pub sequence: i64,
    /// Its row's id.
    pub event_id: Uuid,
    /// The command that stored it.
    pub command_id: Uuid,
    /// Its name of today.
    pub event_type: &'static str,
    /// When the database wrote it.
    pub recorded_at: Timestamp,
    /// What its row says beside the payload.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}

impl Recorded {
    /// The booking that it belongs to: all three streams of a booking carry its number.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.stream.aggregate_id
    }
}

/// A stored event that this version of the code cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place in the journal.
    pub position: i64,
    /// Its stream.
    pub stream: StreamId,
    /// Its name.
    pub event_type: String,
    /// The version that it was written with.
    pub event_version: String,
    /// Why it cannot be read.
    pub reason: String,
}

/// One row of the feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// What it says today.
    Events {
        /// Its place in the journal.
        position: i64,
        /// Mostly one event; several when it was split since; none when it means nothing any more.
        events: Vec<Recorded>,
    },
    /// One that cannot be read: it is shown, not skipped.
    Unreadable(Box<Unreadable>),
}

impl Item {
    /// A row, read by this table of events.
    #[must_use]
    pub fn of(row: Stored, table: &Table) -> Self {
        Self::read(row, table)
    }

    /// Its place in the journal.
    #[must_use]
    pub fn position(&self) -> i64 {
        match self {
            Self::Events { position, .. } => *position,
            Self::Unreadable(event) => event.position,
        }
    }

    /// What is parked together and taken in order: the booking's number. None of a row that means nothing.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Events { events, .. } => events.first().map(Recorded::key),
            Self::Unreadable(event) => Some(&event.stream.aggregate_id),
        }
    }

    /// Its events, in order.
    ///
    /// # Errors
    /// What it is instead, when it cannot be read.
    pub fn into_events(self) -> Result<Vec<Recorded>, Box<Unreadable>> {
        match self {
            Self::Events { events, .. } => Ok(events),
            Self::Unreadable(event) => Err(event),
        }
    }
}

impl Read for Item {
    fn read(row: Stored, table: &Table) -> Self {
        let reading = table.read(version::Stored {
            aggregate_type: &row.aggregate_type,
            event_type: &row.event_type,
            event_version: &row.event_version,
            payload: Payload::Text(row.payload.get()),
        });
        let read = match (reading, row.metadata()) {
            (Ok(reading), Ok(metadata)) => Ok((reading, metadata)),
            (Err(error @ DecodeError::Unknown { .. }), _) => Err(format!("{error}; {UPGRADE}")),
            (_, Err(reason)) => Err(reason),
            (Err(error), _) => Err(error.to_string()),
        };
        match read {
            Ok((reading, metadata)) => Self::Events {
                position: row.position,
                events: recorded(row, reading, metadata),
            },
            Err(reason) => Self::Unreadable(Box::new(Unreadable {
                position: row.position,
                stream: StreamId::new(&row.aggregate_type, &row.aggregate_id),
                event_type: row.event_type,
                event_version: row.event_version,
                reason,
            })),
        }
    }

    fn pass(row: Stored) -> Self {
        Self::Events {
            position: row.position,
            events: vec![],
        }
    }
}

/// The events of a row.
fn recorded(row: Stored, reading: Reading<Event>, metadata: Metadata) -> Vec<Recorded> {
    let first = |event: Event, stream, metadata| Recorded {
        position: row.position,
        part: 0,
        stream,
        sequence: row.sequence,
        event_id: row.event_id,
        command_id: row.command_id,
        event_type: event.name(),
        recorded_at: row.recorded_at,
        metadata,
        event,
    };
    let stream = StreamId {
        aggregate_type: row.aggregate_type,
        aggregate_id: row.aggregate_id,
    };
    match reading {
        Reading::Today(event) => vec![first(event, stream, metadata)],
        Reading::Upcast(events) => {
            let part = |(part, event)| Recorded {
                part,
                ..first(event, stream.clone(), metadata.clone())
            };
            (0..).zip(events).map(part).collect()
        }
    }
}
