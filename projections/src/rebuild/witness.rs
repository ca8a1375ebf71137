//! Remembers what was written into a generation, so that what is read back can be held against it.
//!
//! Not the rows themselves, which would not fit into memory: per table their number and the sum of their
//! fingerprints. A row that replaces another takes the old one's fingerprint, as it was loaded, out of the sum
//! again; if somebody changed it in between, the sum never comes right. Once everything was read back and found
//! right, the keys of the few rows that are still to come are kept too, so that they can be read back alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::cell::Cell;
use crate::live::Witness;
use crate::projection::Key;
use crate::rows::{Changed, fingerprint};

/// The rows of a table, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many.
    pub(super) rows: u64,
    fingerprints: u64,
}

impl Sum {
    /// Takes a row into account.
    pub(super) fn add(&mut self, cells: &[Cell]) {
        self.rows += 1;
        self.fingerprints = self.fingerprints.wrapping_add(fingerprint(cells));
    }
}

/// What one table was given.
#[derive(Clone, Debug, Default)]
struct Given {
    sum: Sum,
    /// The rows written since [`Memory::keep_keys`].
    latest: BTreeMap<Key, Vec<Cell>>,
}

/// The witness of one generation.
#[derive(Debug)]
pub(super) struct Memory(Mutex<Notes>);

#[derive(Debug)]
struct Notes {
    tables: Vec<Given>,
    keep_keys: bool,
}

impl Memory {
    /// Of an empty generation with this many tables.
    pub(super) fn new(tables: usize) -> Self {
        Self(Mutex::new(Notes {
            tables: vec![Given::default(); tables],
            keep_keys: false,
        }))
    }

    /// From now on keeps what is written.
    pub(super) fn keep_keys(&self) {
        self.notes().keep_keys = true;
    }

    /// What is in the table at `place`, in short.
    pub(super) fn sum(&self, place: usize) -> Sum {
        self.notes()
            .tables
            .get(place)
            .map(|given| given.sum)
            .unwrap_or_default()
    }

    /// How many rows were added, in all tables.
    pub(super) fn rows(&self) -> u64 {
        self.notes().tables.iter().map(|given| given.sum.rows).sum()
    }

    /// What was written into the table at `place` since [`Memory::keep_keys`]; forgets it.
    pub(super) fn take_latest(&self, place: usize) -> BTreeMap<Key, Vec<Cell>> {
        let mut notes = self.notes();
        let given = notes.tables.get_mut(place);
        given
            .map(|given| std::mem::take(&mut given.latest))
            .unwrap_or_default()
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Memory {
    fn written(&self, place: usize, rows: &[Changed]) {
        let mut notes = self.notes();
        let keep_keys = notes.keep_keys;
        let Some(given) = notes.tables.get_mut(place) else {
            return;
        };
        for row in rows {
            match row.replaces {
                Some(old) => given.sum.fingerprints = given.sum.fingerprints.wrapping_sub(old),
                None => given.sum.rows += 1,
            }
            let new = fingerprint(&row.cells);
            given.sum.fingerprints = given.sum.fingerprints.wrapping_add(new);
            if keep_keys {
                given.latest.insert(row.key, row.cells.clone());
            }
        }
    }
}
