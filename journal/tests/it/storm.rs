//! Many who want the same: how many get it, and how long the others wait.

use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use jiff::Timestamp;
use journal::append::{Append, Claim, Outcome};
use journal::{Journal, schema};
use local_postgres::testing::stopwatch;
use serde_json::json;

use crate::needs::ASTRAY;
use crate::samples::{Compose, append, hour};
use crate::stage::{Stage, append_one, journal_over};

/// How many book at once, each with a connection.
const CLIENTS: u16 = 16;
/// How many requests there are in the storm, over how many venues.
const REQUESTS: i64 = 10_000;
const VENUES: i64 = 50;
/// Nobody waits longer. (A second is the promise on a machine that does nothing else.)
const LONGEST: Duration = Duration::from_secs(5);

/// Two bookings on one unit at one time.
const OVERLAPS: &str = "select count(*) from slot_claims a join slot_claims b
                        on a.bookid < b.bookid and a.unit = b.unit and a.during && b.during";

/// A booking of one of these units from one minute to another, as its event says it.
fn wish(key: i64, units: Vec<i64>, from: i64, to: i64) -> Append {
    let at = |minutes: i64| Timestamp::from_second(hour(0).as_second() + minutes * 60).unwrap();
    let (start, end) = (at(from), at(to));
    let slot = json!({"start": start.to_string(), "end": end.to_string(), "unit": null});
    let payload = json!({"type": "Booked", "bookid": key, "slot": slot});
    let mut wish = append(u128::try_from(key).unwrap()).saying("Book", key, 0, "Booked", payload);
    wish.claims.push(Claim {
        bookid: key,
        units,
        start,
        end,
    });
    wish
}

/// As the service has it, with its time-outs.
fn journal(stage: &Stage) -> Journal {
    journal_over(schema::connect(stage.url(), CLIENTS.into()).unwrap())
}

/// Sends everything at once, each in a call of its own; how many were stored and how many taken.
async fn at_once(stage: &Stage, wishes: Vec<Append>) -> (usize, usize) {
    let journal = journal(stage);
    let calls = wishes.into_iter().map(|wish| append_one(&journal, wish));
    let outcomes = join_all(calls).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let stored = outcomes.iter().filter(|o| matches!(o, Outcome::Stored(_)));
    let taken = outcomes.iter().filter(|o| **o == Outcome::Taken);
    (stored.count(), taken.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_for_one_slot_one_is_stored() {
    let mut stage = Stage::open().await;
    let wishes = (1..=100).map(|key| wish(key, vec![1], 0, 120)).collect();
    assert_eq!(at_once(&stage, wishes).await, (1, 99));
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
    assert_eq!(stage.number(ASTRAY).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_for_three_units_three_are_stored() {
    let mut stage = Stage::open().await;
    // Overlapping in every way.
    let wishes = (1..=100)
        .map(|key| wish(key, vec![1, 2, 3], key % 60, 90 + key % 60))
        .collect();
    assert_eq!(at_once(&stage, wishes).await, (3, 97));
    let units = stage.number("select count(distinct unit) from slot_claims");
    assert_eq!(units.await, 3);
    assert_eq!(stage.number(ASTRAY).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_that_adjoin_all_are_stored() {
    let mut stage = Stage::open().await;
    let wishes = (1..=100)
        .map(|key| wish(key, vec![1], key * 30, key * 30 + 30))
        .collect();
    assert_eq!(at_once(&stage, wishes).await, (100, 0));
    assert_eq!(stage.number(ASTRAY).await, 0);
}

/// One client's part of the storm, one call after the other; what was stored, what was taken, and each call's time.
async fn client(journal: &Journal, number: u16) -> (u64, u64, Vec<Duration>) {
    let mut random = Rng::with_seed(number.into());
    let (mut stored, mut taken, mut times) = (0, 0, vec![]);
    let keys = (1..=REQUESTS).filter(|key| key % i64::from(CLIENTS) == i64::from(number));
    for key in keys {
        let venue = random.i64(0..VENUES);
        // A venue has one to three units.
        let units: Vec<i64> = (0..=venue % 3).map(|unit| venue * 10 + unit).collect();
        let from = random.i64(0..2_000) * 15;
        let to = from + random.i64(1..16) * 15;
        let began = stopwatch();
        let outcome = append_one(journal, wish(key, units, from, to)).await;
        times.push(began.elapsed());
        match outcome.unwrap() {
            Outcome::Stored(_) => stored += 1,
            Outcome::Taken => taken += 1,
            other => panic!("{other:?}"),
        }
        // Now and then somebody cancels.
        if random.u8(0..20) == 0 {
            let payload = json!({"type": "Bookcancelled", "bookid": key});
            let number = u128::try_from(key + REQUESTS).unwrap();
            let cancel = append(number)
                .saying("Book", key, 1, "Bookcancelled", payload)
                .releasing(key);
            append_one(journal, cancel).await.unwrap();
        }
    }
    (stored, taken, times)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_bookings_leaves_no_overlap_and_nobody_waiting() {
    let mut stage = Stage::open().await;
    let began = stopwatch();
    let journal = journal(&stage);
    let clients = join_all((0..CLIENTS).map(|number| client(&journal, number))).await;
    let took = began.elapsed();
    let (mut stored, mut taken, mut times) = (0, 0, vec![]);
    for (some_stored, some_taken, some_times) in clients {
        stored += some_stored;
        taken += some_taken;
        times.extend(some_times);
    }
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000];
    println!(
        "{REQUESTS} requests from {CLIENTS} clients in {took:.1?}: {stored} stored, {taken} taken; half within {:.1?}, \
         99 % within {:.1?}, all within {:.1?}",
        at(500),
        at(990),
        at(1_000)
    );
    assert_eq!(stored + taken, REQUESTS.unsigned_abs());
    assert!(stored > 1_000 && taken > 1_000, "{stored} and {taken}");
    assert_eq!(stage.number(OVERLAPS).await, 0);
    assert_eq!(stage.number(ASTRAY).await, 0);
    assert!(at(1_000) < LONGEST, "somebody waited for {:?}", at(1_000));
}
