//! Random groups of random commands, against a model that fits a screen.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;

use futures::future::join_all;
use journal::append::{Answer, Append, Outcome, StreamAppend};
use journal::{Journal, StreamId};
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestRunner};
use proptest::{collection, option, prop_assert, prop_assert_eq, prop_oneof};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::samples::{Compose, append};
use crate::stage::Stage;

/// How many stories each property is told.
const CASES: u32 = 24;
/// Bookings of one story; the next story's are others.
const KEYS: i64 = 3;

/// What somebody wants to append.
#[derive(Clone, Debug)]
struct Wish {
    /// Few ids, so that some come again.
    id: u8,
    book: i64,
    events: usize,
    payment: Option<i64>,
    /// How far the version decided on is off; mostly it is not.
    off: i64,
    /// Hours of the booking's own unit.
    slot: Option<Range<i64>>,
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let off = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(-1)];
    let slot = option::of((0_i64..6, 1_i64..3).prop_map(|(from, hours)| from..from + hours));
    (
        0_u8..12,
        0..KEYS,
        1_usize..3,
        option::of(0..KEYS),
        off,
        slot,
    )
        .prop_map(|(id, book, events, payment, off, slot)| Wish {
            id,
            book,
            events,
            payment,
            off,
            slot,
        })
}

/// Calls, each of several wishes.
fn any_story() -> impl Strategy<Value = Vec<Vec<Wish>>> {
    collection::vec(collection::vec(any_wish(), 1..9), 1..5)
}

/// What the journal should hold.
#[derive(Default)]
struct Model {
    versions: HashMap<StreamId, i64>,
    answers: HashMap<Uuid, Vec<(StreamId, i64)>>,
    slots: Vec<(i64, Range<i64>)>,
}

/// What a command should come to.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stored(Vec<(StreamId, i64)>),
    Already(Vec<(StreamId, i64)>),
    Conflict,
    Taken,
}

impl Model {
    fn version(&self, stream: &StreamId) -> i64 {
        self.versions.get(stream).copied().unwrap_or(0)
    }

    /// The command that a wish becomes on the streams as they should be. `story` keeps stories apart, `number`
    /// gives the claim a booking of its own.
    fn command(&self, wish: &Wish, story: i64, number: i64) -> Append {
        let key = |key| story * KEYS + key;
        let id = u128::from(wish.id) + u128::from(story.unsigned_abs()) * 1_000;
        let on = |aggregate_type: &str, booking| {
            let actual = self.version(&StreamId::new(aggregate_type, &booking));
            (actual + wish.off).max(0)
        };
        let book = key(wish.book);
        let mut command = append(id).to("Book", book, on("Book", book), wish.events);
        if let Some(payment) = wish.payment.map(key) {
            command = command.to("Payment", payment, on("Payment", payment), 1);
        }
        match &wish.slot {
            Some(hours) => command.claiming(number, book, hours.start, hours.end),
            None => command,
        }
    }

    /// What becomes of a command, all or nothing.
    fn judge(&mut self, command: &Append, slot: Option<&Range<i64>>) -> Verdict {
        if let Some(answer) = self.answers.get(&command.command_id) {
            return Verdict::Already(answer.clone());
        }
        let slot = slot.map(|hours| (command.claims[0].units[0], hours.clone()));
        if let Some((unit, hours)) = &slot {
            let overlaps = |(u, h): &(i64, Range<i64>)| {
                u == unit && h.start < hours.end && hours.start < h.end
            };
            if self.slots.iter().any(overlaps) {
                // Who decided on what is no longer so is asked again first.
                let is_late = |s: &StreamAppend| s.expected_version < self.version(&s.stream);
                return if command.streams.iter().any(is_late) {
                    Verdict::Conflict
                } else {
                    Verdict::Taken
                };
            }
        }
        if command
            .streams
            .iter()
            .any(|s| s.expected_version != self.version(&s.stream))
        {
            return Verdict::Conflict;
        }
        let mut answer = vec![];
        for stream in &command.streams {
            let version = stream.expected_version + i64::try_from(stream.events.len()).unwrap_or(0);
            self.versions.insert(stream.stream.clone(), version);
            answer.push((stream.stream.clone(), version));
        }
        self.slots.extend(slot);
        self.answers.insert(command.command_id, answer.clone());
        Verdict::Stored(answer)
    }
}

fn versions(answer: &Answer) -> Vec<(StreamId, i64)> {
    let stream = |s: &journal::append::StreamVersion| {
        (StreamId::new(&s.aggregate_type, &s.aggregate_id), s.version)
    };
    answer.streams.iter().map(stream).collect()
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Stored(answer) => Verdict::Stored(versions(answer)),
        Outcome::Already(answer) => Verdict::Already(versions(answer)),
        Outcome::Conflict => Verdict::Conflict,
        Outcome::Taken => Verdict::Taken,
        Outcome::NotCovered => panic!("nobody spends"),
    }
}

