//! Proves: everything that decides, over a journal in memory, on a seeded scheduler.
//!
//! [`run`] plays the schedule of one seed: customers and staff, two processes with their followers, saga and
//! workers, a gateway and its network, and what goes wrong. Journal, feed, followers, saga, workers and folds are
//! those that are shipped; the database ([`database`]), the gateway ([`gateway`]), clocks, sleep, spawn and
//! randomness ([`scheduler`]) are the simulation's. A seed always plays the same schedule.
//!
//! After every commit, and when everything has come to rest, the promises are checked (`docs/reliability.md`).
//! [`mutation`] lists bugs that can be switched on, to see that they are found.

pub mod database;
pub mod gateway;
pub mod mutation;
mod node;
mod people;
pub mod scheduler;
mod slots;
mod verdict;
mod world;

use std::collections::{BTreeMap, BTreeSet};

pub use people::Told;
pub use world::run;

/// How a schedule ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// What was found wrong.
    pub violations: Vec<String>,
    /// How much was done on purpose: kills, stops, crashes, jumps.
    pub faults: u64,
    /// Its steps: from one `await` to the next.
    pub steps: u64,
    /// The same in two runs exactly when they went the same way.
    pub trace: u64,
    /// What happened, line by line.
    pub story: Vec<String>,
    /// Which event followed which in a stream.
    pub transitions: BTreeSet<(String, String)>,
    /// What happened, and how often.
    pub seen: BTreeMap<&'static str, u64>,
}

/// What shows that two things were under way at once. Not a lease that was taken over, nor a proof that was begun: one
/// process that was killed is enough for these.
const OVERLAPS: &[&str] = &[
    "a lock was waited for",
    "a command won only part",
    "a twin was recorded meanwhile",
    "a commit became visible late",
    "a reader held at a hole",
    "a fence was shut",
    "a job's fence was shut",
];

impl Run {
    /// Whether it counts: at least one thing went wrong, and at least two were under way at once.
    #[must_use]
    pub fn counts(&self) -> bool {
        let network = self
            .seen
            .iter()
            .any(|(what, _)| what.starts_with("a call") || what.contains("was lost"));
        (self.faults > 0 || network) && OVERLAPS.iter().any(|what| self.seen.contains_key(what))
    }
}
