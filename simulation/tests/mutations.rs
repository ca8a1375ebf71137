//! Each bug that can be switched on is found, and it is said after how many schedules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these say what they found"
)]

use std::thread;

use simulation::mutation::Mutation;
use simulation::run;

/// How many schedules a bug may hide in.
const SCHEDULES_MAX: u64 = 6_000;

#[test]
fn every_bug_is_found() {
    let hunt = |mutation: Mutation| {
        (1..=SCHEDULES_MAX).find_map(|seed| {
            let found = run(seed, Some(mutation)).violations;
            found.first().map(|found| (seed, found.clone()))
        })
    };
    let mut missed = vec![];
    for pair in Mutation::ALL.chunks(2) {
        let found: Vec<_> = thread::scope(|scope| {
            let hunts: Vec<_> = pair
                .iter()
                .map(|&one| scope.spawn(move || hunt(one)))
                .collect();
            hunts.into_iter().map(|hunt| hunt.join().unwrap()).collect()
        });
        for (mutation, found) in pair.iter().zip(found) {
            match found {
                Some((schedules, found)) => println!(
                    "{schedules:>5} {mutation:?}: {}\n      {found}",
                    mutation.says()
                ),
                None => {
                    println!("    - {mutation:?}: {} -- NOT FOUND", mutation.says());
                    missed.push(mutation);
                }
            }
        }
    }
    assert!(
        missed.is_empty(),
        "not found in {SCHEDULES_MAX} schedules: {missed:?}"
    );
}
