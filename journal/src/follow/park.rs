//! Parking: what cannot be taken waits in a table, and everything of the same key behind it.

use std::collections::HashSet;

use super::HandlerError;
use crate::feed::Item;
use crate::{Recorded, StoreError};

/// The keys that a follower has parked.
#[derive(Debug, Default)]
pub(super) struct Keys(HashSet<String>);

impl Keys {
    pub(super) fn of(keys: Vec<String>) -> Self {
        Self(keys.into_iter().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn add(&mut self, keys: impl Iterator<Item = String>) {
        self.0.extend(keys);
    }
}

/// An event that is set apart instead of going to the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its place in the journal.
    pub position: i64,
    /// The booking's number, as text.
    pub key: String,
    /// Its name.
    pub event_type: String,
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
            match item {
                Item::Event(event) => {
                    if keys.0.contains(event.key()) || blocked.contains(event.key()) {
                        batch.parked.push(behind(&event));
                    } else {
                        batch.live.push(*event);
                    }
                }
                Item::Unreadable(event) => {
                    let key = event.stream.aggregate_id;
                    blocked.insert(key.clone());
                    report(event.position, &event.event_type, &event.reason);
                    batch.parked.push(Parked {
                        position: event.position,
                        key,
                        event_type: event.event_type,
                        reason: Some(event.reason),
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
        for event in away {
            let mut parked_event = behind(&event);
            if event.position == position {
                report(position, &event.event_type, reason);
                parked_event.reason = Some(reason.to_owned());
            }
            parked.push(parked_event);
        }
        Ok(Self { live, parked })
    }

    pub(super) fn len(&self) -> usize {
        self.live.len() + self.parked.len()
    }

    pub(super) fn parked_keys(&self) -> impl Iterator<Item = String> + '_ {
        self.parked.iter().map(|event| event.key.clone())
    }
}

fn behind(event: &Recorded) -> Parked {
    Parked {
        position: event.position,
        key: event.key().to_owned(),
        event_type: event.event_type.clone(),
        reason: None,
    }
}

fn report(position: i64, event_type: &str, reason: &str) {
    tracing::error!(
        position,
        event_type,
        reason,
        "an event is parked, with its booking behind it"
    );
}
