//! One batch of events, folded: rows loaded, changed in memory, saved. The same for every store.

use async_trait::async_trait;
use journal::follow::HandlerError;
use journal::{Recorded, StoreError};

use crate::cell::Cell;
use crate::projection::{Key, Projection};
use crate::rows::{Changed, Rows, touched};

/// The tables of one projection, within the transaction of a batch. A table is named by its place in the
/// projection's list.
#[async_trait]
pub trait Tables: Send {
    /// The rows with these keys, in no order.
    async fn load(&mut self, place: usize, keys: Vec<Key>) -> Result<Vec<Vec<Cell>>, StoreError>;

    /// Writes rows over what is there.
    async fn save(&mut self, place: usize, rows: Vec<Changed>) -> Result<(), StoreError>;
}

/// Folds events into tables.
///
/// # Errors
/// [`HandlerError::Poison`] names the event that cannot be folded; else that of the tables.
pub async fn fold(
    projection: &'static Projection,
    tables: &mut dyn Tables,
    events: &[Recorded],
) -> Result<(), HandlerError> {
    let mut rows = Rows::new(projection);
    for (place, table) in projection.tables.iter().enumerate() {
        let keys = touched(table, &rows, events);
        if keys.is_empty() {
            continue;
        }
        for cells in tables.load(place, keys).await? {
            rows.load(place, cells).map_err(StoreError::from)?;
        }
    }
    for event in events {
        (projection.fold)(&mut rows, event).map_err(|unfit| HandlerError::Poison {
            position: event.position,
            reason: unfit.to_string(),
        })?;
    }
    for place in 0..projection.tables.len() {
        tables.save(place, rows.changed(place)).await?;
    }
    Ok(())
}
