//! Parking: what cannot be taken waits in a table, and everything of the same key behind it.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::{FollowerId, HandlerError};
use crate::feed::Item;
use crate::{Journal, Recorded, StoreError};

/// The keys that a follower has parked.
#[derive(Debug, Default)]
pub(super) struct Keys(HashSet<String>);

impl Keys {
    pub(super) async fn load(journal: &Journal, id: &FollowerId) -> Result<Self, StoreError> {
        let keys: Vec<String> = sqlx::query_scalar(
            // A key of which nothing is left is still to be forgotten, after what came meanwhile was taken.
            "select key from parked where name = $1 and generation = $2
             union select key from parked_retries where name = $1 and generation = $2",
        )
        .bind(&id.name)
        .bind(id.generation)
        .fetch_all(journal.pool())
        .await?;
        Ok(Self(keys.into_iter().collect()))
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

/// An event that goes into the table instead of to the handler.
struct Parked {
    position: i64,
    key: String,
    event_type: String,
    /// None: it only stands behind another one of its key.
    reason: Option<String>,
}

/// A page, sorted into what the handler takes and what is parked.
pub(super) struct Batch {
    pub(super) live: Vec<Recorded>,
    parked: Vec<Parked>,
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

    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Says of events that are parked already why they still are.
    pub(super) async fn rewrite_reasons(
        &self,
        tx: &mut PgConnection,
        id: &FollowerId,
    ) -> Result<(), StoreError> {
        let (positions, reasons): (Vec<_>, Vec<_>) = self
            .parked
            .iter()
            .map(|event| (event.position, event.reason.clone()))
            .unzip();
        sqlx::query(
            "update parked k set reason = p.reason
             from unnest($3::bigint[], $4::text[]) as p (position, reason)
             where k.name = $1 and k.generation = $2 and k.position = p.position",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(reasons)
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) fn parked_keys(&self) -> impl Iterator<Item = String> + '_ {
        self.parked.iter().map(|event| event.key.clone())
    }

    pub(super) async fn write_parked(
        &self,
        tx: &mut PgConnection,
        id: &FollowerId,
    ) -> Result<(), StoreError> {
        if self.parked.is_empty() {
            return Ok(());
        }
        let (mut positions, mut keys) = (Vec::new(), Vec::new());
        let (mut types, mut reasons) = (Vec::new(), Vec::new());
        for event in &self.parked {
            positions.push(event.position);
            keys.push(event.key.clone());
            types.push(event.event_type.clone());
            reasons.push(event.reason.clone());
        }
        sqlx::query(
            "insert into parked (name, generation, position, key, event_type, reason)
             select $1, $2, p.position, p.key, p.event_type, p.reason
             from unnest($3::bigint[], $4::text[], $5::text[], $6::text[])
               as p (position, key, event_type, reason)",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(keys)
        .bind(types)
        .bind(reasons)
        .execute(tx)
        .await?;
        metrics::counter!("follower_parked_total", "follower" => id.name.clone())
            .increment(self.parked.len() as u64);
        Ok(())
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
