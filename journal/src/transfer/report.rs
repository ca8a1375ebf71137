//! What an import says in the end.

use serde::Serialize;

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The journal that the file is of, as `uuid/epoch`.
    pub source: String,
    /// The journal that the events are in now.
    pub journal: String,
    /// Events of the file that are here.
    pub events: i64,
    /// How many more a file without a footer has: events of its last command, which may have had others behind them.
    pub events_left_out: i64,
    /// How many of the events an earlier, interrupted run had stored.
    pub events_before: i64,
    /// Where the first of them stands now.
    pub first_position: i64,
    /// Where the last of them stands now.
    pub last_position: i64,
    /// Command ids that are known again, with their answers.
    pub commands: i64,
    /// Slots that are held again.
    pub claims: i64,
    /// Jobs that people have in hand, or had.
    pub jobs: i64,
    /// The number that the next booking has.
    pub next_booking: i64,
    /// Whether the file had no footer.
    pub truncated: bool,
    /// Whether charges and refunds without an outcome are left to people.
    pub payments_held: bool,
}
