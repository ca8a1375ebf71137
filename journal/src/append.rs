//! Appends commands: N in, N answers out, also when N is 1.
//!
//! A command is all or nothing: its streams, its slots, its points, its command id. What is sent together is
//! committed together, in groups of at most [`GROUP_MAX`]; a stream or a command id stands in a group once,
//! and its second command waits for the next group; so does a second command that spends a user's points. The rules
//! that a group keeps are in the SQL function `journal_append` (migrations/0023), each beside the line that keeps it.
//! A group that fails as a whole is sent again one command at a time, so that only the one at fault fails.
//!
//! Cost: one round trip and one commit per group, and one look at the command ids of those that lost.

mod needs;

use std::collections::{HashMap, HashSet};

use domain::Event;
use domain::version::Table;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::store::NotAppended;
use crate::{Journal, Metadata, StoreError, StreamId};

pub(crate) use needs::Needs;

/// How many commands are committed together at most.
pub const GROUP_MAX: usize = 64;

/// How often a group is sent again when the connection broke or the database was busy. The command ids make
/// that safe: what was committed is answered, not repeated.
pub const SENDS_MAX: u32 = 3;

/// One command's events, ready to be stored.
#[derive(Clone, Debug)]
pub struct Append {
    /// The same id is stored once.
    pub command_id: Uuid,
    /// Of every event.
    pub metadata: Metadata,
    /// At least one stream with at least one event each.
    pub streams: Vec<StreamAppend>,
    /// Slots that the command needs.
    pub claims: Vec<Claim>,
    /// Bookings whose slots are free when the command is stored. One that claims, too, moves: what it has is not in
    /// its way.
    pub release: Vec<i64>,
    /// Points that must be there.
    pub spend: Option<Spend>,
}

/// Events for one stream.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// Which stream.
    pub stream: StreamId,
    /// The version the decision was made on; zero for a new stream.
    pub expected_version: i64,
    /// The events, in order.
    pub events: Vec<StoredEvent>,
}

/// An event as it is stored.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its name.
    pub event_type: String,
    /// Its shape's version.
    pub event_version: String,
    /// Its content.
    pub payload: Value,
}

impl StoredEvent {
    /// The stored form of an event of the domain, of the version that `events` writes it with.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when the table does not have it, or it cannot be written as JSON: nobody could
    /// read it.
    pub fn of(event: &Event, events: &Table) -> Result<Self, StoreError> {
        let payload = serde_json::to_value(event)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        let (aggregate_type, name) = (event.aggregate_type(), event.name());
        Ok(Self {
            event_type: name.to_owned(),
            event_version: written(events, aggregate_type, name)?.to_owned(),
            payload,
        })
    }
}

/// The version that an event is written with.
pub(crate) fn written(
    events: &Table,
    aggregate_type: &str,
    event_type: &str,
) -> Result<&'static str, StoreError> {
    events.written(aggregate_type, event_type).ok_or_else(|| {
        let reason = format!("{aggregate_type} event {event_type:?} is in no table of versions");
        StoreError::Unreadable(reason)
    })
}

/// A slot: one unit of a space from `start` up to, not including, `end`.
///
/// Events of the command whose `slot` says `"unit": null` are stored with the unit that was won; where a command has
/// several claims, with that of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// For which booking.
    pub bookid: i64,
    /// One of these: the lowest that is free.
    pub units: Vec<i64>,
    /// From this moment on.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
}

/// Points that a command spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The user whose they are.
    pub userid: i64,
    /// How many; stored only if the user's accrued and returned points, less what was spent and taken back, are as many.
    pub points: i64,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Stored(Answer),
    /// Stored before, under the same command id; the answer of then.
    Already(Answer),
    /// Another version is in the stream, or the one before is missing. Nothing is stored.
    Conflict,
    /// A slot is taken on all its units. Nothing is stored.
    Taken,
    /// The user has fewer points than are to be spent. Nothing is stored.
    NotCovered,
}

impl Outcome {
    /// Whether somebody else was there first, or nothing was there to be had.
    const fn is_lost(&self) -> bool {
        matches!(self, Self::Conflict | Self::Taken | Self::NotCovered)
    }
}

