//! Tables as data, and the SQL that is generated from them.

use std::fmt::Write;

use journal::Recorded;

use super::{AnyRow, Key, Read, Row, Touched};
use crate::cell::{Cell, Kind, Misfit, Value};
use crate::rows::Rows;

/// A table of a read model.
#[derive(Debug)]
pub struct Table {
    /// Its name in each generation's schema, and the view's.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The columns of its primary key, one or two.
    pub key: &'static [&'static str],
    /// Which rows a batch may change. `None`: rows are only ever added, so none is loaded.
    pub touched: Option<Touched>,
    /// Indexes for what queries filter by: method and columns, in SQL; and where rows of some kind only are in it, a
    /// name before and the condition behind: `to_prepare as btree (starts_at) where waits_for = 'preparation'`.
    pub indexes: &'static [&'static str],
    /// The condition under which readers see a row; all of them when there is none.
    pub shown: Option<&'static str>,
    /// Makes the typed row of a stored one.
    pub read: Read,
}

/// An index of a table in one schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Schema and name.
    pub name: String,
    /// The SQL that makes it, if it is not there yet.
    pub sql: String,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, in SQL and in JSON.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it may be empty.
    pub nullable: bool,
}

impl Column {
    /// A column that holds `T`.
    #[must_use]
    pub const fn of<T: Value>(name: &'static str) -> Self {
        Self {
            name,
            kind: T::KIND,
            nullable: T::NULLABLE,
        }
    }
}

impl Table {
    /// The table of `R`, whose rows are only ever added.
    #[must_use]
    pub const fn log<R: Row>() -> Self {
        Self {
            name: R::TABLE,
            columns: R::COLUMNS,
            key: R::KEY,
            touched: None,
            indexes: &[],
            shown: None,
            read: read_as::<R>,
        }
    }

    /// The table of `R`, whose rows are changed; `touched` says which one an event may change.
    #[must_use]
    pub const fn state<R: Row>(touched: fn(&Recorded) -> Option<Key>) -> Self {
        Self {
            touched: Some(Touched::ByEvent(touched)),
            ..Self::log::<R>()
        }
    }

    /// The table of `R`, whose rows are changed; `touched` says which ones a batch may change, and may look at the rows
    /// of the tables before this one for that.
    #[must_use]
    pub const fn state_by_rows<R: Row>(touched: fn(&Rows, &[Recorded]) -> Vec<Key>) -> Self {
        Self {
            touched: Some(Touched::ByRows(touched)),
            ..Self::log::<R>()
        }
    }

    /// With these indexes.
    #[must_use]
    pub const fn indexed_by(self, indexes: &'static [&'static str]) -> Self {
        Self { indexes, ..self }
    }

    /// Shown to readers only where this SQL condition holds.
    #[must_use]
    pub const fn shown_when(self, condition: &'static str) -> Self {
        Self {
            shown: Some(condition),
            ..self
        }
    }

    /// Its columns' names, as a list in SQL, each with `prefix` before it.
    #[must_use]
    pub fn column_list(&self, prefix: &str) -> String {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!("{prefix}{}", column.name))
            .collect();
        names.join(", ")
    }

    /// The columns of its primary key.
    pub fn key_columns(&self) -> impl Iterator<Item = &'static Column> + '_ {
        let named = |name: &&str| self.columns.iter().find(|column| column.name == *name);
        self.key.iter().filter_map(named)
    }

    /// The key of a stored row.
    ///
    /// # Errors
    /// [`Misfit`] when a key column is empty.
    pub fn key_of(&self, cells: &[Cell]) -> Result<Key, Misfit> {
        let cell = |name: &str| {
            let place = self.columns.iter().position(|column| column.name == name);
            match place.and_then(|place| cells.get(place)) {
                None | Some(Cell::Null) => Err(Misfit::empty_key()),
                Some(cell) => Ok(cell.clone()),
            }
        };
        let first = cell(self.key.first().copied().unwrap_or_default())?;
        let second = self.key.get(1).map(|name| cell(name)).transpose()?;
        Ok(Key { first, second })
    }

    /// The SQL that makes it in `schema`, without [`Table::index`].
    #[must_use]
    pub fn create(&self, schema: &str) -> String {
        let name = self.name;
        let mut sql = format!("create table {schema}.{name} (\n");
        for Column {
            name,
            kind,
            nullable,
        } in self.columns
        {
            // Words of a key are ordered by their bytes, as Rust does: two scans must agree on the order.
            let order = match kind {
                Kind::Word if self.key.contains(name) => " collate \"C\"",
                _ => "",
            };
            let not_null = if *nullable { "" } else { " not null" };
            let _ = writeln!(sql, "    {name} {}{order}{not_null},", kind.sql());
        }
        // A row that is changed finds room for its new version on its own page.
        let room = if self.touched.is_some() {
            " with (fillfactor = 80)"
        } else {
            ""
        };
        let key = self.key.join(", ");
        let _ = writeln!(sql, "    primary key ({key})\n){room};");
        sql
    }

    /// The SQL that makes its indexes, those that are not there yet.
    #[must_use]
    pub fn index(&self, schema: &str) -> String {
        let indexes = self.indexes_in(schema).into_iter();
        indexes
            .map(|index| {
                index.sql
                    + "
"
            })
            .collect()
    }

    /// Its indexes, once it is in `schema`.
    #[must_use]
    pub fn indexes_in(&self, schema: &str) -> Vec<Index> {
        let (table, indexes) = (self.name, self.indexes.iter());
        let index = |index: &&str| {
            let (name, index) = match index.split_once(" as ") {
                Some((name, index)) => (format!("{table}_{name}_idx"), index),
                None => {
                    let columns = index.split_once('(').map_or("", |(_, columns)| columns);
                    let columns = columns.trim_end_matches(')').replace(", ", "_");
                    // As Postgres would name it by itself, so that tables of earlier programs fit.
                    (format!("{table}_{columns}_idx"), *index)
                }
            };
            let sql =
                format!("create index if not exists {name} on {schema}.{table} using {index};");
            let name = format!("{schema}.{name}");
            Index { name, sql }
        };
        indexes.map(index).collect()
    }

    /// The SELECT behind its view, onto the generation in `schema`.
    #[must_use]
    pub fn view(&self, schema: &str) -> String {
        let shown = self
            .shown
            .map_or_else(String::new, |condition| format!(" where {condition}"));
        format!(
            "select {} from {schema}.{}{shown}",
            self.column_list(""),
            self.name
        )
    }
}

fn read_as<R: Row>(cells: Vec<Cell>) -> Result<Box<dyn AnyRow>, Misfit> {
    Ok(Box::new(R::from_cells(cells)?))
}
