//! A row of the feed as an event, or as one that this version of the code cannot read.

use cqrs_es::persist::SerializedEvent;
use domain::{Event, version};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::FromRow;
use crate::{Metadata, StoreError, StreamId};

/// An event as the journal holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place in the whole journal.
    pub position: i64,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream, from 1.
    pub sequence: i64,
    /// Its id.
    pub event_id: Uuid,
    /// The command that stored it.
    pub command_id: Uuid,
    /// Its name.
    pub event_type: String,
    /// When the database wrote it.
    pub recorded_at: Timestamp,
    /// What it says beside its payload.
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
    /// Why.
    pub reason: String,
}

/// One event of the feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event.
    Event(Box<Recorded>),
    /// One that cannot be read: it is shown, not skipped.
    Unreadable(Unreadable),
}

impl Item {
    pub(crate) fn position(&self) -> i64 {
        match self {
            Self::Event(event) => event.position,
            Self::Unreadable(event) => event.position,
        }
    }
}

impl FromRow for Item {
    fn from_row(row: &PgRow) -> Result<Self, StoreError> {
        let position: i64 = row.try_get("position")?;
        let stream = StreamId {
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
        };
        let event_type: String = row.try_get("event_type")?;
        Ok(
            match decode(row, position, stream.clone(), event_type.clone())? {
                Ok(recorded) => Self::Event(Box::new(recorded)),
                Err(reason) => Self::Unreadable(Unreadable {
                    position,
                    stream,
                    event_type,
                    reason,
                }),
            },
        )
    }
}

/// The outer error is the database's, the inner one the event's.
fn decode(
    row: &PgRow,
    position: i64,
    stream: StreamId,
    event_type: String,
) -> Result<Result<Recorded, String>, StoreError> {
    let sequence: i64 = row.try_get("sequence")?;
    let payload: Value = match row.try_get("payload") {
        Ok(payload) => payload,
        // A number that is beyond every number of ours.
        Err(sqlx::Error::ColumnDecode { source, .. }) => {
            return Ok(Err(format!("its payload: {source}")));
        }
        Err(error) => return Err(error.into()),
    };
    let stored = SerializedEvent::new(
        stream.aggregate_id.clone(),
        usize::try_from(sequence).unwrap_or(0),
        stream.aggregate_type.clone(),
        event_type.clone(),
        row.try_get("event_version")?,
        payload,
        Value::Null,
    );
    let metadata = match row.try_get("metadata") {
        Ok(Json(metadata)) => metadata,
        Err(sqlx::Error::ColumnDecode { source, .. }) => {
            return Ok(Err(format!("its metadata: {source}")));
        }
        Err(error) => return Err(error.into()),
    };
    let event = match version::decode(stored) {
        Ok(event) => event,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
    Ok(Ok(Recorded {
        position,
        stream,
        sequence,
        event_id: row.try_get("event_id")?,
        command_id: row.try_get("command_id")?,
        event_type,
        recorded_at: recorded_at.to_jiff(),
        metadata,
        event,
    }))
}