/// What a stored command is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Position of its last event.
    pub position: i64,
    /// The streams it wrote to, and the versions they then had.
    pub streams: Vec<StreamVersion>,
}

impl Answer {
    /// The version of the stream of this aggregate type, if the command wrote to it.
    #[must_use]
    pub fn version_of(&self, aggregate_type: &str) -> Option<i64> {
        self.streams
            .iter()
            .find(|s| s.aggregate_type == aggregate_type)
            .map(|s| s.version)
    }
}

/// A stream's version after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamVersion {
    /// Aggregate type.
    #[serde(rename = "type")]
    pub aggregate_type: String,
    /// Aggregate id.
    #[serde(rename = "id")]
    pub aggregate_id: String,
    /// Sequence of its last event.
    pub version: i64,
}

/// The id of a command's event, counted from 0: derived, so that it is the same however often the command is sent.
#[must_use]
pub fn event_id(command_id: Uuid, number: usize) -> Uuid {
    Uuid::new_v5(&command_id, number.to_string().as_bytes())
}

impl Journal {
    /// Stores commands; answers stand in the order of the commands.
    pub async fn append(&self, commands: Vec<Append>) -> Vec<Result<Outcome, StoreError>> {
        let mut answers: Vec<Option<Result<Outcome, StoreError>>> = Vec::new();
        answers.resize_with(commands.len(), || None);
        let mut waiting: Vec<Placed> = commands.into_iter().enumerate().collect();
        while !waiting.is_empty() {
            let (group, rest) = next_group(waiting);
            waiting = rest;
            let (places, group): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            for (place, answer) in places.into_iter().zip(self.append_group(&group).await) {
                answers[place] = Some(answer);
            }
        }
        each_answered(answers)
    }

    async fn append_group(&self, group: &[Append]) -> Vec<Result<Outcome, StoreError>> {
        let mut answers = self.commit(group).await;
        self.recognise(group, &mut answers).await;
        answers
    }

