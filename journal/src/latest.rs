//! The newest events in short, for eyes.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::{Journal, StoreError, StreamId};

/// What was stored, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Its place in the whole journal.
    pub position: i64,
    /// When the database wrote it, in UTC.
    pub recorded_at: Timestamp,
    /// Whose event it is.
    pub stream: StreamId,
    /// Its name.
    pub event_type: String,
}

impl Journal {
    /// The `count` committed events with the highest positions, newest first. One with a lower position may still
    /// be committed later: this is for looking, [`crate::feed`] is for reading.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn latest(&self, count: i64) -> Result<Vec<Latest>, StoreError> {
        let rows = sqlx::query(
            "select position, recorded_at, aggregate_type, aggregate_id, event_type
             from events order by position desc limit $1",
        )
        .bind(count)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &PgRow) -> Result<Latest, StoreError> {
    let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
    Ok(Latest {
        position: row.try_get("position")?,
        recorded_at: recorded_at.to_jiff(),
        stream: StreamId {
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
        },
        event_type: row.try_get("event_type")?,
    })
}
