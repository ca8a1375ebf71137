//! Each bug that can be switched on is found, and it is said after how many schedules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these say what they found"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use simulation::mutation::Mutation;
use simulation::run;

/// How many schedules a bug may hide in.
const SCHEDULES_MAX: u64 = 20_000;

/// Which bug, and after how many schedules what was found wrong.
type Hunted = (Mutation, Option<(u64, String)>);

fn hunt(mutation: Mutation) -> Hunted {
    let found = (1..=SCHEDULES_MAX).find_map(|seed| {
        let found = run(seed, Some(mutation)).violations;
        found.first().map(|found| (seed, found.clone()))
    });
    (mutation, found)
}

#[test]
fn every_bug_is_found() {
    let is_wanted = |bug: &&Mutation| !cfg!(debug_assertions) || !Mutation::RARE.contains(bug);
    let wanted: Vec<Mutation> = Mutation::ALL.iter().filter(is_wanted).copied().collect();
    let next = AtomicUsize::new(0);
    let some = || {
        let mut hunted = vec![];
        while let Some(&bug) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            hunted.push(hunt(bug));
        }
        hunted
    };
    let mut hunted: Vec<Hunted> = thread::scope(|scope| {
        let hunters = thread::available_parallelism().map_or(1, usize::from);
        let hunts: Vec<_> = (0..hunters).map(|_| scope.spawn(some)).collect();
        hunts
            .into_iter()
            .flat_map(|hunt| hunt.join().unwrap())
            .collect()
    });
    hunted.sort_by_key(|(bug, _)| *bug);
    for (bug, found) in &hunted {
        let (after, what) = match found {
            Some((after, what)) => (after.to_string(), what.as_str()),
            None => ("-".to_owned(), "NOT FOUND"),
        };
        println!("{after:>5} {bug:?}: {}\n      {what}", bug.says());
    }
    let skipped = Mutation::ALL.len() - hunted.len();
    println!(
        "{} bugs hunted in up to {SCHEDULES_MAX} schedules each; {skipped} skipped without optimisation: {:?}",
        hunted.len(),
        Mutation::RARE
    );
    let missed: Vec<_> = hunted.iter().filter(|(_, found)| found.is_none()).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
