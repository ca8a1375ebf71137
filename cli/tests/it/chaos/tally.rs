//! What goes wrong in a chaos run, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KilledAtAPoint,
    Killed,
    StoppedInsideATransaction,
    Frozen,
    ConnectionsEnded,
    PostgresKilled,
    CutBeforeCommit,
    CutAfterCommit,
    DiskFull,
}

impl Fault {
    pub const ALL: [Self; 9] = [
        Self::KilledAtAPoint,
        Self::Killed,
        Self::StoppedInsideATransaction,
        Self::Frozen,
        Self::ConnectionsEnded,
        Self::PostgresKilled,
        Self::CutBeforeCommit,
        Self::CutAfterCommit,
        Self::DiskFull,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::KilledAtAPoint => "process killed at a fail point",
            Self::Killed => "process killed with kill -9",
            Self::StoppedInsideATransaction => "lease holder stopped in its transaction",
            Self::Frozen => "process frozen for 8 s",
            Self::ConnectionsEnded => "connections ended at random",
            Self::PostgresKilled => "Postgres killed and started again",
            Self::CutBeforeCommit => "cut before the server had the commit",
            Self::CutAfterCommit => "cut before the client knew of it",
            Self::DiskFull => "disk full for 4 s",
        }
    }
}

/// What became of the faults of one kind.
#[derive(Default)]
pub struct Tally {
    pub recovered: Vec<Duration>,
    pub unrecovered: usize,
    /// Nobody came to the point.
    pub missed: usize,
}

impl Tally {
    pub fn came_about(&self) -> bool {
        self.unrecovered > 0 || !self.recovered.is_empty()
    }
}

pub fn print(tallies: &BTreeMap<Fault, Tally>) {
    println!(
        "{:<42} {:>6} {:>7} {:>12} {:>10}",
        "fault", "count", "missed", "median", "worst"
    );
    for (fault, tally) in tallies {
        let mut times = tally.recovered.clone();
        times.sort_unstable();
        let shown = |time: Option<&Duration>| {
            time.map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()))
        };
        println!(
            "{:<42} {:>6} {:>7} {:>12} {:>10}",
            fault.name(),
            times.len() + tally.unrecovered,
            tally.missed,
            shown(times.get(times.len() / 2)),
            if tally.unrecovered > 0 {
                "never".to_owned()
            } else {
                shown(times.last())
            },
        );
    }
}
