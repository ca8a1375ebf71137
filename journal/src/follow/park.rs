//! Parking: what cannot be taken waits in a table, and everything of the same key behind it.

use std::collections::{HashMap, HashSet};

use super::HandlerError;
use crate::feed::{Item, Unreadable};
use crate::{Recorded, StoreError};

/// The keys that a follower has parked.
#[derive(Debug, Default)]
pub(super) struct Keys {
    parked: HashSet<String>,
    /// Of some, up to where everything was dealt with before the follower was cut and began at a lower place again.
    dealt_with: HashMap<String, i64>,
}

impl Keys {
    pub(super) fn of(keys: Vec<String>, dealt_with: Vec<(String, i64)>) -> Self {
        Self {
            parked: keys.into_iter().collect(),
            dealt_with: dealt_with.into_iter().collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.parked.remove(key);
    }

    pub(super) fn add(&mut self, keys: impl Iterator<Item = String>) {
        self.parked.extend(keys);
    }

    fn has(&self, key: &str) -> bool {
        self.parked.contains(key)
    }

    fn is_dealt_with(&self, item: &Item) -> bool {
        let dealt_with = item.key().and_then(|key| self.dealt_with.get(key));
        dealt_with.is_some_and(|last| item.position() <= *last)
    }
}

/// A row that is set apart instead of going to the handler, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its place in the journal.
    pub position: i64,
    /// The booking's number, as text.
    pub key: String,
    /// Its name: the stored one where it could not be read, else that of today.
    pub event_type: String,
    /// Whether it could not even be read.
    pub unread: bool,
    /// Why; none for one that only stands behind another one of its key.
    pub reason: Option<String>,
}

/// A page, sorted into what the handler takes and what is parked.
pub(super) struct Batch {
    pub(super) live: Vec<Recorded>,
    pub(super) parked: Vec<Parked>,
}

impl Batch {
    pub(super) fn sort(items: Vec<Item>, keys: &Keys) -> Self {
        let mut batch = Self {
            live: Vec::with_capacity(items.len()),
            parked: vec![],
        };
        let mut blocked: HashSet<String> = HashSet::new();
        for item in items {
            if keys.is_dealt_with(&item) {
                continue;
            }
            match item {
                Item::Events { events, .. } => {
                    // A row that means nothing is waited for by nobody.
                    let Some(first) = events.first() else {
                        continue;
                    };
                    if keys.has(first.key()) || blocked.contains(first.key()) {
                        batch.parked.push(behind(first));
                    } else {
                        batch.live.extend(events);
                    }
                }
                Item::Unreadable(event) => {
                    let Unreadable {
                        position,
                        stream,
                        event_type,
                        event_version,
                        reason,
                    } = *event;
                    blocked.insert(stream.aggregate_id.clone());
                    report(position, &event_type, &event_version, &reason);
                    batch.parked.push(Parked {
                        position,
                        key: stream.aggregate_id,
                        event_type,
                        unread: true,
                        reason: Some(reason),
                    });
                }
            }
        }
        batch
    }

    /// Parks the event at `position`, and what stands behind it.
    pub(super) fn park(self, position: i64, reason: &str) -> Result<Self, HandlerError> {
        let Self { live, mut parked } = self;
        let poison = live.iter().find(|event| event.position == position);
        let Some(key) = poison.map(|event| event.key().to_owned()) else {
            let reason =
                format!("a handler named event {position} as poison, which is not in its batch");
            return Err(HandlerError::Store(StoreError::Unreadable(reason)));
        };
        let (away, live): (Vec<_>, Vec<_>) = live
            .into_iter()
            .partition(|event| event.key() == key && event.position >= position);
        // The parts of a row are neighbours, and the row is parked once.
        for row in away.chunk_by(|one, next| one.position == next.position) {
            let Some(event) = row.first() else { continue };
            let mut parked_row = behind(event);
            if event.position == position {
                report(position, event.event_type, "of today", reason);
                parked_row.reason = Some(reason.to_owned());
            }
            parked.push(parked_row);
        }
        Ok(Self { live, parked })
    }

    /// The rows that the handler takes, by position.
    pub(super) fn live_positions(&self) -> Vec<i64> {
        let mut positions: Vec<_> = self.live.iter().map(|event| event.position).collect();
        positions.dedup();
        positions
    }

    /// Without what stands behind `last`.
    pub(super) fn up_to(mut self, last: i64) -> Self {
        self.live.retain(|event| event.position <= last);
        self.parked.retain(|row| row.position <= last);
        self
    }

    pub(super) fn len(&self) -> usize {
        self.live.len() + self.parked.len()
    }

    /// Whether the row at this position is parked.
    pub(super) fn parks(&self, position: i64) -> bool {
        self.parked.iter().any(|row| row.position == position)
    }

    pub(super) fn parked_keys(&self) -> impl Iterator<Item = String> + '_ {
        self.parked.iter().map(|event| event.key.clone())
    }
}

fn behind(event: &Recorded) -> Parked {
    Parked {
        position: event.position,
        key: event.key().to_owned(),
        event_type: event.event_type.to_owned(),
        unread: false,
        reason: None,
    }
}

fn report(position: i64, event_type: &str, event_version: &str, reason: &str) {
    tracing::error!(
        position,
        event_type,
        event_version,
        reason,
        "an event is parked, with its booking behind it"
    );
}
