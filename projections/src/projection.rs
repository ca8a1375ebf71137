//! A projection as data: a name, a version, tables and a pure fold.
//!
//! A row type is declared once with `row!`: the struct that folds and queries work with *is* the list of
//! columns, and the SQL of the tables is generated from it, with columns named as in the JSON. The fold sees the
//! rows of its batch and one event at a time; it is given no clock, no sequence and no handle to anything that
//! acts, so running it again cannot cause anything.

mod table;

use std::any::Any;
use std::fmt;

use journal::Recorded;

use crate::cell::{Cell, Misfit};
use crate::rows::Rows;

pub use table::{Column, Index, Table};

/// A read model: what it is called, what it looks like, and how events change it.
#[derive(Debug)]
pub struct Projection {
    /// Its name: of its follower, and of the schema that readers use.
    pub name: &'static str,
    /// Raised whenever tables or fold change their meaning; the tables are then rebuilt.
    pub version: i32,
    /// Its tables.
    pub tables: &'static [Table],
    /// Whether every row belongs to one booking, and is made of its events alone: only then one booking can be shown as
    /// it was, and a rebuild cut into slices of bookings.
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

/// Which rows of a table a batch may change.
#[derive(Clone, Copy, Debug)]
pub enum Touched {
    /// At most one an event, which the event itself names.
    ByEvent(fn(&Recorded) -> Option<Key>),
    /// Those that the batch and the rows of the tables before this one name together.
    ByRows(fn(&Rows, &[Recorded]) -> Vec<Key>),
}

/// Makes the typed row of a stored one.
pub type Read = fn(Vec<Cell>) -> Result<Box<dyn AnyRow>, Misfit>;

/// Why an event cannot be folded, now or ever: its booking is parked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

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
    fn as_any(&self) -> &dyn Any;
    /// The typed row inside, to be changed.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Row> AnyRow for R {
    fn cells(&self) -> Vec<Cell> {
        Row::cells(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
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
