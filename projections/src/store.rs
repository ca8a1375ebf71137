//! Loads and saves rows: one statement per table and batch, however many rows.
//!
//! Cells travel as arrays, one per column, and `unnest` makes rows of them again. Statements are text made of
//! names from [`crate::projection`] and of nothing that comes from outside.

use std::fmt::Write;
use std::future::ready;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use jiff_sqlx::{Timestamp, ToSqlx};
use journal::StoreError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use crate::cell::{Cell, Kind};
use crate::projection::{Column, Key, Table};
use crate::rows::Changed;

/// The statements for one table of one generation.
#[derive(Debug)]
pub(crate) struct Statements {
    table: &'static Table,
    load: String,
    save: String,
    scan: String,
}

impl Statements {
    pub(crate) fn new(table: &'static Table, schema: &str) -> Self {
        let from = format!("{schema}.{}", table.name);
        let key = table.key.join(", ");
        let columns = table.column_list("");
        let numbers: Vec<_> = (1..=table.key.len())
            .map(|n| format!("${n}::bigint[]"))
            .collect();
        let load = format!(
            "select {} from {from} t join unnest({}) as wanted ({key}) using ({key})",
            table.column_list("t."),
            numbers.join(", "),
        );
        let arrays: Vec<_> = (1..)
            .zip(table.columns)
            .map(|(n, column)| format!("${n}::{}[]", column.kind.sql()))
            .collect();
        let mut save = format!(
            "insert into {from} ({columns}) select * from unnest({}) on conflict ({key}) do ",
            arrays.join(", ")
        );
        let values: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !table.key.contains(&column.name))
            .map(|Column { name, .. }| format!("{name} = excluded.{name}"))
            .collect();
        let _ = write!(save, "update set {}", values.join(", "));
        let scan = format!("select {columns} from {from} order by {key}");
        Self {
            table,
            load,
            save,
            scan,
        }
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
        let mut query =
            sqlx::query(&self.load).bind(keys.iter().map(|k| k.first).collect::<Vec<_>>());
        if self.table.key.len() > 1 {
            query = query.bind(keys.iter().map(|k| k.second).collect::<Vec<_>>());
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

    /// Every row, in the order of keys.
    pub(crate) fn scan<'c>(
        &'c self,
        connection: &'c mut PgConnection,
    ) -> BoxStream<'c, Result<Vec<Cell>, StoreError>> {
        let rows = sqlx::query(&self.scan).fetch(connection);
        Box::pin(
            rows.map_err(StoreError::from)
                .and_then(move |row| ready(read(&row, self.table.columns, 0))),
        )
    }
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
