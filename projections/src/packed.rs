//! Rows as binary COPY carries them: a row is one tuple of bytes, the same on the way in and on the way out.
//!
//! The same cells always make the same bytes, so two rows are compared, and their fingerprints taken, without
//! looking inside. Format: PostgreSQL's manual, COPY, "Binary Format".

use jiff::Timestamp;

use crate::cell::{Cell, Kind, Misfit};
use crate::projection::{Key, Table};

/// What stands before the first tuple: a signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last one: a number of columns that no tuple has.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// A length that says "null".
const NULL: i32 = -1;
/// Midnight of 2000-01-01 UTC, from which Postgres counts, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// Appends a row to `bytes`.
pub(crate) fn push(bytes: &mut Vec<u8>, cells: &[Cell]) {
    let columns = i16::try_from(cells.len()).unwrap_or(i16::MAX);
    bytes.extend(columns.to_be_bytes());
    for cell in cells {
        match cell {
            Cell::Null => bytes.extend(NULL.to_be_bytes()),
            Cell::Number(number) => push_number(bytes, *number),
            Cell::Time(time) => push_number(bytes, time.as_microsecond().saturating_sub(EPOCH)),
            Cell::Word(word) => {
                // A word of two gigabytes is more than an event can hold.
                let length = i32::try_from(word.len()).unwrap_or(i32::MAX);
                bytes.extend(length.to_be_bytes());
                bytes.extend(word.as_bytes());
            }
        }
    }
}

fn push_number(bytes: &mut Vec<u8>, number: i64) {
    bytes.extend(8_i32.to_be_bytes());
    bytes.extend(number.to_be_bytes());
}

/// Everything that COPY wants to hear: the rows, with what belongs before and behind them.
pub(crate) fn document<'c>(rows: impl Iterator<Item = &'c [Cell]>) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for cells in rows {
        push(&mut bytes, cells);
    }
    bytes.extend(TRAILER);
    bytes
}

/// Takes a document apart, in whatever pieces it arrives.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// How much of them was handed out.
    taken: usize,
    begun: bool,
}

impl Reader {
    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// The next tuple, when all of it is there.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if !self.begun {
            self.begun = self.bytes.len() >= HEADER.len();
            self.taken = if self.begun {
                HEADER.len()
            } else {
                return None;
            };
        }
        let rest = self.bytes.get(self.taken..)?;
        let length = length(rest)?;
        self.taken += length;
        rest.get(..length)
    }
}

/// How long the tuple is that these bytes begin with; `None` when part of it is missing, or at the trailer.
fn length(bytes: &[u8]) -> Option<usize> {
    let columns = u16::try_from(i16::from_be_bytes(*bytes.first_chunk()?)).ok()?;
    let mut end = size_of::<i16>();
    for _ in 0..columns {
        let cell = i32::from_be_bytes(*bytes.get(end..)?.first_chunk()?);
        end += size_of::<i32>() + usize::try_from(cell).unwrap_or(0);
    }
    (end <= bytes.len()).then_some(end)
}

/// The cells of a tuple of this table.
pub(crate) fn cells(table: &Table, tuple: &[u8]) -> Result<Vec<Cell>, Misfit> {
    let columns = table.columns.iter().zip(raw(tuple));
    columns
        .map(|(column, raw)| cell(column.kind, raw))
        .collect()
}

/// The key of a tuple of this table.
pub(crate) fn key(table: &Table, tuple: &[u8]) -> Result<Key, Misfit> {
    let cell_of = |name: &str| {
        let mut columns = table.columns.iter().zip(raw(tuple));
        let found = columns.find(|(column, _)| column.name == name);
        let (column, raw) = found.ok_or_else(Misfit::empty_key)?;
        cell(column.kind, raw)
    };
    let first = cell_of(table.key.first().copied().unwrap_or_default())?;
    let second = table.key.get(1).map(|name| cell_of(name)).transpose()?;
    Ok(Key { first, second })
}

/// The columns of a tuple, as they are; `None` is null.
fn raw(tuple: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = tuple.get(size_of::<i16>()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (cell, behind) = behind.split_at_checked(length.unwrap_or(0))?;
        rest = behind;
        Some(length.map(|_| cell))
    })
}

fn cell(kind: Kind, raw: Option<&[u8]>) -> Result<Cell, Misfit> {
    let Some(raw) = raw else {
        return Ok(Cell::Null);
    };
    let number = || {
        let bytes = raw.try_into().map_err(|_| Misfit::bytes("a number", raw));
        bytes.map(i64::from_be_bytes)
    };
    Ok(match kind {
        Kind::Number => Cell::Number(number()?),
        Kind::Word => {
            let word = str::from_utf8(raw).map_err(|_| Misfit::bytes("a word", raw))?;
            Cell::Word(word.to_owned().into())
        }
        Kind::Time => {
            let time = Timestamp::from_microsecond(number()?.saturating_add(EPOCH));
            Cell::Time(time.map_err(|_| Misfit::bytes("a time", raw))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Vec<Cell> {
        vec![
            Cell::Number(-7),
            Cell::Null,
            Cell::Word("spa\u{e7}e".into()),
            Cell::Word("".into()),
            Cell::Time("1999-12-31T23:59:59.999999Z".parse().unwrap()),
        ]
    }

    #[test]
    fn a_document_may_come_in_any_pieces() {
        let row = row();
        let document = document([&row[..], &row[..1], &row[..]].into_iter());
        for size in 1..document.len() {
            let (mut reader, mut found) = (Reader::default(), vec![]);
            for piece in document.chunks(size) {
                reader.feed(piece);
                while let Some(tuple) = reader.next() {
                    found.push(tuple.to_vec());
                }
            }
            let expected = [&row[..], &row[..1], &row[..]].map(|cells| {
                let mut tuple = vec![];
                push(&mut tuple, cells);
                tuple
            });
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn cells_come_back_as_they_were() {
        let mut tuple = vec![];
        push(&mut tuple, &row());
        let kinds = [
            Kind::Number,
            Kind::Number,
            Kind::Word,
            Kind::Word,
            Kind::Time,
        ];
        let back: Vec<_> = kinds
            .into_iter()
            .zip(raw(&tuple))
            .map(|(kind, raw)| cell(kind, raw).unwrap())
            .collect();
        assert_eq!(back, row());
    }
}
