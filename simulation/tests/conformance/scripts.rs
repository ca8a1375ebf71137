//! Random scripts, told to both journals: every answer must be the same.
//!
//! Positions may differ, and so may nothing else: outcomes, versions, what is known of a command, the rows of a
//! stream, and what a reader is given, stream by stream and in order.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use futures::future::{Either, select};
use journal::StreamId;
use journal::append::{Append, Outcome};
use journal::feed::{Feed, Item};
use journal::store::NotAppended;
use serde_json::json;
use tokio::runtime::Builder;

use crate::in_memory::Memory;
use crate::on_postgres::OnPostgres;
use crate::samples::{Compose, command, id};
use crate::stage::Stage;

/// How many scripts are told.
const SCRIPTS: u64 = 200;
/// How many steps one has.
const STEPS: usize = 10;
/// How many bookings, units and command ids a script speaks of: few, so that they meet.
const FEW: i64 = 4;

/// How often a reader looks again at a hole that nobody can own any more.
const HOLDS_MAX: u32 = 1_000;

/// What is done next.
#[derive(Debug)]
enum Step {
    /// Groups, as they are.
    Send(Vec<Append>),
    /// Commands, by the journal.
    Append(Vec<Append>),
    /// A command that draws its numbers and rolls back, if it comes so far.
    RollBack(Append),
    /// Reads what is new.
    Read(i64),
    /// Reads a stream, and where it stands.
    Stream(StreamId),
    /// Asks for answers.
    Ask(Vec<u128>),
}

/// A command of a script: its id, streams and claims are few.
fn any_command(random: &mut Rng, script: i64) -> Append {
    let few = |random: &mut Rng| script * FEW + random.i64(0..FEW);
    let number = script.unsigned_abs() * 40 + random.u64(1..30);
    let book = few(random);
    let mut composed = command(number.into());
    let types: &[&str] = match random.u8(0..4) {
        0 => &["Payment"],
        1 => &["Book", "Payment"],
        _ => &["Book"],
    };
    for aggregate_type in types {
        let after = [0, 0, 0, 1, 1, 2, 3][random.usize(0..7)];
        composed = composed.to(aggregate_type, book, after, random.usize(1..3));
    }
    for _ in 0..[0, 0, 1, 1, 2][random.usize(0..5)] {
        let from = random.i64(0..8);
        let units: Vec<_> = (0..random.usize(1..4)).map(|_| few(random)).collect();
        composed = composed.claiming_one_of(book, &units, from, from + random.i64(1..4));
    }
    // A move is one claim.
    if composed.claims.len() < 2 && random.u8(0..4) == 0 {
        composed = composed.releasing(book);
    }
    if !composed.claims.is_empty() {
        let slot =
            json!({"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T12:00:00Z", "unit": null});
        for event in composed.streams.iter_mut().flat_map(|s| &mut s.events) {
            event.payload["slot"] = slot.clone();
        }
    }
    let (userid, count) = (few(random), random.i64(1..100));
    // A payment of its own, so that it wins its stream mostly.
    let payment = 1_000_000 + script * 20 + random.i64(0..20);
    let points =
        |name: &str| json!({"type": name, "payid": payment, "userid": userid, "points": count});
    match random.u8(0..6) {
        0 => composed.saying(
            "Payment",
            payment,
            0,
            "PointsAccrued",
            points("PointsAccrued"),
        ),
        1 => {
            let name = "PointsClawedBack";
            let spends = composed.saying("Payment", payment, 0, name, points(name));
            spends.spending(userid, count)
        }
        _ => composed,
    }
}

/// A group in which each stream stands once, as the journal sends them.
fn any_group(random: &mut Rng, script: i64) -> Vec<Append> {
    let mut group: Vec<Append> = vec![];
    for _ in 0..random.usize(1..4) {
        let next = any_command(random, script);
        let streams = |of: &Append| {
            of.streams
                .iter()
                .map(|s| s.stream.clone())
                .collect::<Vec<_>>()
        };
        let there: Vec<_> = group.iter().flat_map(streams).collect();
        if streams(&next).iter().all(|stream| !there.contains(stream)) {
            group.push(next);
        }
    }
    group
}

fn any_script(number: u64) -> Vec<Step> {
    let mut random = Rng::with_seed(number);
    let script = i64::try_from(number).unwrap();
    let mut steps = vec![];
    for _ in 0..STEPS {
        let random = &mut random;
        let key = script * FEW + random.i64(0..FEW);
        steps.push(match random.u8(0..10) {
            0..3 => Step::Send(any_group(random, script)),
            3..6 => {
                let count = random.usize(1..6);
                Step::Append((0..count).map(|_| any_command(random, script)).collect())
            }
            6 => Step::RollBack(any_command(random, script)),
            7 => Step::Read(random.i64(1..6)),
            8 => Step::Stream(StreamId::new(["Book", "Payment"][random.usize(0..2)], &key)),
            _ => {
                let first = u128::from(number * 40);
                Step::Ask((first..first + 30).collect())
            }
        });
    }
    steps.push(Step::Read(1_000));
    steps
}

