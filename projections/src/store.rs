//! Loads and saves rows: one statement per table and batch, however many rows.
//!
//! Cells travel as arrays, one per column, and `unnest` makes rows of them again; where there are many, new rows
//! and whole tables go through COPY ([`crate::packed`]). Statements are text made of names from
//! [`crate::projection`] and of nothing that comes from outside.

use std::fmt::Write;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use jiff_sqlx::{Timestamp, ToSqlx};
use journal::StoreError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use crate::cell::{Cell, Kind};
use crate::packed;
use crate::projection::{Column, Key, Table};
use crate::rows::Changed;

/// The statements for one table of one generation.
#[derive(Debug)]
pub(crate) struct Statements {
    table: &'static Table,
    load: String,
    save: String,
    last: String,
    take_in: String,
    scan: String,
}

impl Statements {
    pub(crate) fn new(table: &'static Table, schema: &str) -> Self {
        let from = format!("{schema}.{}", table.name);
        let key = table.key.join(", ");
        let columns = table.column_list("");
        let load = format!(
            "select {} from {from} t join unnest({}) as wanted ({key}) using ({key})",
            table.column_list("t."),
            arrays(table.key_columns()),
        );
        let mut save = format!(
            "insert into {from} ({columns}) select * from unnest({}) on conflict ({key}) do ",
            arrays(table.columns.iter())
        );
        let values: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !table.key.contains(&column.name))
            .map(|Column { name, .. }| format!("{name} = excluded.{name}"))
            .collect();
        let _ = write!(save, "update set {}", values.join(", "));
        let backwards: Vec<_> = table
            .key
            .iter()
            .map(|name| format!("{name} desc"))
            .collect();
        let last = format!(
            "select {columns} from {from} order by {} limit 1",
            backwards.join(", ")
        );
        let take_in = format!("copy {from} ({columns}) from stdin (format binary)");
        let scan =
            format!("copy (select {columns} from {from} order by {key}) to stdout (format binary)");
        Self {
            table,
            load,
            save,
            last,
            take_in,
            scan,
        }
    }

    /// The table that they are for.
    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// The rows with these keys, in no order.
    pub(crate) async fn load(
        &self,
        connection: &mut PgConnection,
        keys: &[Key],
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut query = sqlx::query(&self.load);
        let parts: [fn(&Key) -> Option<&Cell>; 2] =
            [|key| Some(&key.first), |key| key.second.as_ref()];
        for (column, part) in self.table.key_columns().zip(parts) {
            query = bind(query, column.kind, keys.iter().map(part));
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter()
            .map(|row| read(row, self.table.columns, 0))
            .collect()
    }

    /// Writes rows over what is there.
    pub(crate) async fn save(
        &self,
        connection: &mut PgConnection,
        rows: &[Changed],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut query = sqlx::query(&self.save);
        for (place, column) in self.table.columns.iter().enumerate() {
            query = bind(
                query,
                column.kind,
                rows.iter().map(|row| row.cells.get(place)),
            );
        }
        query.execute(connection).await?;
        Ok(())
    }

    /// The row with the highest key.
    pub(crate) async fn last(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Vec<Cell>>, StoreError> {
        let row = sqlx::query(&self.last).fetch_optional(connection).await?;
        row.map(|row| read(&row, self.table.columns, 0)).transpose()
    }

    /// Writes rows that are not there yet, by COPY.
    pub(crate) async fn add(
        &self,
        connection: &mut PgConnection,
        rows: &[Changed],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let document = packed::document(rows.iter().map(|row| &row.cells[..]));
        let mut copy = connection.copy_in_raw(&self.take_in).await?;
        // Given up without an end, it fails, and the transaction with it.
        copy.send(document).await?;
        copy.finish().await?;
        Ok(())
    }

    /// Every row as a tuple, in the order of keys.
    pub(crate) async fn scan<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Scan<'c>, StoreError> {
        Ok(Scan {
            pieces: connection.copy_out_raw(&self.scan).await?,
            reader: packed::Reader::default(),
        })
    }
}

/// A table that is being read.
pub(crate) struct Scan<'c> {
    pieces: BoxStream<'c, sqlx::Result<Bytes>>,
    reader: packed::Reader,
}

impl Scan<'_> {
    /// The next tuple.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            if let Some(tuple) = self.reader.next() {
                return Ok(Some(tuple.to_vec()));
            }
            match self.pieces.try_next().await? {
                Some(piece) => self.reader.feed(&piece),
                None => return Ok(None),
            }
        }
    }
}

/// One parameter a column: an array of its type.
fn arrays<'c>(columns: impl Iterator<Item = &'c Column>) -> String {
    let arrays: Vec<_> = (1..)
        .zip(columns)
        .map(|(n, column)| format!("${n}::{}[]", column.kind.sql()))
        .collect();
    arrays.join(", ")
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// Binds one column of many rows.
fn bind<'q, 'c>(
    query: Bound<'q>,
    kind: Kind,
    cells: impl Iterator<Item = Option<&'c Cell>>,
) -> Bound<'q> {
    match kind {
        Kind::Number => query.bind(
            cells
                .map(|cell| match cell {
                    Some(Cell::Number(number)) => Some(*number),
                    _ => None,
                })
                .collect::<Vec<Option<i64>>>(),
        ),
        Kind::Word => query.bind(
            cells
                .map(|cell| match cell {
                    Some(Cell::Word(word)) => Some(word.clone().into_owned()),
                    _ => None,
                })
                .collect::<Vec<Option<String>>>(),
        ),
        Kind::Time => query.bind(
            cells
                .map(|cell| match cell {
                    Some(Cell::Time(time)) => Some(time.to_sqlx()),
                    _ => None,
                })
                .collect::<Vec<Option<Timestamp>>>(),
        ),
    }
}

/// The cells of a row, whose columns begin at place `first` of the answer.
pub(crate) fn read(row: &PgRow, columns: &[Column], first: usize) -> Result<Vec<Cell>, StoreError> {
    let mut cells = Vec::with_capacity(columns.len());
    for (place, column) in (first..).zip(columns) {
        let cell = match column.kind {
            Kind::Number => row.try_get::<Option<i64>, _>(place)?.map(Cell::Number),
            Kind::Word => row
                .try_get::<Option<String>, _>(place)?
                .map(|word| Cell::Word(word.into())),
            Kind::Time => row
                .try_get::<Option<Timestamp>, _>(place)?
                .map(|time| Cell::Time(time.to_jiff())),
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    Ok(cells)
}