    /// A group in one commit; or, where that cannot be, its members one by one.
    async fn commit(&self, group: &[Append]) -> Vec<Result<Outcome, StoreError>> {
        match self.send(group).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // Nobody to ask: asking once a member would only take so many times longer.
            Err(NotAppended::Store(error)) if error.is_of_the_connection() => {
                group.iter().map(|_| Err(error.clone())).collect()
            }
            Err(_) if group.len() > 1 => {
                metrics::counter!("journal_groups_split_total").increment(1);
                let mut answers = Vec::with_capacity(group.len());
                for command in group {
                    answers.push(self.append_alone(command).await);
                }
                answers
            }
            Err(error) => vec![alone(error)],
        }
    }

    /// A command that lost may have lost to itself, sent a second time while the first was being stored: its id
    /// was recorded after this group had looked for it. It is answered as the first was.
    async fn recognise(&self, group: &[Append], answers: &mut [Result<Outcome, StoreError>]) {
        let lost = |answer: &Result<Outcome, _>| answer.as_ref().is_ok_and(Outcome::is_lost);
        let pairs = group.iter().zip(answers.iter());
        let ids: Vec<Uuid> = pairs
            .filter_map(|(command, answer)| lost(answer).then_some(command.command_id))
            .collect();
        let recorded = self.recorded_answers(&ids).await;
        for (command, answer) in group.iter().zip(answers) {
            if !lost(answer) {
                continue;
            }
            match &recorded {
                Ok(recorded) => {
                    if let Some(first) = recorded.get(&command.command_id) {
                        *answer = Ok(Outcome::Already(first.clone()));
                    }
                }
                Err(error) => *answer = Err(error.clone()),
            }
        }
    }

    /// The answers of those among `ids` that stored something.
    pub(crate) async fn recorded_answers(
        &self,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Answer>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.store.answers(ids).await
    }

    /// The answer of a command that stored something.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stored_answer(&self, id: Uuid) -> Result<Option<Answer>, StoreError> {
        Ok(self.recorded_answers(&[id]).await?.remove(&id))
    }

    /// Those among `ids` that stored something.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stored_commands(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
        Ok(self.recorded_answers(ids).await?.into_keys().collect())
    }

    async fn append_alone(&self, command: &Append) -> Result<Outcome, StoreError> {
        match self.send(std::slice::from_ref(command)).await {
            Ok(outcomes) => outcomes.into_iter().next().ok_or_else(unanswered),
            Err(error) => alone(error),
        }
    }

    /// Sends a group until the database has said what became of it, at most [`SENDS_MAX`] times.
    async fn send(&self, group: &[Append]) -> Result<Vec<Outcome>, NotAppended> {
        let mut sends = 1;
        loop {
            match self.store.append(group).await {
                Ok(outcomes) if outcomes.len() != group.len() => {
                    // Which outcome is whose cannot be told.
                    return Err(unanswered().into());
                }
                Ok(outcomes) => {
                    self.count(group, &outcomes);
                    return Ok(outcomes);
                }
                Err(NotAppended::Store(error)) if error.is_transient() && sends < SENDS_MAX => {
                    tracing::warn!(%error, sends, "an append is sent again");
                }
                Err(error) => return Err(error),
            }
            sends += 1;
        }
    }

    fn count(&self, group: &[Append], outcomes: &[Outcome]) {
        let mut stored = false;
        for (command, outcome) in group.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored(_) => {
                    stored = true;
                    for stream in &command.streams {
                        let aggregate = stream.stream.aggregate_type.clone();
                        metrics::counter!("events_appended_total", "aggregate" => aggregate)
                            .increment(stream.events.len() as u64);
                    }
                }
                Outcome::Already(_) => metrics::counter!("append_repeats_total").increment(1),
                Outcome::Conflict => metrics::counter!("append_conflicts_total").increment(1),
                Outcome::Taken => metrics::counter!("append_slots_taken_total").increment(1),
                Outcome::NotCovered => {
                    metrics::counter!("append_points_not_covered_total").increment(1);
                }
            }
        }
        if stored {
            self.appended
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// Answers in their places; one that is missing is an error there, and moves no other.
pub(crate) fn each_answered<T, E: From<StoreError>>(
    answers: Vec<Option<Result<T, E>>>,
) -> Vec<Result<T, E>> {
    let missing = || Err(unanswered().into());
    let placed = |answer: Option<_>| answer.unwrap_or_else(missing);
    answers.into_iter().map(placed).collect()
}

pub(crate) fn unanswered() -> StoreError {
    StoreError::Incomplete("what became of a command is not said".to_owned())
}

/// A command and its place among the answers.
type Placed = (usize, Append);

/// Takes what may be committed together off the front: each stream, each command id and each spender once.
fn next_group(waiting: Vec<Placed>) -> (Vec<Placed>, Vec<Placed>) {
    let (mut ids, mut spenders) = (HashSet::new(), HashSet::new());
    let mut streams: HashSet<StreamId> = HashSet::new();
    let (mut group, mut rest) = (Vec::new(), Vec::new());
    for (place, command) in waiting {
        let free = group.len() < GROUP_MAX
            && !ids.contains(&command.command_id)
            && command
                .spend
                .is_none_or(|spend| !spenders.contains(&spend.userid))
            && command.streams.iter().all(|s| !streams.contains(&s.stream));
        // Also of a command that waits: what comes behind it on the same stream must stay behind it.
        ids.insert(command.command_id);
        spenders.extend(command.spend.map(|spend| spend.userid));
        streams.extend(command.streams.iter().map(|s| s.stream.clone()));
        let place_it = if free { &mut group } else { &mut rest };
        place_it.push((place, command));
    }
    (group, rest)
}

/// What a failed group of one means for its command.
fn alone(error: NotAppended) -> Result<Outcome, StoreError> {
    match error {
        NotAppended::Half { taken: true } => Ok(Outcome::Taken),
        NotAppended::Half { taken: false } => Ok(Outcome::Conflict),
        NotAppended::Store(error) => Err(error),
    }
}
