//! Parking: what cannot be taken waits in a table, and everything of the same key behind it.

use std::collections::{BTreeSet, HashSet};

use sqlx::PgConnection;

use super::{FollowerId, HandlerError};
use crate::feed::{Item, Unreadable};
use crate::{Journal, Recorded, StoreError};

/// How many parked rows are looked at in one read.
const READ_MAX: usize = 1_000;

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

    /// Asks for the keys to be tried again that wait for nothing but a program that can read their events, when this
    /// is it. Of the saga's keys it need not be the first event that waits: it may be the stream that it commands.
    pub(super) async fn free_the_readable(
        journal: &Journal,
        id: &FollowerId,
    ) -> Result<(), StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select position, key from parked where name = $1 and generation = $2 and unread order by position",
        )
        .bind(&id.name)
        .bind(id.generation)
        .fetch_all(journal.pool())
        .await?;
        let mut keys: BTreeSet<&str> = rows.iter().map(|(_, key)| key.as_str()).collect();
        for rows in rows.chunks(READ_MAX) {
            let positions: Vec<i64> = rows.iter().map(|(position, _)| *position).collect();
            for item in journal.events_at(&positions).await? {
                if let Item::Unreadable(event) = item {
                    keys.remove(event.stream.aggregate_id.as_str());
                }
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        tracing::info!(
            follower = id.name,
            keys = keys.len(),
            "bookings that waited for a program that can read their events are tried again"
        );
        sqlx::query(
            "insert into parked_retries (name, generation, key)
             select $1, $2, unnest($3::text[]) on conflict do nothing",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(Vec::from_iter(keys))
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
    /// Whether it could not even be read.
    unread: bool,
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
                        reason,
                    } = *event;
                    blocked.insert(stream.aggregate_id.clone());
                    report(position, &event_type, &event_version, &reason);
                    batch.parked.push(Parked {
                        position,
                        key: stream.aggregate_id,
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
        let (mut positions, mut reasons, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for row in &self.parked {
            positions.push(row.position);
            reasons.push(row.reason.clone());
            unread.push(row.unread);
        }
        sqlx::query(
            "update parked k set reason = p.reason, unread = p.unread
             from unnest($3::bigint[], $4::text[], $5::boolean[]) as p (position, reason, unread)
             where k.name = $1 and k.generation = $2 and k.position = p.position",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(reasons)
        .bind(unread)
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
        let (mut reasons, mut unread) = (Vec::new(), Vec::new());
        for row in &self.parked {
            positions.push(row.position);
            keys.push(row.key.clone());
            reasons.push(row.reason.clone());
            unread.push(row.unread);
        }
        // The name and version are the stored ones: what is read from the row today may be called otherwise.
        sqlx::query(
            "insert into parked (name, generation, position, key, event_type, event_version, reason, unread)
             select $1, $2, p.position, p.key, e.event_type, e.event_version, p.reason, p.unread
             from unnest($3::bigint[], $4::text[], $5::text[], $6::boolean[])
               as p (position, key, reason, unread)
             join events e using (position)",
        )
        .bind(&id.name)
        .bind(id.generation)
        .bind(positions)
        .bind(keys)
        .bind(reasons)
        .bind(&unread)
        .execute(tx)
        .await?;
        metrics::counter!("follower_parked_total", "follower" => id.name.clone())
            .increment(self.parked.len() as u64);
        let unread = unread.into_iter().filter(|unread| *unread).count() as u64;
        if unread > 0 {
            metrics::counter!("follower_unreadable_events_total", "follower" => id.name.clone())
                .increment(unread);
        }
        Ok(())
    }
}

fn behind(event: &Recorded) -> Parked {
    Parked {
        position: event.position,
        key: event.key().to_owned(),
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
