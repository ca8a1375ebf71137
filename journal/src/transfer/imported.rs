//! What of a journal came from elsewhere, for those who must not do again what was done there.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use uuid::Uuid;

use crate::{Identity, Journal, Recorded, StoreError};

/// Events that were imported together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Where the first of them stands.
    pub first: i64,
    /// Where the last of them stands.
    pub last: i64,
    /// What follows from those up to here was done where they come from.
    pub acted_to: i64,
    /// Whether charges and refunds among them that have no outcome are left to people.
    pub payments_held: bool,
}

/// An event, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caused {
    /// The event.
    pub event_id: Uuid,
    /// The id of its streams.
    pub aggregate_id: String,
    /// What led to it.
    pub causation_id: Uuid,
}

impl Caused {
    fn of(event: &Recorded) -> Option<Self> {
        Some(Self {
            event_id: event.event_id,
            aggregate_id: event.stream.aggregate_id.clone(),
            causation_id: event.metadata.causation_id?,
        })
    }
}

impl Imported {
    /// Whether the event at this position is one of them.
    #[must_use]
    pub fn holds(&self, position: i64) -> bool {
        (self.first..=self.last).contains(&position)
    }
}

/// An event that happened here because of one that was imported, at whatever distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Led {
    /// What happened here.
    pub event_id: Uuid,
    /// Where the imported event stands that led to it.
    pub position: i64,
    /// When that was stored where it comes from.
    pub recorded_at: Timestamp,
}

/// An import that did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The journal that its file is of.
    pub source: Identity,
    /// How many events are here.
    pub events: i64,
    /// Since when.
    pub begun_at: Timestamp,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an import of journal {} into this database is unfinished ({} events are here): go on with \
             `spacerent events import FILE`",
            self.source, self.events
        )
    }
}

impl Journal {
    /// The imports that brought events between these positions.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn imported(&self, first: i64, last: i64) -> Result<Vec<Imported>, StoreError> {
        self.store.imported(first, last).await
    }

    /// Which of these events follow from imported ones: from what happened elsewhere, the same may have followed there.
    /// Asks of each event for its cause, for the cause of that, and so on, within its booking.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn led_to_by_imports(&self, events: &[&Recorded]) -> Result<Vec<Led>, StoreError> {
        let caused: Vec<Caused> = events.iter().filter_map(|it| Caused::of(it)).collect();
        if caused.is_empty() {
            return Ok(vec![]);
        }
        self.store.led_to_by_imports(&caused).await
    }

    /// The import that is under way, or was interrupted: until it is finished, nothing may be stored here, and
    /// nobody may follow.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn unfinished_import(&self) -> Result<Option<Unfinished>, StoreError> {
        let row = sqlx::query(
            "select source, source_epoch, events, begun_at from imports where finished_at is null",
        )
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let begun_at: jiff_sqlx::Timestamp = row.try_get("begun_at")?;
        Ok(Some(Unfinished {
            source: Identity {
                uuid: row.try_get("source")?,
                epoch: row.try_get("source_epoch")?,
            },
            events: row.try_get("events")?,
            begun_at: begun_at.to_jiff(),
        }))
    }
}
