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

/// What [`SCHEDULES`] schedules show at least: how often each thing happened, with a wide margin, so that a change of
/// what is drawn does not fail, and one after which something does not happen any more does.
const HAPPENS: &[(&str, u64)] = &[
    ("a batch was committed", 20_000),
    ("a call arrived late, and nobody waited", 100),
    ("a call was answered and the answer lost", 100),
    ("a call was lost on the way", 100),
    ("a call was not sent", 100),
    ("a call was slow", 100),
    ("a charge arrived whose process had slept", 2),
    ("a command won only part", 20),
    ("a commit became visible late", 1_000),
    ("a declined charge was captured after all", 8),
    ("a fence was shut", 100),
    ("a hole was proved dead", 1_000),
    ("a job was scheduled", 2_000),
    ("a job was taken over", 30),
    ("a job's fence was shut", 12),
    ("a lease was taken over", 700),
    ("a lock was waited for", 10_000),
    ("a look-up was not answered", 400),
    ("a look-up was told to wait", 15),
    ("a parked event was taken", 100),
    ("a payment was asked for beside its booking's own call", 200),
    ("a process was killed", 200),
    ("a process was stopped for a while", 100),
    ("a proof was begun", 2_000),
    ("a reader held at a hole", 1_000),
    ("a refund was refused", 12),
    ("a slice of another cut was denied", 500),
    ("a statement was lost on the way", 3_000),
    ("a transaction was ended because it was idle", 3),
    ("a twin was recorded meanwhile", 100),
    ("a wake-up came for nothing", 80),
    ("an answer was lost on the way", 3_000),
    ("an append was committed", 10_000),
    ("an event was parked", 100),
    ("its sessions were terminated", 70),
    ("somebody else in the cluster wrote for long", 80),
    ("the clocks jumped", 80),
    ("the database died", 90),
    ("the gateway said again that it had captured", 100),
    ("the saga could not read an order", 8),
    ("the saga was cut", 300),
];

/// Which event follows which, among others.
const FOLLOW: &[(&str, &[&str])] = &[
    ("(Book)", &["Booked"]),
    (
        "Booked",
        &[
            "BookConfirmed",
            "BookRejected",
            "Bookcancelled",
            "PaymentDeferred",
        ],
    ),
    (
        "PaymentDeferred",
        &[
            "BookConfirmed",
            "BookRejected",
            "Bookcancelled",
            "BookExpired",
        ],
    ),
    ("BookConfirmed", &["Rescheduled", "Bookcancelled"]),
    ("Rescheduled", &["Bookcancelled"]),
    ("Bookcancelled", &["BookClosed"]),
    ("(Payment)", &["PaymentRequested"]),
    (
        "PaymentRequested",
        &[
            "PointsSpent",
            "Approved",
            "PaymentDeclined",
            "PaymentOutcomeUnknown",
            "VoidRequested",
        ],
    ),
    (
        "PaymentOutcomeUnknown",
        &[
            "Approved",
            "PaymentDeclined",
            "PaymentOutcomeUnknown",
            "VoidRequested",
        ],
    ),
    ("VoidRequested", &["Approved", "PaymentDeclined"]),
    ("Approved", &["PointsAccrued"]),
    ("PointsSpent", &["Approved"]),
    (
        "PaymentDeclined",
        &["Cancelled", "PointsReturned", "LateApproval"],
    ),
    ("PointsAccrued", &["ChargeRequested", "RefundRequested"]),
    (
        "ChargeRequested",
        &["ChargeApproved", "ChargeDeclined", "PaymentOutcomeUnknown"],
    ),
    ("ChargeApproved", &["PointsAccrued"]),
    ("LateApproval", &["RefundRequested"]),
    (
        "RefundRequested",
        &[
            "Cancelled",
            "PartiallyRefunded",
            "RefundFailed",
            "SurplusRefunded",
        ],
    ),
    ("RefundFailed", &["Cancelled"]),
    ("Cancelled", &["PointsClawedBack"]),
    ("PartiallyRefunded", &["PointsClawedBack"]),
    ("(Space)", &["Registered", "FulfilmentStopped"]),
    (
        "Registered",
        &[
            "PreparationStarted",
            "RegistrationMoved",
            "FulfilmentStopped",
            "NoShowMarked",
        ],
    ),
    ("PreparationStarted", &["Prepared"]),
    ("Prepared", &["HandedOver"]),
    ("HandedOver", &["CheckedIn"]),
    ("CheckedIn", &["CheckedOut"]),
    (
        "FulfilmentStopped",
        &["Registercancelled", "RegistrationRefused"],
    ),
];

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

    /// What happened too seldom or never.
    fn lacks(&self) -> Vec<String> {
        let times = |what: &str| self.seen.get(what).copied().unwrap_or(0);
        let seldom = HAPPENS.iter().filter(|(what, least)| times(what) < *least);
        let seldom =
            seldom.map(|(what, least)| format!("{} times {what}, not {least}", times(what)));
        let pairs = FOLLOW
            .iter()
            .flat_map(|(before, after)| after.iter().map(move |after| (*before, *after)));
        let known = |(before, after): &(&str, &str)| {
            let pair = ((*before).to_owned(), (*after).to_owned());
            self.transitions.contains(&pair)
        };
        let never = pairs.filter(|pair| !known(pair));
        let never = never.map(|(before, after)| format!("{before} -> {after} never"));
        seldom.chain(never).collect()
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
    // A few schedules need not show everything.
    if wanted >= SCHEDULES {
        let lacks = sum.lacks();
        assert!(lacks.is_empty(), "{lacks:#?}");
    }
}

#[test]
fn what_does_not_happen_any_more_is_named() {
    let all = || Sum {
        seen: HAPPENS.iter().copied().collect(),
        transitions: FOLLOW
            .iter()
            .flat_map(|(before, after)| {
                let pair = |after: &&str| ((*before).to_owned(), (*after).to_owned());
                after.iter().map(pair)
            })
            .collect(),
        ..Sum::default()
    };
    assert_eq!(all().lacks(), [""; 0]);
    for (what, least) in HAPPENS {
        let mut seldom = all();
        seldom.seen.insert(what, least - 1);
        let lacks = seldom.lacks();
        assert!(lacks.len() == 1 && lacks[0].contains(what), "{lacks:?}");
    }
    for pair in all().transitions {
        let mut never = all();
        never.transitions.remove(&pair);
        let lacks = never.lacks();
        assert!(lacks.len() == 1 && lacks[0].contains(&pair.1), "{lacks:?}");
    }
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
