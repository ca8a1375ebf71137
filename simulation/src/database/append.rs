//! `journal_append`, step by step: what the function in migrations/0023 does, with everybody else in between.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::append::{Answer, Append, Outcome, StreamVersion, event_id};
use journal::feed::Stored;
use journal::store::NotAppended;
use journal::{StoreError, StreamId};
use serde_json::Value;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::locks::{Lock, Running};
use super::slots::Slot;
use super::{Database, Row};
use crate::mutation::Mutation;

/// How long a commit that is late may take to be seen.
const LATE_MAX: Duration = Duration::from_millis(3_500);

/// What a command won.
#[derive(Default)]
pub(super) struct Won {
    pub(super) old: Option<Answer>,
    /// Why it is not to write anything.
    pub(super) lost: Option<Outcome>,
    /// By claim: the slot.
    pub(super) slots: Vec<Option<Slot>>,
    events_asked: usize,
    rows: Vec<Row>,
}

impl Won {
    /// Whether it may still win.
    pub(super) fn stands(&self) -> bool {
        self.old.is_none() && self.lost.is_none()
    }

    fn outcome(&self) -> Outcome {
        if let Some(old) = &self.old {
            return Outcome::Already(old.clone());
        }
        if let Some(lost) = &self.lost {
            return lost.clone();
        }
        if self.rows.len() == self.events_asked {
            return Outcome::Stored(self.answer());
        }
        Outcome::Conflict
    }

    fn has_nothing(&self) -> bool {
        self.rows.is_empty() && self.slots.iter().all(Option::is_none)
    }

    fn answer(&self) -> Answer {
        let mut streams: BTreeMap<StreamId, i64> = BTreeMap::new();
        for row in &self.rows {
            let stream = StreamId::new(&row.stored.aggregate_type, &row.stored.aggregate_id);
            let version = streams.entry(stream).or_default();
            *version = row.stored.sequence.max(*version);
        }
        let version = |(stream, version): (StreamId, i64)| StreamVersion {
            aggregate_type: stream.aggregate_type,
            aggregate_id: stream.aggregate_id,
            version,
        };
        let last = self.rows.iter().map(|row| row.stored.position).max();
        Answer {
            position: last.unwrap_or(0),
            streams: streams.into_iter().map(version).collect(),
        }
    }
}

/// What is committed with the events.
struct Written {
    rows: Vec<Row>,
    /// Bookings whose slots are free.
    released: Vec<i64>,
    slots: Vec<Slot>,
    ids: Vec<(Uuid, Answer)>,
}

impl Database {
    pub(super) async fn append(self, group: Vec<Append>) -> Result<Vec<Outcome>, NotAppended> {
        if group.iter().any(no_text_holds) {
            return Err(NotAppended::Store(StoreError::Refused {
                sqlstate: "22P05".to_owned(),
                message: "unsupported Unicode escape sequence".to_owned(),
            }));
        }
        let mut won = self.look_for_known(&group);
        self.scheduler.pause().await;
        let running = Running {
            xid: self.begin_with_id(false),
            database: self.clone(),
        };
        self.spend(running.xid, &group, &mut won).await?;
        self.claim(running.xid, &group, &mut won).await?;
        self.ask_stale_losers_again(&group, &mut won);
        self.insert(running.xid, &group, &mut won).await?;
        let outcomes = self.judge(&won)?;
        let released = self.release(running.xid, &group, &outcomes).await?;
        let ids = self.record(running.xid, &group, &outcomes).await?;
        self.scheduler.pause().await;
        if self.per_mille(self.troubles.late) {
            let late = self.scheduler.up_to(LATE_MAX);
            self.inner().count("a commit became visible late");
            self.scheduler.sleep(late).await;
        }
        self.stand_still(running.xid, &ids).await?;
        self.touch(running.xid)?;
        if self.per_mille(self.troubles.rolled_back) {
            self.give_numbers_back(&won);
            return Err(NotAppended::Store(StoreError::Busy {
                sqlstate: "57014".to_owned(),
                message: "canceling statement due to statement timeout".to_owned(),
            }));
        }
        let slots = self.slots_kept(&mut won, &outcomes);
        let written = Written {
            rows: won.into_iter().flat_map(|won| won.rows).collect(),
            released,
            slots,
            ids,
        };
        self.commit_append(running.xid, written);
        drop(running);
        Ok(outcomes)
    }

