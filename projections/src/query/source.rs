//! Where a question goes, the database or the node's file, and how each wants it said.
//!
//! Both must answer alike, to the byte. Words are compared and ordered by their bytes: in Postgres that has to be
//! said, because a database may be of any locale; it is SQLite's own way. Nothing stands behind everything, as
//! Postgres has it, which has to be said to SQLite.

use journal::{Connections, StoreError};

use crate::cell::{Cell, Kind};
use crate::file::{MypageFile, tables};
use crate::projection::{Column, Row};
use crate::store;

/// A store of read models, for one question.
pub(super) enum Source<'s> {
    Database(&'s Connections),
    File(&'s MypageFile),
}

/// How a store wants a question said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

/// A parameter.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(i64),
    Words(Vec<String>),
}

impl Dialect {
    /// What readers read the rows of `R` from.
    pub(super) fn table<R: Row>(self) -> String {
        match self {
            Self::Postgres => format!("{}.{}", R::SCHEMA, R::TABLE),
            Self::Sqlite => R::TABLE.to_owned(),
        }
    }

    /// That a word is one of a parameter's.
    pub(super) fn is_one_of(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Postgres => format!("{column} = any ({parameter})"),
            Self::Sqlite => format!("{column} in (select value from json_each({parameter}))"),
        }
    }

    /// That rows are ordered by a column.
    pub(super) fn order(self, column: &Column, down: bool) -> String {
        let name = column.name;
        let collation = match (self, column.kind) {
            (Self::Postgres, Kind::Word) => " collate \"C\"",
            _ => "",
        };
        let way = if down { " desc" } else { "" };
        let nothing = match (self, column.nullable, down) {
            (Self::Sqlite, true, false) => " nulls last",
            (Self::Sqlite, true, true) => " nulls first",
            _ => "",
        };
        format!("{name}{collation}{way}{nothing}")
    }
}

impl Source<'_> {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Database(_) => Dialect::Postgres,
            Self::File(_) => Dialect::Sqlite,
        }
    }

    /// Asks; the answer's columns are `columns`.
    pub(super) async fn ask(
        &self,
        sql: &str,
        parameters: Vec<Value>,
        columns: &[Column],
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        match self {
            Self::Database(connections) => {
                let mut query = sqlx::query(sql);
                for parameter in parameters {
                    query = match parameter {
                        Value::Number(number) => query.bind(number),
                        Value::Words(words) => query.bind(words),
                    };
                }
                let rows = query.fetch_all(*connections).await?;
                rows.iter()
                    .map(|row| store::read(row, columns, 0))
                    .collect()
            }
            Self::File(file) => {
                let mut query = sqlx::query(sql);
                for parameter in parameters {
                    query = match parameter {
                        Value::Number(number) => query.bind(number),
                        Value::Words(words) => query.bind(serde_json::json!(words).to_string()),
                    };
                }
                let rows = query.fetch_all(&file.readers()?).await;
                let rows = rows.map_err(|error| file.blame(error))?;
                rows.iter().map(|row| tables::read(row, columns)).collect()
            }
        }
    }
}
