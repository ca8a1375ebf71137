//! The rows of one batch, in memory: loaded before the fold, changed by it, written after it.
//!
//! A fold asks for a row by type and key and changes it in place, or adds one. That is all it can do. Rows that
//! were touched are written by `store` in one statement per table.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use journal::Recorded;

use crate::cell::{Cell, Misfit};
use crate::packed;
use crate::projection::{AnyRow, Key, Projection, Row, Table, Touched, Unfit};

/// The rows that a batch touches, of every table of one projection.
pub struct Rows {
    tables: Vec<TableRows>,
}

struct TableRows {
    table: &'static Table,
    rows: BTreeMap<Key, Slot>,
}

/// One row, and what it was when it was loaded.
struct Slot {
    row: Box<dyn AnyRow>,
    loaded: Option<u64>,
    changed: bool,
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its key.
    pub key: Key,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// The fingerprint of the stored row that it replaces.
    pub replaces: Option<u64>,
}

impl Rows {
    /// No rows yet, of these tables.
    #[must_use]
    pub fn new(projection: &'static Projection) -> Self {
        let empty = |table| TableRows {
            table,
            rows: BTreeMap::new(),
        };
        Self {
            tables: projection.tables.iter().map(empty).collect(),
        }
    }

    /// Takes a stored row of the table at `place` in the projection's list.
    ///
    /// # Errors
    /// [`Misfit`] when it is not what the columns say.
    pub fn load(&mut self, place: usize, cells: Vec<Cell>) -> Result<(), Misfit> {
        let Some(TableRows { table, rows }) = self.tables.get_mut(place) else {
            return Ok(());
        };
        let loaded = Some(fingerprint(&cells));
        let key = table.key_of(&cells)?;
        let row = (table.read)(cells)?;
        rows.insert(
            key,
            Slot {
                row,
                loaded,
                changed: false,
            },
        );
        Ok(())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Unfit`] when there is one with its key.
    pub fn add<R: Row>(&mut self, row: R) -> Result<(), Unfit> {
        let rows = self.of::<R>()?;
        let key = row.key();
        if rows.contains_key(&key) {
            return Err(Unfit(format!(
                "there is a row {key} in {} already",
                R::TABLE
            )));
        }
        rows.insert(
            key,
            Slot {
                row: Box::new(row),
                loaded: None,
                changed: true,
            },
        );
        Ok(())
    }

    /// The row with this key, if there is one.
    #[must_use]
    pub fn get<R: Row>(&self, key: &Key) -> Option<&R> {
        let table = self
            .tables
            .iter()
            .find(|rows| rows.table.name == R::TABLE)?;
        table.rows.get(key)?.row.as_any().downcast_ref()
    }

    /// The row with this key, to be changed.
    ///
    /// # Errors
    /// [`Unfit`] when there is none.
    pub fn change<R: Row>(&mut self, key: &Key) -> Result<&mut R, Unfit> {
        self.change_if_there(key)?
            .ok_or_else(|| Unfit(format!("there is no row {key} in {}", R::TABLE)))
    }

    /// The row with this key, to be changed, if there is one.
    ///
    /// # Errors
    /// [`Unfit`] when the projection has no such table.
    pub fn change_if_there<R: Row>(&mut self, key: &Key) -> Result<Option<&mut R>, Unfit> {
        let Some(slot) = self.of::<R>()?.get_mut(key) else {
            return Ok(None);
        };
        slot.changed = true;
        Ok(slot.row.as_any_mut().downcast_mut())
    }

    /// What is to be written into the table at `place`, in the order of keys.
    #[must_use]
    pub fn changed(&self, place: usize) -> Vec<Changed> {
        let rows = self
            .tables
            .get(place)
            .into_iter()
            .flat_map(|table| &table.rows);
        rows.filter(|(_, slot)| slot.changed)
            .map(|(key, slot)| Changed {
                key: key.clone(),
                cells: slot.row.cells(),
                replaces: slot.loaded,
            })
            .collect()
    }

    fn of<R: Row>(&mut self) -> Result<&mut BTreeMap<Key, Slot>, Unfit> {
        let table = self
            .tables
            .iter_mut()
            .find(|rows| rows.table.name == R::TABLE);
        table
            .map(|table| &mut table.rows)
            .ok_or_else(|| Unfit(format!("the projection has no table {}", R::TABLE)))
    }
}

/// Which rows of a table a batch may change; `rows` has those of the tables before it.
#[must_use]
pub fn touched(table: &Table, rows: &Rows, events: &[Recorded]) -> Vec<Key> {
    let mut keys: Vec<_> = match table.touched {
        None => return vec![],
        Some(Touched::ByEvent(touched)) => events.iter().filter_map(touched).collect(),
        Some(Touched::ByRows(touched)) => touched(rows, events),
    };
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A number that two rows share only when they are the same, for all that matters: [`fingerprint_of`] its tuple.
#[must_use]
pub fn fingerprint(cells: &[Cell]) -> u64 {
    let mut tuple = Vec::with_capacity(64 * cells.len());
    packed::push(&mut tuple, cells);
    fingerprint_of(&tuple)
}

/// The fingerprint of a row as [`packed`] carries it. Another build of this program may compute another one; where
/// one is kept longer than a run, that reads as "not the same row", never as the same one.
#[must_use]
pub fn fingerprint_of(tuple: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(tuple);
    hasher.finish()
}
