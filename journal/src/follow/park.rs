//! Parking: what cannot be taken waits in a table, and everything of the same key behind it.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;

use super::{FollowerId, HandlerError};
use crate::feed::{Item, Unreadable};
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

    /// Asks for the keys to be tried again that wait for nothing but a newer version of this code, when this is it.
    /// Of the saga's keys it need not be the first event that waits: the stream that it commands cannot be read.
    pub(super) async fn free_the_newer(
        journal: &Journal,
        id: &FollowerId,
    ) -> Result<(), StoreError> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "select k.key, e.aggregate_type, e.event_type, e.event_version
             from parked k join events e using (position)
             where k.name = $1 and k.generation = $2 and k.newer",
        )
        .bind(&id.name)
        .bind(id.generation)
        .fetch_all(journal.pool())
        .await?;
        let mut known: BTreeMap<String, bool> = BTreeMap::new();
        for (key, aggregate_type, event_type, event_version) in rows {
            let is_known = journal
                .events()
                .knows(&aggregate_type, &event_type, &event_version);
            *known.entry(key).or_insert(true) &= is_known;
        }
        let keys: Vec<String> = known
            .into_iter()
            .filter_map(|(key, known)| known.then_some(key))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        tracing::info!(
            follower = id.name,
            keys = keys.len(),
            "bookings that waited for this version of spacerent are tried again"
        );
        sqlx::query(
            "insert into parked_retries (name, generation, key)
             select $1, $2, unnest($3::text[]) on conflict do nothing",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(keys)
        .execute(journal.pool())
        .await?;
        Ok(())
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

/// A row that goes into the table instead of to the handler, whole.
struct Parked {
    position: i64,
    key: String,
    /// Whether a newer version of this code wrote it.
    newer: bool,
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
                Item::Events { events, .. } => {
                    // A row that means nothing is waited for by nobody.
                    let Some(first) = events.first() else {
                        continue;
                    };
                    if keys.0.contains(first.key()) || blocked.contains(first.key()) {
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
                        newer,
                        reason,
                    } = event;
                    blocked.insert(stream.aggregate_id.clone());
                    report(position, &event_type, &event_version, &reason);
                    batch.parked.push(Parked {
                        position,
                        key: stream.aggregate_id,
                        newer,
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

    pub(super) fn len(&self) -> usize {
        self.live.len() + self.parked.len()
    }

    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether the row at this position is parked.
    pub(super) fn parks(&self, position: i64) -> bool {
        self.parked.iter().any(|row| row.position == position)
    }

    /// Says of rows that are parked already why they still are.
    pub(super) async fn rewrite_reasons(
        &self,
        tx: &mut PgConnection,
        id: &FollowerId,
    ) -> Result<(), StoreError> {
        let (mut positions, mut reasons, mut newer) = (Vec::new(), Vec::new(), Vec::new());
        for row in &self.parked {
            positions.push(row.position);
            reasons.push(row.reason.clone());
            newer.push(row.newer);
        }
        sqlx::query(
            "update parked k set reason = p.reason, newer = p.newer
             from unnest($3::bigint[], $4::text[], $5::boolean[]) as p (position, reason, newer)
             where k.name = $1 and k.generation = $2 and k.position = p.position",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(reasons)
        .bind(newer)
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
        let (mut reasons, mut newer) = (Vec::new(), Vec::new());
        for row in &self.parked {
            positions.push(row.position);
            keys.push(row.key.clone());
            reasons.push(row.reason.clone());
            newer.push(row.newer);
        }
        // The name and version are the stored ones: what is read from the row today may be called otherwise.
        sqlx::query(
            "insert into parked (name, generation, position, key, event_type, event_version, reason, newer)
             select $1, $2, p.position, p.key, e.event_type, e.event_version, p.reason, p.newer
             from unnest($3::bigint[], $4::text[], $5::text[], $6::boolean[])
               as p (position, key, reason, newer)
             join events e using (position)",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(keys)
        .bind(reasons)
        .bind(&newer)
        .execute(tx)
        .await?;
        metrics::counter!("follower_parked_total", "follower" => id.name.clone())
            .increment(self.parked.len() as u64);
        let newer = newer.into_iter().filter(|newer| *newer).count() as u64;
        if newer > 0 {
            metrics::counter!("follower_newer_events_total", "follower" => id.name.clone())
                .increment(newer);
        }
        Ok(())
    }
}

fn behind(event: &Recorded) -> Parked {
    Parked {
        position: event.position,
        key: event.key().to_owned(),
        newer: false,
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
