//! A projection whose tables are in memory, and that looks at what it is given.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use journal::follow::{Handler, HandlerError};
use journal::{Recorded, StoreError};
use projections::batch::{self, Tables};
use projections::cell::Cell;
use projections::projection::{Key, Projection};
use projections::rows::Changed;

use super::Writing;
use crate::scheduler::lock;

/// A booking that cannot be folded for a while.
pub type Poison = Arc<Mutex<Option<String>>>;

/// Folds batches into tables in memory.
pub struct Shows {
    projection: &'static Projection,
    poison: Poison,
}

impl Shows {
    /// Fills the tables of this projection, but for the booking that is `poison` as long as it is.
    #[must_use]
    pub fn new(projection: &'static Projection, poison: Poison) -> Self {
        Self { projection, poison }
    }
}

#[async_trait]
impl Handler<Writing> for Shows {
    type Plan = ();

    async fn plan(&self, _: &[Recorded]) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut Writing,
        events: &[Recorded],
        (): (),
    ) -> Result<(), HandlerError> {
        let poison = lock(&self.poison).clone();
        let spoilt = events
            .iter()
            .find(|event| Some(event.key()) == poison.as_deref());
        if let Some(event) = spoilt {
            return Err(HandlerError::Poison {
                position: event.position,
                reason: "the simulation wants it so".to_owned(),
            });
        }
        let mut tables = InMemory {
            name: self.projection.name,
            tx,
        };
        batch::fold(self.projection, &mut tables, events).await?;
        tx.note_applied(events);
        Ok(())
    }
}

struct InMemory<'t> {
    name: &'static str,
    tx: &'t mut Writing,
}

#[async_trait]
impl Tables for InMemory<'_> {
    async fn load(&mut self, place: usize, keys: Vec<Key>) -> Result<Vec<Vec<Cell>>, StoreError> {
        self.tx.statement().await?;
        let inner = self.tx.database.inner();
        let table = inner.tables.get(&(self.name.to_owned(), place));
        let row = |key: &Key| table.and_then(|table| table.get(key)).cloned();
        Ok(keys.iter().filter_map(row).collect())
    }

    async fn save(&mut self, place: usize, rows: Vec<Changed>) -> Result<(), StoreError> {
        self.tx.statement().await?;
        let written = rows.into_iter().map(|row| (row.key, row.cells));
        let table = (self.name.to_owned(), place);
        self.tx.rows.entry(table).or_default().extend(written);
        Ok(())
    }
}
