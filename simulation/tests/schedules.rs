//! Plays schedules. `SIMULATION_SEED` names the first seed, or the only one; `SIMULATION_SCHEDULES` says how many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these say what they found"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use simulation::{Run, run};

/// How many are played when nobody says.
const SCHEDULES: u64 = 2_000;
/// So many seeds are played at most for each schedule that is wanted: the others have no fault, or no overlap.
const SEEDS_MAX_PER_SCHEDULE: u64 = 4;

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
        "seed {seed} breaks a promise: {:#?}\nagain: SIMULATION_SEED={seed} SIMULATION_SCHEDULES=1 cargo test -p simulation --test schedules every",
        played.violations,
    );
    played
}

/// What many schedules came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    seen: BTreeMap<&'static str, u64>,
    transitions: BTreeSet<(String, String)>,
}

impl Sum {
    fn add(&mut self, played: Run) {
        self.seeds += 1;
        self.steps += played.steps;
        for (what, times) in played.seen {
            *self.seen.entry(what).or_default() += times;
        }
        self.transitions.extend(played.transitions);
    }

    fn join(mut self, other: Self) -> Self {
        self.seeds += other.seeds;
        self.steps += other.steps;
        for (what, times) in other.seen {
            *self.seen.entry(what).or_default() += times;
        }
        self.transitions.extend(other.transitions);
        self
    }
}

#[test]
fn every_schedule_keeps_the_promises() {
    let first = setting("SIMULATION_SEED").unwrap_or(1);
    let wanted = setting("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let (next, counted) = (AtomicU64::new(first), AtomicU64::new(0));
    let last = first + SEEDS_MAX_PER_SCHEDULE * wanted;
    let some = || {
        let mut sum = Sum::default();
        while counted.load(Ordering::Relaxed) < wanted {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last || (wanted == 1 && seed > first) {
                break;
            }
            let played = play(seed);
            counted.fetch_add(u64::from(played.counts()), Ordering::Relaxed);
            sum.add(played);
        }
        sum
    };
    let sum = thread::scope(|scope| {
        let players = thread::available_parallelism().map_or(1, usize::from);
        let playing: Vec<_> = (0..players).map(|_| scope.spawn(some)).collect();
        let sums = playing.into_iter().map(|sum| sum.join().unwrap());
        sums.fold(Sum::default(), Sum::join)
    });
    let counted = counted.into_inner();
    println!(
        "{counted} schedules with a fault and an overlap among {} seeds from {first} on, {} steps",
        sum.seeds, sum.steps
    );
    for (what, times) in &sum.seen {
        println!("  {times:>9} times {what}");
    }
    println!(
        "{} transitions between events of a stream:",
        sum.transitions.len()
    );
    for (before, after) in &sum.transitions {
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
