//! Remembers what was written into a generation, so that what is read back can be held against it.
//!
//! Not the rows themselves, which would not fit into memory: per table their number and the sum of their
//! fingerprints. A row that replaces another takes the old one's fingerprint, as it was loaded, out of the sum
//! again; if somebody changed it in between, the sum never comes right. The sums are stored with every batch, so
//! that a rebuild that was killed can be gone on with. Once everything was read back and found right, the keys of
//! the few rows that are still to come are kept too, so that they can be read back alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use journal::StoreError;
use sqlx::{PgConnection, Row};

use crate::cell::Cell;
use crate::live::Witness;
use crate::projection::{Key, Projection};
use crate::rows::{Changed, fingerprint, fingerprint_of};

/// The rows of a table, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many.
    pub(super) rows: u64,
    fingerprints: u64,
}

impl Sum {
    /// Takes a row into account.
    pub(super) fn add(&mut self, tuple: &[u8]) {
        self.rows += 1;
        self.fingerprints = self.fingerprints.wrapping_add(fingerprint_of(tuple));
    }

    /// These rows and those.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            fingerprints: self.fingerprints.wrapping_add(other.fingerprints),
        }
    }
}

/// What one table was given.
#[derive(Clone, Debug, Default)]
struct Given {
    sum: Sum,
    /// The rows written since [`Memory::keep_keys`].
    latest: BTreeMap<Key, Vec<Cell>>,
}

/// The witness of one generation, or of one slice of it.
#[derive(Debug)]
pub(super) struct Memory {
    projection: &'static Projection,
    /// The generation and slice whose sums are stored; none of one that was not built by a rebuild.
    stored_for: Option<(i32, i32)>,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    tables: Vec<Given>,
    /// As they were before the batch that is under way, if one is.
    before: Option<Vec<Given>>,
    keep_keys: bool,
}

impl Memory {
    /// Of a slice of a generation that this rebuild builds, and that holds these rows so far, one sum a table.
    pub(super) fn of_built(
        projection: &'static Projection,
        number: i32,
        slice: i32,
        sums: &[Sum],
    ) -> Self {
        Self {
            stored_for: Some((number, slice)),
            ..Self::new(projection, sums)
        }
    }

    /// Of what a generation is given beyond what it holds already.
    pub(super) fn of_addition(projection: &'static Projection) -> Self {
        Self::new(projection, &[])
    }

    fn new(projection: &'static Projection, sums: &[Sum]) -> Self {
        let sums = sums
            .iter()
            .copied()
            .chain(std::iter::repeat(Sum::default()));
        let given = projection.tables.iter().zip(sums).map(|(_, sum)| Given {
            sum,
            latest: BTreeMap::new(),
        });
        Self {
            projection,
            stored_for: None,
            notes: Mutex::new(Notes {
                tables: given.collect(),
                before: None,
                keep_keys: false,
            }),
        }
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
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Witness for Memory {
    fn begun(&self) {
        let mut notes = self.notes();
        if let Some(before) = notes.before.take() {
            notes.tables = before;
        }
        notes.before = Some(notes.tables.clone());
    }

    fn committed(&self) {
        self.notes().before = None;
    }

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
                given.latest.insert(row.key.clone(), row.cells.clone());
            }
        }
    }

    async fn settle(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let Some((number, slice)) = self.stored_for else {
            return Ok(());
        };
        let tables = 0..self.projection.tables.len();
        let sums: Vec<_> = tables.map(|place| self.sum(place)).collect();
        store(tx, self.projection, number, slice, &sums).await
    }
}

/// Stores the sums of a slice, one a table.
pub(super) async fn store(
    tx: &mut PgConnection,
    projection: &Projection,
    number: i32,
    slice: i32,
    sums: &[Sum],
) -> Result<(), StoreError> {
    let tables = projection.tables.iter();
    let names: Vec<_> = tables.map(|table| table.name.to_owned()).collect();
    let rows: Vec<_> = sums.iter().map(|sum| sum.rows.cast_signed()).collect();
    let fingerprints: Vec<_> = sums
        .iter()
        .map(|sum| sum.fingerprints.cast_signed())
        .collect();
    sqlx::query(
        "insert into rebuilt_rows (name, generation, slice, table_name, rows, fingerprints)
         select $1, $2, $3, t.* from unnest($4::text[], $5::bigint[], $6::bigint[]) as t
         on conflict (name, generation, slice, table_name) do update
         set rows = excluded.rows, fingerprints = excluded.fingerprints",
    )
    .bind(projection.name)
    .bind(number)
    .bind(slice)
    .bind(names)
    .bind(rows)
    .bind(fingerprints)
    .execute(tx)
    .await?;
    Ok(())
}

/// The stored sums of each slice of a generation, one a table.
pub(super) async fn stored(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<BTreeMap<i32, Vec<Sum>>, StoreError> {
    let names: Vec<_> = projection.tables.iter().map(|table| table.name).collect();
    let found = sqlx::query(
        "select slice, rows, fingerprints from rebuilt_rows
         where name = $1 and generation = $2 and table_name = any ($3)
         order by slice, array_position($3, table_name)",
    )
    .bind(projection.name)
    .bind(number)
    .bind(names)
    .fetch_all(connection)
    .await?;
    let mut slices: BTreeMap<i32, Vec<Sum>> = BTreeMap::new();
    for row in found {
        let (rows, fingerprints): (i64, i64) = (row.try_get("rows")?, row.try_get("fingerprints")?);
        slices.entry(row.try_get("slice")?).or_default().push(Sum {
            rows: rows.cast_unsigned(),
            fingerprints: fingerprints.cast_unsigned(),
        });
    }
    Ok(slices)
}
