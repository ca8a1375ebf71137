//! A projection as data: a name, a version, tables and a pure fold.
//!
//! A row type is declared once with `row!`: the struct that folds and queries work with *is* the list of
//! columns, and the SQL of the tables is generated from it, with columns named as in the JSON. The fold sees the
//! rows of its batch and one event at a time; it is given no clock, no sequence and no handle to anything that
//! acts, so running it again cannot cause anything.

use std::any::Any;
use std::fmt::{self, Write};

use journal::Recorded;

use crate::cell::{Cell, Kind, Misfit, Value};
use crate::rows::Rows;

/// A read model: what it is called, what it looks like, and how events change it.
#[derive(Debug)]
pub struct Projection {
    /// Its name: of its follower, and of the schema that readers use.
    pub name: &'static str,
    /// Raised whenever tables or fold change their meaning; the tables are then rebuilt.
    pub version: i32,
    /// Its tables.
    pub tables: &'static [Table],
    /// Whether every row belongs to one booking, and is made of its events alone.
    pub by_booking: bool,
    /// How an event changes the rows. Pure: the same events always make the same rows.
    pub fold: Fold,
}

/// Changes rows as an event says: a plain function of both, that keeps nothing and is given nothing else.
///
/// This is one:
///
/// ```
/// use journal::Recorded;
/// use projections::projection::{Fold, Unfit};
/// use projections::rows::Rows;
///
/// fn fold(_: &mut Rows, _: &Recorded) -> Result<(), Unfit> {
///     Ok(())
/// }
/// const FOLD: Fold = fold;
/// ```
///
/// It cannot be given a clock, nor anything else that it might ask for:
///
/// ```compile_fail,E0308
/// use domain::ports::Clock;
/// use journal::Recorded;
/// use projections::projection::{Fold, Unfit};
/// use projections::rows::Rows;
///
/// fn fold(_: &mut Rows, _: &Recorded, _: &dyn Clock) -> Result<(), Unfit> {
///     Ok(())
/// }
/// const FOLD: Fold = fold;
/// ```
///
/// It cannot bring a pool along. Without the line that uses the pool this compiles:
///
/// ```
/// # use projections::projection::Fold;
/// fn over(_pool: sqlx::PgPool) -> Fold {
///     |_, _| {
///         Ok(())
///     }
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use projections::projection::Fold;
/// fn over(_pool: sqlx::PgPool) -> Fold {
///     |_, _| {
///         let _ = _pool.size();
///         Ok(())
///     }
/// }
/// ```
///
/// Nor a client that calls the outside; and it cannot wait for anything, because it is not `async`:
///
/// ```compile_fail,E0308
/// # use projections::projection::Fold;
/// fn over(_gateway: std::sync::Arc<dyn domain::ports::PaymentGateway>) -> Fold {
///     |_, _| {
///         let _ = std::sync::Arc::strong_count(&_gateway);
///         Ok(())
///     }
/// }
/// ```
///
/// ```compile_fail,E0308
/// use journal::Recorded;
/// use projections::projection::{Fold, Unfit};
/// use projections::rows::Rows;
///
/// async fn fold(_: &mut Rows, _: &Recorded) -> Result<(), Unfit> {
///     Ok(())
/// }
/// const FOLD: Fold = fold;
/// ```
///
/// What the type cannot forbid is a global; there is none here, and `clippy.toml` bans the system's clock,
/// randomness, sleep and spawn.
pub type Fold = fn(&mut Rows, &Recorded) -> Result<(), Unfit>;

/// Which row an event may change, if any.
pub type Touched = fn(&Recorded) -> Option<Key>;

/// Makes the typed row of a stored one.
pub type Read = fn(Vec<Cell>) -> Result<Box<dyn AnyRow>, Misfit>;

/// Why an event cannot be folded, now or ever: its booking is parked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// A table of a read model.
#[derive(Debug)]
pub struct Table {
    /// Its name in each generation's schema, and the view's.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The columns of its primary key, one or two.
    pub key: &'static [&'static str],
    /// Which row an event may change. `None`: rows are only ever added, so none is loaded.
    pub touched: Option<Touched>,
    /// Indexes for what queries filter by: method and columns, in SQL.
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

/// A row's primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The first key column: a booking or a user, mostly.
    pub first: Cell,
    /// The second one, where there is one.
    pub second: Option<Cell>,
}

