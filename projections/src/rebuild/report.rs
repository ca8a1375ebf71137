//! What a rebuild says in the end.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cell::{Cell, Misfit};
use crate::packed;
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
    /// How long readers and the live follower were kept waiting for the switch; null when there was none.
    pub switch_lock_seconds: Option<f64>,
    /// Where a half-built generation was gone on from; null when it began with an empty one.
    pub resumed_from: Option<i64>,
    /// The schema that shows how things were at `to_position`; null when that was not asked for.
    pub schema: Option<String>,
    /// How many bookings are parked in the new generation: they stand where their first parked event found them.
    pub parked: i64,
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
        let took = between(started, ended);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            seconds: seconds(Duration::from_millis(milliseconds)),
            events_per_second: self.events.saturating_mul(1_000) / milliseconds,
            ..self
        }
    }

    pub(super) fn add_difference(
        &mut self,
        table: &Table,
        key: &Key,
        live: Option<&[u8]>,
        rebuilt: Option<&[u8]>,
    ) -> Result<(), Misfit> {
        self.differences_total += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let row = |tuple: Option<&[u8]>| match tuple {
                Some(tuple) => Ok(json(table, &packed::cells(table, tuple)?)),
                None => Ok(Value::Null),
            };
            self.differences.push(Difference {
                table: table.name.to_owned(),
                key: key.to_string(),
                live: row(live)?,
                rebuilt: row(rebuilt)?,
            });
        }
        Ok(())
    }
}

/// A row as a JSON object with the columns' names.
pub(super) fn json(table: &Table, cells: &[Cell]) -> Value {
    let columns = table.columns.iter().zip(cells);
    let members = columns.map(|(column, cell)| (column.name.to_owned(), cell.to_json()));
    Value::Object(members.collect::<Map<_, _>>())
}

/// How long it was from one time to another; nothing when the clock went back.
pub(super) fn between(started: Timestamp, ended: Timestamp) -> Duration {
    Duration::try_from(ended.duration_since(started)).unwrap_or_default()
}

/// A time as reports tell it: microseconds behind the point, and not what a sum of floats leaves there.
#[expect(
    clippy::float_arithmetic,
    reason = "a measured time for people; no money"
)]
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000_000.0
}