    fn look_for_known(&self, group: &[Append]) -> Vec<Won> {
        let inner = self.inner();
        let known = |command: &Append| {
            let old = inner.commands.get(&command.command_id).cloned();
            Won {
                old: old.filter(|_| !self.has(Mutation::KnownCommandForgotten)),
                slots: vec![None; command.claims.len()],
                events_asked: command.streams.iter().map(|s| s.events.len()).sum(),
                ..Won::default()
            }
        };
        group.iter().map(known).collect()
    }

    async fn insert(&self, xid: u64, group: &[Append], won: &mut [Won]) -> Result<(), StoreError> {
        let names_units = !self.has(Mutation::UnitNotNamed);
        let mut asked: Vec<_> = group
            .iter()
            .enumerate()
            .filter(|(place, _)| won[*place].stands())
            .flat_map(|(place, command)| {
                let unit = won[place]
                    .slots
                    .first()
                    .and_then(|slot| Some(slot.as_ref()?.unit));
                rows_of(place, command, unit.filter(|_| names_units))
            })
            .collect();
        asked.sort_by(|one, other| {
            (&one.stream, one.sequence).cmp(&(&other.stream, other.sequence))
        });
        let snapshot: Vec<bool> = {
            let inner = self.inner();
            let stands = |row: &Asked| {
                let before = row.first - 1;
                before == 0
                    || self.has(Mutation::PredecessorUnchecked)
                    || inner
                        .streams
                        .get(&row.stream)
                        .is_some_and(|rows| rows.contains_key(&before))
            };
            asked.iter().map(stands).collect()
        };
        for (row, predecessor_stands) in asked.into_iter().zip(snapshot) {
            if !predecessor_stands {
                continue;
            }
            let position = self.draw_position();
            self.scheduler.pause().await;
            self.hold(xid, Lock::Event(row.stream.clone(), row.sequence))
                .await?;
            let there = {
                let inner = self.inner();
                let rows = inner.streams.get(&row.stream);
                rows.is_some_and(|rows| rows.contains_key(&row.sequence))
            };
            if !there {
                won[row.place].rows.push(row.stored(position, xid, self)?);
            }
        }
        Ok(())
    }

    fn draw_position(&self) -> i64 {
        let mut inner = self.inner();
        let position = inner.next_position;
        inner.next_position += 1;
        position
    }

