//! An event as its row says it, for whoever carries the journal elsewhere: nothing is decoded, nothing rounded.

use domain::Event;
use domain::version::{self, DecodeError, Payload, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::Read;
use crate::{Journal, Metadata, StoreError};

/// A row of the journal. As JSON it is one object whose fields stand in this order; payload and metadata are the
/// database's own text, so that no number and no field is lost on the way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Its place in the whole journal.
    pub position: i64,
    /// Its id.
    pub event_id: Uuid,
    /// The command that stored it.
    pub command_id: Uuid,
    /// `Book`, `Payment` or `Space`.
    pub aggregate_type: String,
    /// The booking's number, as text.
    pub aggregate_id: String,
    /// Its place in the stream, from 1.
    pub sequence: i64,
    /// Its name.
    pub event_type: String,
    /// The version that it was written with.
    pub event_version: String,
    /// When the database wrote it, in UTC.
    pub recorded_at: Timestamp,
    /// What happened.
    pub payload: Box<RawValue>,
    /// When, by whom, because of what.
    pub metadata: Box<RawValue>,
}

impl Stored {
    /// When it was decided, by whom, because of what.
    ///
    /// # Errors
    /// Why this version of the code cannot read it.
    pub fn metadata(&self) -> Result<Metadata, String> {
        serde_json::from_str(self.metadata.get()).map_err(|error| format!("its metadata: {error}"))
    }

    /// What happened, in the words of today: mostly one event; several when it was split since, in order; none
    /// when it means nothing any more.
    ///
    /// # Errors
    /// [`DecodeError`] when this version of the code cannot read it.
    pub fn read(&self, events: &Table) -> Result<Vec<Event>, DecodeError> {
        let reading = events.read(version::Stored {
            aggregate_type: &self.aggregate_type,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: Payload::Text(self.payload.get()),
        })?;
        Ok(reading.into_events())
    }
}

impl Journal {
    /// The position to read behind for the last `count` committed events, of these names when there are any: a
    /// place to begin looking, not a promise that nothing before it is still to come.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn before_last(&self, count: i64, names: &[&str]) -> Result<i64, StoreError> {
        let first: Option<i64> = sqlx::query_scalar(
            "select min(position) from (
                 select position from events where $2 = '{}' or event_type = any ($2)
                 order by position desc limit $1
             ) last",
        )
        .bind(count)
        .bind(names)
        .fetch_one(self.pool())
        .await?;
        match first {
            Some(first) => Ok(first - 1),
            None => self.head().await,
        }
    }
}

impl Read for Stored {
    fn read(row: Self, _: &Table) -> Self {
        row
    }

    fn pass(row: Self) -> Self {
        row
    }
}

impl Stored {
    /// A row of the table.
    pub(crate) fn from_row(row: &PgRow) -> Result<Self, StoreError> {
        let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
        let Json(payload) = row.try_get("payload")?;
        let Json(metadata) = row.try_get("metadata")?;
        Ok(Self {
            position: row.try_get("position")?,
            event_id: row.try_get("event_id")?,
            command_id: row.try_get("command_id")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            recorded_at: recorded_at.to_jiff(),
            payload,
            metadata,
        })
    }
}