/// An outcome without its position.
fn told(outcome: &Outcome) -> String {
    let streams = |answer: &journal::append::Answer| {
        let stream = |s: &journal::append::StreamVersion| {
            format!("{} {} at {}", s.aggregate_type, s.aggregate_id, s.version)
        };
        answer
            .streams
            .iter()
            .map(stream)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match outcome {
        Outcome::Stored(answer) => format!("stored {}", streams(answer)),
        Outcome::Already(answer) => format!("already {}", streams(answer)),
        other => format!("{other:?}"),
    }
}

fn told_of_a_group(outcome: Result<Vec<Outcome>, NotAppended>) -> String {
    match outcome {
        Ok(outcomes) => outcomes.iter().map(told).collect::<Vec<_>>().join("; "),
        Err(NotAppended::Half { taken }) => format!("half, a slot: {taken}"),
        Err(NotAppended::Store(error)) => format!("an error: {:?}", error.sqlstate()),
    }
}

/// What a reader is given, stream by stream.
async fn read(stage: &impl Stage, feed: &mut Feed, after: &mut i64, limit: i64) -> String {
    let mut by_stream: BTreeMap<StreamId, Vec<String>> = BTreeMap::new();
    let mut left = limit;
    let mut holds = 0;
    while left > 0 {
        let page = feed.read(*after, left).await.unwrap();
        if page.items.is_empty() {
            let Some(hole) = page.hole else { break };
            // Whoever rolled back may have said so before it was over.
            holds += 1;
            assert!(holds < HOLDS_MAX, "nobody writes, and it holds at {hole:?}");
            stage.nap(Duration::from_millis(4)).await;
            continue;
        }
        left -= i64::try_from(page.items.len()).unwrap();
        for item in page.items {
            assert!(item.position() > *after);
            *after = item.position();
            let Item::Events { events, .. } = item else {
                panic!("{item:?}")
            };
            for event in events {
                let line = format!("{} {} {}", event.sequence, event.event_id, event.command_id);
                by_stream.entry(event.stream).or_default().push(line);
            }
        }
    }
    // How many come in a page that is not the last one goes by position, and so by which numbers were drawn.
    format!("{by_stream:?}")
}

/// Tells a script to a journal in which everything up to `after` was read.
async fn play(stage: &impl Stage, script: &[Step], after: &mut i64) -> Vec<String> {
    let (store, journal) = (stage.store(), stage.journal());
    let mut feed = Feed::new(stage.journal(), "script");
    let mut said = vec![];
    for step in script {
        said.push(match step {
            Step::Send(group) => told_of_a_group(store.append(group).await),
            Step::Append(commands) => {
                let outcomes = journal.append(commands.clone()).await;
                let outcomes: Vec<_> = outcomes.iter().map(|o| told(o.as_ref().unwrap())).collect();
                outcomes.join("; ")
            }
            Step::RollBack(command) => {
                let id = command.command_id;
                stage.hold_still(id).await;
                let group = [command.clone()];
                let mut appending = std::pin::pin!(store.append(&group));
                let done = {
                    let waits = std::pin::pin!(stage.until_waiting(1));
                    match select(&mut appending, waits).await {
                        Either::Left((outcome, _)) => Some(outcome),
                        Either::Right(_) => None,
                    }
                };
                // Who stopped looking must be gone before anybody else asks.
                if let Some(outcome) = done {
                    stage.let_go(id).await;
                    told_of_a_group(outcome)
                } else {
                    stage.cancel(id).await;
                    told_of_a_group(appending.await)
                }
            }
            Step::Read(limit) => read(stage, &mut feed, after, *limit).await,
            Step::Stream(stream) => {
                let rows = store.stream(stream).await.unwrap();
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|row| (row.sequence, row.payload, row.metadata))
                    .collect();
                let standing = store.standing(std::slice::from_ref(stream)).await.unwrap();
                format!("{rows:?} {}", told(&Outcome::Stored(standing)))
            }
            Step::Ask(ids) => {
                let ids: Vec<_> = ids.iter().map(|number| id(*number)).collect();
                let answers = store.answers(&ids).await.unwrap();
                let answers: BTreeMap<_, _> = answers
                    .into_iter()
                    .map(|(id, answer)| (id, told(&Outcome::Stored(answer))))
                    .collect();
                format!("{answers:?}")
            }
        });
    }
    said
}

#[test]
fn both_say_the_same() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    runtime.block_on(async {
        let postgres = OnPostgres::open().await;
        let mut after = 0;
        for number in 1..=SCRIPTS {
            let script = any_script(number);
            let memory = Memory::new(number, None);
            let in_memory = Memory::drive(&memory.scheduler(), play(&memory, &script, &mut 0));
            let on_postgres = play(&postgres, &script, &mut after).await;
            for (step, (memory, postgres)) in script.iter().zip(in_memory.iter().zip(&on_postgres))
            {
                assert_eq!(
                    memory, postgres,
                    "script {number}: memory and Postgres differ at {step:#?}"
                );
                for word in [
                    "stored",
                    "already",
                    "Conflict",
                    "Taken",
                    "NotCovered",
                    "half",
                    "an error",
                ] {
                    let times = u32::try_from(memory.matches(word).count()).unwrap();
                    *outcomes.entry(word.to_owned()).or_default() += times;
                }
            }
        }
        postgres.pool().close().await;
    });
    println!("{SCRIPTS} scripts: {outcomes:?}");
    assert!(
        outcomes.values().all(|times| *times > 20),
        "too little happened: {outcomes:?}"
    );
}