    /// Every command against what it asked for.
    fn judge(&self, won: &[Won]) -> Result<Vec<Outcome>, NotAppended> {
        let mut outcomes = vec![];
        for won in won {
            let outcome = won.outcome();
            let is_whole = matches!(outcome, Outcome::Stored(_) | Outcome::Already(_));
            let is_kept = self.has(Mutation::HalfWonKept)
                || self.has(Mutation::ClaimOfLoserKept) && won.rows.is_empty();
            if !is_whole && !won.has_nothing() && !is_kept {
                self.inner().count("a command won only part");
                let taken = outcome == Outcome::Taken;
                return Err(NotAppended::Half { taken });
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// The slots that stay.
    fn slots_kept(&self, won: &mut [Won], outcomes: &[Outcome]) -> Vec<Slot> {
        let losers_keep = self.has(Mutation::ClaimOfLoserKept) || self.has(Mutation::HalfWonKept);
        let kept = won.iter_mut().zip(outcomes);
        let kept = kept.filter(|(_, outcome)| matches!(outcome, Outcome::Stored(_)) || losers_keep);
        kept.flat_map(|(won, _)| std::mem::take(&mut won.slots).into_iter().flatten())
            .collect()
    }

    /// Takes the command ids; fails when one was recorded meanwhile, or stands in this group twice.
    async fn record(
        &self,
        xid: u64,
        group: &[Append],
        outcomes: &[Outcome],
    ) -> Result<Vec<(Uuid, Answer)>, NotAppended> {
        let mut ids = vec![];
        for (command, outcome) in group.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored(answer) => ids.push((command.command_id, answer.clone())),
                Outcome::Conflict if self.has(Mutation::LoserRecorded) => {
                    ids.push((command.command_id, Answer::default()));
                }
                _ => {}
            }
        }
        ids.sort_by_key(|(id, _)| *id);
        for (id, _) in &ids {
            self.hold(xid, Lock::Command(*id)).await?;
        }
        let inner = self.inner();
        let known = ids.iter().any(|(id, _)| inner.commands.contains_key(id));
        let double = ids.windows(2).any(|pair| pair[0].0 == pair[1].0);
        drop(inner);
        if (known || double)
            && !self.has(Mutation::TwinKept)
            && !self.has(Mutation::KnownCommandForgotten)
            && !self.has(Mutation::LoserRecorded)
        {
            self.inner().count("a twin was recorded meanwhile");
            return Err(NotAppended::Half { taken: false });
        }
        Ok(ids)
    }

    fn give_numbers_back(&self, won: &[Won]) {
        if !self.has(Mutation::NumbersDrawnAgain) {
            return;
        }
        let first = won
            .iter()
            .flat_map(|won| &won.rows)
            .map(|row| row.stored.position)
            .min();
        let mut inner = self.inner();
        if let Some(first) = first {
            inner.next_position = inner.next_position.min(first);
        }
    }

    fn commit_append(&self, xid: u64, written: Written) {
        let Written {
            rows,
            released,
            slots,
            ids,
        } = written;
        let mut inner = self.inner();
        inner.check_new_rows(&rows);
        for row in &rows {
            let stored = &row.stored;
            self.scheduler.tell(|| {
                format!(
                    "{} {} {}",
                    stored.position, stored.aggregate_id, row.payload
                )
            });
        }
        for row in rows {
            let stream = StreamId::new(&row.stored.aggregate_type, &row.stored.aggregate_id);
            let (sequence, position) = (row.stored.sequence, row.stored.position);
            inner
                .streams
                .entry(stream)
                .or_default()
                .insert(sequence, position);
            inner.events.insert(position, row);
        }
        inner.slots.retain(|slot| !released.contains(&slot.bookid));
        for slot in slots {
            inner.check_new_slot(&slot);
            inner.slots.push(slot);
        }
        for (id, answer) in ids {
            inner.commands.entry(id).or_insert(answer);
        }
        inner.last_append = Some(xid);
        inner.count("an append was committed");
    }
}

/// Whether something in it has a character that Postgres stores in no text.
fn no_text_holds(command: &Append) -> bool {
    let mut events = command.streams.iter().flat_map(|stream| &stream.events);
    events.any(|event| event.payload.to_string().contains("\\u0000"))
}

/// A row that a command asks for.
struct Asked {
    place: usize,
    stream: StreamId,
    sequence: i64,
    /// The first sequence of the same stream in this command.
    first: i64,
    event: journal::append::StoredEvent,
    metadata: Value,
    command_id: Uuid,
    event_id: Uuid,
}

fn rows_of(place: usize, command: &Append, unit: Option<i64>) -> Vec<Asked> {
    let metadata = Value::from_iter(command.metadata.to_map());
    let mut rows = vec![];
    for stream in &command.streams {
        let first = stream.expected_version + 1;
        for (sequence, event) in (first..).zip(&stream.events) {
            let mut event = event.clone();
            if let (Some(unit), Some(null @ Value::Null)) =
                (unit, event.payload.pointer_mut("/slot/unit"))
            {
                *null = unit.into();
            }
            rows.push(Asked {
                place,
                stream: stream.stream.clone(),
                sequence,
                first,
                event,
                metadata: metadata.clone(),
                command_id: command.command_id,
                event_id: event_id(command.command_id, rows.len()),
            });
        }
    }
    rows
}

impl Asked {
    fn stored(self, position: i64, xid: u64, database: &Database) -> Result<Row, StoreError> {
        let text = |value: &Value| {
            to_raw_value(value).map_err(|error| StoreError::Unreadable(error.to_string()))
        };
        let stored = Stored {
            position,
            event_id: self.event_id,
            command_id: self.command_id,
            aggregate_type: self.stream.aggregate_type,
            aggregate_id: self.stream.aggregate_id,
            sequence: self.sequence,
            event_type: self.event.event_type,
            event_version: self.event.event_version,
            recorded_at: database.scheduler.now(),
            payload: text(&self.event.payload)?,
            metadata: text(&self.metadata)?,
        };
        Ok(Row {
            stored,
            payload: self.event.payload,
            metadata: self.metadata,
            xid,
        })
    }
}
