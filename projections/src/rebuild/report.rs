//! What a rebuild says in the end.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cell::Cell;
use crate::projection::{Key, Table};

/// How many differences a report lists; it counts all of them.
pub const DIFFERENCES_MAX: usize = 100;

/// The outcome of a rebuild, as `spacerent replay --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Which projection.
    pub projection: String,
    /// How many events were taken.
    pub events: u64,
    /// How many rows the new generation has.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
    /// Events per second.
    pub events_per_second: u64,
    /// Everything up to here is in the new generation.
    pub to_position: i64,
    /// Whether the new generation, read back, is what was folded.
    pub verified: bool,
    /// Whether readers see the new generation now.
    pub switched: bool,
    /// Whether the live rows could be compared: those of another version cannot.
    pub compared: bool,
    /// How many rows differ between the live generation and the new one at the same position.
    pub differences_total: u64,
    /// The first [`DIFFERENCES_MAX`] of them.
    pub differences: Vec<Difference>,
}

/// A row that is not the same in both generations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The live row, as JSON; null when there is none.
    pub live: Value,
    /// The rebuilt row, as JSON; null when there is none.
    pub rebuilt: Value,
}

impl Report {
    /// With the times filled in.
    pub(super) fn took(self, started: Timestamp, ended: Timestamp) -> Self {
        let took = Duration::try_from(ended.duration_since(started)).unwrap_or_default();
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            seconds: Duration::from_millis(milliseconds).as_secs_f64(),
            events_per_second: self.events.saturating_mul(1_000) / milliseconds,
            ..self
        }
    }

    pub(super) fn add_difference(
        &mut self,
        table: &Table,
        key: Key,
        live: Option<&[Cell]>,
        rebuilt: Option<&[Cell]>,
    ) {
        self.differences_total += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference {
                table: table.name.to_owned(),
                key: key.to_string(),
                live: json(table, live),
                rebuilt: json(table, rebuilt),
            });
        }
    }
}

/// A row as a JSON object with the columns' names.
fn json(table: &Table, cells: Option<&[Cell]>) -> Value {
    let Some(cells) = cells else {
        return Value::Null;
    };
    let columns = table.columns.iter().zip(cells);
    let members = columns.map(|(column, cell)| (column.name.to_owned(), cell.to_json()));
    Value::Object(members.collect::<Map<_, _>>())
}