impl From<[Cell; 1]> for Key {
    fn from([first]: [Cell; 1]) -> Self {
        let second = None;
        Self { first, second }
    }
}

impl From<[Cell; 2]> for Key {
    fn from([first, second]: [Cell; 2]) -> Self {
        let second = Some(second);
        Self { first, second }
    }
}

impl<const N: usize> From<[i64; N]> for Key
where
    Self: From<[Cell; N]>,
{
    fn from(numbers: [i64; N]) -> Self {
        numbers.map(Cell::Number).into()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match &self.second {
            Some(second) => write!(f, "/{second}"),
            None => Ok(()),
        }
    }
}

/// A typed row. `row!` implements it.
pub trait Row: Any + Send + Sync + Sized {
    /// The schema that readers find it in: the projection's name.
    const SCHEMA: &'static str;
    /// Its table's name.
    const TABLE: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column];
    /// Its key columns.
    const KEY: &'static [&'static str];

    /// Its key.
    fn key(&self) -> Key;
    /// Its cells, in the order of the columns.
    fn cells(&self) -> Vec<Cell>;
    /// The row that these cells make.
    ///
    /// # Errors
    /// [`Misfit`] when a cell is not what its column says.
    fn from_cells(cells: Vec<Cell>) -> Result<Self, Misfit>;
}

/// A row whose type is known to its fold only.
pub trait AnyRow: Any + Send + Sync {
    /// Its cells, in the order of the columns.
    fn cells(&self) -> Vec<Cell>;
    /// The typed row inside.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Row> AnyRow for R {
    fn cells(&self) -> Vec<Cell> {
        Row::cells(self)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Declares a row: a struct whose fields are the columns of `schema.table`, with its key.
macro_rules! row {
    (
        $(#[$about:meta])*
        pub struct $row:ident in $schema:ident.$table:ident by ($($key:ident),+) {
            $($(#[$says:meta])* pub $column:ident: $type:ty,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $row {
            $($(#[$says])* pub $column: $type,)+
        }

        impl $crate::projection::Row for $row {
            const SCHEMA: &'static str = stringify!($schema);
            const TABLE: &'static str = stringify!($table);
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            const COLUMNS: &'static [$crate::projection::Column] =
                &[$($crate::projection::Column::of::<$type>(stringify!($column))),+];

            fn key(&self) -> $crate::projection::Key {
                [$($crate::cell::Value::to_cell(&self.$key)),+].into()
            }

            fn cells(&self) -> Vec<$crate::cell::Cell> {
                vec![$($crate::cell::Value::to_cell(&self.$column)),+]
            }

            fn from_cells(cells: Vec<$crate::cell::Cell>) -> Result<Self, $crate::cell::Misfit> {
                let mut cells = cells.into_iter();
                // A cell that is missing reads as an empty one: columns are selected by name.
                let mut next = || cells.next().unwrap_or($crate::cell::Cell::Null);
                Ok(Self {
                    $($column: $crate::cell::Value::from_cell(next())?,)+
                })
            }
        }
    };
}
pub(crate) use row;

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
    pub const fn state<R: Row>(touched: Touched) -> Self {
        Self {
            touched: Some(touched),
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
            let columns = index.split_once('(').map_or("", |(_, columns)| columns);
            let columns = columns.trim_end_matches(')').replace(", ", "_");
            // As Postgres would name it by itself, so that tables of earlier programs fit.
            let name = format!("{table}_{columns}_idx");
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

impl Projection {
    /// The schema that holds a generation's tables.
    #[must_use]
    pub fn schema(&self, generation: i32) -> String {
        format!("{}_{generation}", self.name)
    }

    /// The schema that holds its tables as they were at a position.
    #[must_use]
    pub fn schema_at(&self, position: i64) -> String {
        format!("{}_at_{position}", self.name)
    }

    /// The SQL that makes its tables in a schema of their own, without indexes and rights.
    #[must_use]
    pub fn create(&self, schema: &str) -> String {
        let tables = self.tables.iter().map(|table| table.create(schema));
        format!("create schema {schema};\n{}", tables.collect::<String>())
    }

    /// The SQL that makes the indexes of its tables.
    #[must_use]
    pub fn index(&self, schema: &str) -> String {
        let tables = self.tables.iter().map(|table| table.index(schema));
        tables.collect()
    }
}
