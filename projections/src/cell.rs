//! Cells: what a column of a read model can hold, between Rust and Postgres.
//!
//! Three kinds are enough: numbers, words and times. Everything typed (a status, a phase, a currency) is a word
//! in the table and in the JSON, and its own type in a fold. A cell compares and hashes exactly as the database
//! would store it, which is what makes "rebuilt equals live" a comparison and not a belief.

use std::borrow::Cow;
use std::fmt;

use domain::payment::{PaymentStatus, RefundStatus};
use domain::{Currency, Phase, Status};
use jiff::Timestamp;
use journal::{Actor, StoreError};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};

/// The SQL type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `bigint`.
    Number,
    /// `text`.
    Word,
    /// `timestamptz`: microseconds, UTC.
    Time,
}

impl Kind {
    /// Its name in SQL.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Number => "bigint",
            Self::Word => "text",
            Self::Time => "timestamptz",
        }
    }
}

/// One cell of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// No value: `null`.
    Null,
    /// A number.
    Number(i64),
    /// A word.
    Word(Cow<'static, str>),
    /// A time.
    Time(Timestamp),
}

impl Cell {
    /// The cell as it stands in JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Number(number) => (*number).into(),
            Self::Word(word) => word.as_ref().into(),
            Self::Time(time) => time.to_string().into(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// A cell that is not what its column says: the table was changed by another hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a read model holds {found} where {wanted} belongs")]
pub struct Misfit {
    /// What should be there.
    pub wanted: &'static str,
    /// What is there.
    pub found: String,
}

impl Misfit {
    pub(crate) fn empty_key() -> Self {
        Self::new("a key", &Cell::Null)
    }

    /// Bytes that no cell of this kind is made of.
    pub(crate) fn bytes(wanted: &'static str, found: &[u8]) -> Self {
        let found = format!("{} bytes", found.len());
        Self { wanted, found }
    }

    fn new(wanted: &'static str, found: &Cell) -> Self {
        Self {
            wanted,
            found: format!("{found:?}"),
        }
    }
}

impl From<Misfit> for StoreError {
    fn from(misfit: Misfit) -> Self {
        Self::Unreadable(misfit.to_string())
    }
}

/// A Rust type that fits into a cell.
pub trait Value: Sized {
    /// Its column's SQL type.
    const KIND: Kind;
    /// Whether the column may be empty.
    const NULLABLE: bool = false;

    /// The cell that holds this value.
    fn to_cell(&self) -> Cell;

    /// The value that `cell` holds.
    ///
    /// # Errors
    /// [`Misfit`] when it holds something else.
    fn from_cell(cell: Cell) -> Result<Self, Misfit>;
}

impl Value for i64 {
    const KIND: Kind = Kind::Number;

    fn to_cell(&self) -> Cell {
        Cell::Number(*self)
    }

    fn from_cell(cell: Cell) -> Result<Self, Misfit> {
        match cell {
            Cell::Number(number) => Ok(number),
            other => Err(Misfit::new("a number", &other)),
        }
    }
}

impl Value for String {
    const KIND: Kind = Kind::Word;

    fn to_cell(&self) -> Cell {
        Cell::Word(Cow::Owned(self.clone()))
    }

    fn from_cell(cell: Cell) -> Result<Self, Misfit> {
        match cell {
            Cell::Word(word) => Ok(word.into_owned()),
            other => Err(Misfit::new("a word", &other)),
        }
    }
}

impl Value for Timestamp {
    const KIND: Kind = Kind::Time;

    fn to_cell(&self) -> Cell {
        Cell::Time(*self)
    }

    fn from_cell(cell: Cell) -> Result<Self, Misfit> {
        match cell {
            Cell::Time(time) => Ok(time),
            other => Err(Misfit::new("a time", &other)),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;

    fn to_cell(&self) -> Cell {
        self.as_ref().map_or(Cell::Null, Value::to_cell)
    }

    fn from_cell(cell: Cell) -> Result<Self, Misfit> {
        match cell {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// Types that are one word each: the word out, and serde's reading of it back.
macro_rules! words {
    ($($type:ty, $wanted:literal, $word:expr;)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Word;

            fn to_cell(&self) -> Cell {
                let word: fn($type) -> &'static str = $word;
                Cell::Word(Cow::Borrowed(word(*self)))
            }

            fn from_cell(cell: Cell) -> Result<Self, Misfit> {
                let Cell::Word(word) = &cell else {
                    return Err(Misfit::new($wanted, &cell));
                };
                let reader: StrDeserializer<'_, WordError> = word.as_ref().into_deserializer();
                Self::deserialize(reader).map_err(|_| Misfit::new($wanted, &cell))
            }
        }
    )+};
}

words! {
    Status, "a status", Status::as_str;
    Phase, "a phase", Phase::as_str;
    Actor, "an actor", Actor::as_str;
    PaymentStatus, "a payment status", PaymentStatus::as_str;
    RefundStatus, "a refund status", RefundStatus::as_str;
    Currency, "a currency", Currency::as_str;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: Value + std::fmt::Debug + PartialEq>(value: &T) {
        assert_eq!(&T::from_cell(value.to_cell()).unwrap(), value);
    }

    #[test]
    fn what_goes_in_comes_out() {
        back(&7_i64);
        back(&"numberone".to_owned());
        back(&Some(1_i64));
        back(&None::<String>);
        back(&Actor::System);
        Status::ALL.iter().for_each(back);
        Phase::ALL.iter().for_each(back);
        PaymentStatus::ALL.iter().for_each(back);
        RefundStatus::ALL.iter().for_each(back);
        for currency in [Currency::KRW, Currency::USD, Currency::EUR, Currency::JPY] {
            back(&currency);
        }
    }

    #[test]
    fn a_cell_of_another_kind_is_a_misfit_and_not_a_default() {
        assert!(i64::from_cell(Cell::Null).is_err());
        assert!(Status::from_cell(Cell::Word("lost".into())).is_err());
        assert!(Option::<i64>::from_cell(Cell::Word("7".into())).is_err());
    }
}
