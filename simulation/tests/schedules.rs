//! Plays schedules. `SIMULATION_SEED` names the first seed, or the only one; `SIMULATION_SCHEDULES` says how many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these say what they found"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use simulation::{Run, run};

/// How many are played when nobody says.
const SCHEDULES: u64 = 2_000;

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a whole number"))
}

fn play(seed: u64) -> Run {
    let played = run(seed, None);
    if !played.violations.is_empty() {
        for line in &played.story {
            println!("{line}");
        }
    }
    assert!(
        played.violations.is_empty(),
        "seed {seed} breaks a promise: {:#?}\nagain: SIMULATION_SEED={seed} SIMULATION_SCHEDULES=1 cargo test -p simulation --test schedules",
        played.violations,
    );
    played
}

#[test]
fn every_schedule_keeps_the_promises() {
    let first = setting("SIMULATION_SEED").unwrap_or(1);
    let wanted = setting("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let (mut counted, mut steps) = (0, 0);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut transitions = BTreeSet::new();
    let mut seed = first;
    while counted < wanted && seed - first < 4 * wanted {
        let played = play(seed);
        counted += u64::from(played.counts());
        steps += played.steps;
        for (what, times) in &played.seen {
            *seen.entry(what).or_default() += times;
        }
        transitions.extend(played.transitions);
        seed += 1;
    }
    println!(
        "{counted} schedules with a fault and an overlap among the seeds {first} to {}, {steps} steps",
        seed - 1
    );
    for (what, times) in &seen {
        println!("  {times:>9} times {what}");
    }
    println!(
        "{} transitions between events of a stream:",
        transitions.len()
    );
    for (before, after) in &transitions {
        println!("  {before} -> {after}");
    }
    assert!(
        wanted == 1 || counted >= wanted,
        "only {counted} schedules count"
    );
}

#[test]
fn a_seed_always_plays_the_same() {
    for seed in 1..=20 {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(
            (one.trace, one.steps),
            (other.trace, other.steps),
            "seed {seed}"
        );
    }
}
