//! The tables of a read model in the file: how they are made, loaded and saved.
//!
//! They are generated from the same list of columns as those in Postgres. Numbers and times (microseconds since
//! 1970) are integers, words are text. Rows travel as one JSON document a statement, however many there are.

use async_trait::async_trait;
use jiff::Timestamp;
use journal::StoreError;
use serde_json::Value as Json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::fault;
use crate::batch::Tables;
use crate::cell::{Cell, Kind, Misfit};
use crate::projection::{Column, Key, Projection, Table};
use crate::rows::Changed;

const fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Number | Kind::Time => "integer",
        Kind::Word => "text",
    }
}

/// The table of a generation.
pub(super) fn name(table: &Table, generation: i64) -> String {
    format!("{}_{generation}", table.name)
}

/// The SQL that makes the table of a generation, without its indexes.
pub(super) fn create(table: &Table, generation: i64) -> String {
    let columns = table.columns.iter().map(|column| {
        let not_null = if column.nullable { "" } else { " not null" };
        format!("{} {}{not_null}", column.name, sql_type(column.kind))
    });
    let mut lines: Vec<_> = columns.collect();
    lines.push(format!("primary key ({})", table.key.join(", ")));
    format!(
        "create table {} ({}) strict",
        name(table, generation),
        lines.join(", ")
    )
}

/// The SQL that makes its indexes.
pub(super) fn index(table: &Table, generation: i64) -> String {
    let name = name(table, generation);
    let indexes = table.indexes.iter().zip(1..).map(|(index, number)| {
        // Which method is Postgres's business: SQLite has one.
        let columns = index.split_once('(').map_or("", |(_, columns)| columns);
        format!("create index if not exists {name}_index_{number} on {name} ({columns};\n")
    });
    indexes.collect()
}

/// The SQL that has readers see a generation.
pub(super) fn show(table: &Table, generation: i64) -> String {
    let shown = table
        .shown
        .map_or_else(String::new, |condition| format!(" where {condition}"));
    format!(
        "drop view if exists {view};\ncreate view {view} as select {} from {}{shown};\n",
        table.column_list(""),
        name(table, generation),
        view = table.name,
    )
}

/// The statements for one table of one generation.
#[derive(Debug)]
pub(super) struct Statements {
    columns: &'static [Column],
    load: String,
    save: String,
}

impl Statements {
    /// For every table of a projection, in its order.
    pub(super) fn of(projection: &Projection, generation: i64) -> Vec<Self> {
        let tables = projection.tables.iter();
        tables.map(|table| Self::new(table, generation)).collect()
    }

    fn new(table: &Table, generation: i64) -> Self {
        let name = name(table, generation);
        let key = table.key.join(", ");
        let wanted = table.key.iter().zip(0..);
        let wanted: Vec<_> = wanted
            .map(|(key, place)| format!("t.{key} = wanted.value ->> {place}"))
            .collect();
        let load = format!(
            // Every wanted key is looked up; the other way round all rows would be read.
            "select {} from json_each($1) wanted cross join {name} t on {}",
            table.column_list("t."),
            wanted.join(" and ")
        );
        let values = (0..table.columns.len()).map(|place| format!("value ->> {place}"));
        let changed = table.columns.iter().map(|column| column.name);
        let changed: Vec<_> = changed
            .filter(|name| !table.key.contains(name))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let save = format!(
            // Without a WHERE, ON CONFLICT would read as the condition of a join.
            "insert into {name} ({}) select {} from json_each($1) where true
             on conflict ({key}) do update set {}",
            table.column_list(""),
            values.collect::<Vec<_>>().join(", "),
            changed.join(", ")
        );
        Self {
            columns: table.columns,
            load,
            save,
        }
    }
}

/// The tables of one generation, within the transaction of a batch.
pub(super) struct InFile<'b> {
    pub(super) statements: &'b [Statements],
    pub(super) tx: &'b mut SqliteConnection,
}

#[async_trait]
impl Tables for InFile<'_> {
    async fn load(&mut self, place: usize, keys: Vec<Key>) -> Result<Vec<Vec<Cell>>, StoreError> {
        let Some(statements) = self.statements.get(place) else {
            return Ok(vec![]);
        };
        let keys = keys.iter().map(|key| {
            let cells = std::iter::once(&key.first).chain(&key.second);
            cells.map(to_json).collect::<Json>()
        });
        let rows = sqlx::query(&statements.load)
            .bind(keys.collect::<Json>().to_string())
            .fetch_all(&mut *self.tx)
            .await
            .map_err(fault)?;
        rows.iter()
            .map(|row| read(row, statements.columns))
            .collect()
    }

    async fn save(&mut self, place: usize, rows: Vec<Changed>) -> Result<(), StoreError> {
        let Some(statements) = self.statements.get(place).filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let rows = rows.iter().map(|row| row.cells.iter().map(to_json));
        let rows: Json = rows.map(Iterator::collect::<Json>).collect();
        sqlx::query(&statements.save)
            .bind(rows.to_string())
            .execute(&mut *self.tx)
            .await
            .map_err(fault)?;
        Ok(())
    }
}

/// A cell as SQLite keeps it, in JSON.
fn to_json(cell: &Cell) -> Json {
    match cell {
        Cell::Time(time) => time.as_microsecond().into(),
        other => other.to_json(),
    }
}

/// The cells of a row.
pub(crate) fn read(row: &SqliteRow, columns: &[Column]) -> Result<Vec<Cell>, StoreError> {
    let mut cells = Vec::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        let number = || row.try_get::<Option<i64>, _>(place).map_err(fault);
        let cell = match column.kind {
            Kind::Number => number()?.map(Cell::Number),
            Kind::Word => row
                .try_get::<Option<String>, _>(place)
                .map_err(fault)?
                .map(|word| Cell::Word(word.into())),
            Kind::Time => number()?.map(time).transpose()?,
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    Ok(cells)
}

fn time(microseconds: i64) -> Result<Cell, Misfit> {
    let time = Timestamp::from_microsecond(microseconds);
    time.map(Cell::Time)
        .map_err(|_| Misfit::bytes("a time", &microseconds.to_be_bytes()))
}
