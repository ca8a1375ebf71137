//! A row of the feed as an event, or as one that this version of the code cannot read.

use cqrs_es::persist::SerializedEvent;
use domain::version;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::{Item, Recorded, SeenRow, Unreadable};
use crate::{StoreError, StreamId};

/// Reads a row of a look.
pub(super) fn read(row: &PgRow) -> Result<SeenRow, StoreError> {
    let position: i64 = row.try_get("position")?;
    let stream = StreamId {
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id: row.try_get("aggregate_id")?,
    };
    let event_type: String = row.try_get("event_type")?;
    let item = match decode(row, position, stream.clone(), event_type.clone())? {
        Ok(recorded) => Item::Event(Box::new(recorded)),
        Err(reason) => Item::Unreadable(Unreadable {
            position,
            stream,
            event_type,
            reason,
        }),
    };
    Ok(SeenRow {
        item,
        position,
        hole_is_dead: row.try_get("hole_is_dead")?,
    })
}

/// The outer error is the database's, the inner one the event's.
fn decode(
    row: &PgRow,
    position: i64,
    stream: StreamId,
    event_type: String,
) -> Result<Result<Recorded, String>, StoreError> {
    let sequence: i64 = row.try_get("sequence")?;
    let stored = SerializedEvent::new(
        stream.aggregate_id.clone(),
        usize::try_from(sequence).unwrap_or(0),
        stream.aggregate_type.clone(),
        event_type.clone(),
        row.try_get("event_version")?,
        row.try_get("payload")?,
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