/// One number from the journal's tables.
async fn number(journal: &Journal, query: &str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(journal.pool())
        .await
        .unwrap()
}

/// Streams whose sequences do not run from 1 without a gap.
const GAPS: &str = "select count(*) from (
    select from events group by aggregate_type, aggregate_id having count(*) <> max(sequence) or min(sequence) <> 1
) gaps";
/// Commands that have events and no record, or a record that does not name their last event.
const UNRECORDED: &str = "select count(*) from (
    select command_id, max(position) as position from events group by 1
) e full join commands c using (command_id)
where c.command_id is null or (c.answer ->> 'position')::bigint is distinct from e.position";

async fn tell(journal: &Journal, story: i64, calls: &[Vec<Wish>]) -> TestCaseResult {
    let mut model = Model::default();
    let mut number_of_command = story * 1_000;
    for call in calls {
        let (mut commands, mut verdicts) = (vec![], vec![]);
        for wish in call {
            number_of_command += 1;
            let command = model.command(wish, story, number_of_command);
            verdicts.push(model.judge(&command, wish.slot.as_ref()));
            commands.push(command);
        }
        let outcomes = journal.append(commands).await;
        let told: Vec<_> = outcomes
            .iter()
            .map(|o| verdict(o.as_ref().unwrap()))
            .collect();
        prop_assert_eq!(told, verdicts);
    }
    for (stream, version) in &model.versions {
        let StreamId {
            aggregate_type,
            aggregate_id,
        } = stream;
        let stored = format!(
            "select count(*) from events where aggregate_type = '{aggregate_type}' and aggregate_id = '{aggregate_id}'"
        );
        prop_assert_eq!(number(journal, &stored).await, *version);
    }
    prop_assert_eq!(number(journal, GAPS).await, 0);
    prop_assert_eq!(number(journal, UNRECORDED).await, 0);
    Ok(())
}

/// All calls at once: what each comes to is open, what the journal may hold is not.
async fn tell_at_once(journal: &Journal, story: i64, calls: &[Vec<Wish>]) -> TestCaseResult {
    let model = Model::default();
    let mut number_of_command = story * 1_000;
    let mut command = |wish: &Wish| {
        number_of_command += 1;
        model.command(wish, story, number_of_command)
    };
    let calls: Vec<Vec<Append>> = calls
        .iter()
        .map(|call| call.iter().map(&mut command).collect())
        .collect();
    let outcomes = join_all(calls.iter().map(|call| journal.append(call.clone()))).await;
    let commands = calls.iter().flatten().zip(outcomes.into_iter().flatten());
    let mut answers: HashMap<Uuid, (Option<usize>, Vec<Answer>)> = HashMap::new();
    for (command, outcome) in commands {
        let of_id = answers.entry(command.command_id).or_default();
        match outcome.map_err(|error| TestCaseError::fail(error.to_string()))? {
            Outcome::Stored(answer) => {
                prop_assert!(of_id.0.is_none(), "{} is stored twice", command.command_id);
                of_id.0 = Some(command.streams.iter().map(|s| s.events.len()).sum());
                of_id.1.push(answer);
            }
            Outcome::Already(answer) => of_id.1.push(answer),
            Outcome::Conflict | Outcome::Taken | Outcome::NotCovered => {}
        }
    }
    for (id, (stored, answers)) in answers {
        let events = format!("select count(*) from events where command_id = '{id}'");
        let events = usize::try_from(number(journal, &events).await).unwrap_or(0);
        prop_assert_eq!(events, stored.unwrap_or(0));
        prop_assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:?}"
        );
    }
    prop_assert_eq!(number(journal, GAPS).await, 0);
    prop_assert_eq!(number(journal, UNRECORDED).await, 0);
    Ok(())
}

/// Tells stories to one journal, one after the other.
fn stories(tell: impl Fn(&Runtime, &Journal, i64, &[Vec<Wish>]) -> TestCaseResult) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stage = runtime.block_on(Stage::open());
    let story = Cell::new(0_i64);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |calls: Vec<Vec<Wish>>| {
        story.set(story.get() + 1);
        tell(&runtime, &stage.journal, story.get(), &calls)
    };
    TestRunner::new(config).run(&any_story(), run).unwrap();
    // The pool ends where it lived.
    runtime.block_on(async { drop(stage) });
}

#[test]
fn every_answer_is_the_models_and_nothing_is_stored_in_part() {
    stories(|runtime, journal, story, calls| runtime.block_on(tell(journal, story, calls)));
}

#[test]
fn calls_at_once_leave_no_gap_no_half_command_and_no_second_answer() {
    stories(|runtime, journal, story, calls| runtime.block_on(tell_at_once(journal, story, calls)));
}
