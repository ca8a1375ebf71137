//! Parked events, by key.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Decision, ParkedAt};
use crate::{Journal, StoreError};

/// A key that a follower has parked: its first event, and how many stand behind it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedKey {
    /// The follower.
    pub name: String,
    /// Its generation.
    pub generation: i32,
    /// The booking's number, as text.
    pub key: String,
    /// The first event's position.
    pub position: i64,
    /// The first event's name, as it is stored.
    pub event_type: String,
    /// The version that it was written with; none when it was parked by a version of spacerent that did not say.
    pub event_version: Option<String>,
    /// Why it could not be taken; none when the one before it was discarded and it was not tried yet.
    pub reason: Option<String>,
    /// Events of the same key behind it.
    pub behind: i64,
    /// Whether some event of the key could not even be read. Then the key is tried again by itself as soon as a version
    /// of spacerent follows that can read it.
    pub waits_for_upgrade: bool,
    /// Since when.
    pub parked_at: Timestamp,
    /// Whether the follower is asked to try it again, and has not yet.
    pub retry_asked: bool,
    /// How often it was tried again in vain.
    pub attempts: i32,
    /// When it is tried again by itself; none when that is left to people, or to an upgrade.
    pub next_try_at: Option<Timestamp>,
    /// Whether it was tried so often that it is left to people.
    pub quarantined: bool,
}

/// A parked event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedEvent {
    /// Its place in the journal.
    pub position: i64,
    /// Its name, as it is stored.
    pub event_type: String,
    /// The version that it was written with; none when it was parked by a version of spacerent that did not say.
    pub event_version: Option<String>,
    /// Why it could not be taken; none for one that only stands behind another.
    pub reason: Option<String>,
    /// Since when.
    pub parked_at: Timestamp,
}

/// SQL for parked keys: which, and how many of them. What stands behind the first event of each is looked at for those
/// alone.
macro_rules! parked_keys {
    ($limit:literal) => {
        parked_keys!($limit, "")
    };
    ($limit:literal, $which:literal) => {
        concat!(
            "with first as (
                 select distinct on (name, generation, key)
                        name, generation, key, position, event_type, event_version, reason, parked_at
                 from parked ",
            $which,
            " order by name, generation, key, position ",
            $limit,
            ")
             select f.*, k.behind, k.unread as waits_for_upgrade, r.key is not null as retry_asked,
                    coalesce(t.attempts, 0) as attempts, t.next_at, t.quarantined_at is not null as quarantined
             from first f
             cross join lateral (
                 select count(*) - 1 as behind, bool_or(unread) as unread from parked p
                 where p.name = f.name and p.generation = f.generation and p.key = f.key
             ) k
             left join parked_retries r on (r.name, r.generation, r.key) = (f.name, f.generation, f.key)
             left join parked_tries t on (t.name, t.generation, t.key) = (f.name, f.generation, f.key)
             order by f.name, f.generation, f.key"
        )
    };
}

impl ParkedKey {
    fn from_row(row: &PgRow) -> Result<Self, StoreError> {
        let parked_at: jiff_sqlx::Timestamp = row.try_get("parked_at")?;
        let next_try_at: Option<jiff_sqlx::Timestamp> = row.try_get("next_at")?;
        Ok(Self {
            name: row.try_get("name")?,
            generation: row.try_get("generation")?,
            key: row.try_get("key")?,
            position: row.try_get("position")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            reason: row.try_get("reason")?,
            behind: row.try_get("behind")?,
            waits_for_upgrade: row.try_get("waits_for_upgrade")?,
            parked_at: parked_at.to_jiff(),
            retry_asked: row.try_get("retry_asked")?,
            attempts: row.try_get("attempts")?,
            next_try_at: next_try_at.map(jiff_sqlx::Timestamp::to_jiff),
            quarantined: row.try_get("quarantined")?,
        })
    }
}

impl Journal {
    /// Up to `limit` parked keys, in order of follower, generation and key.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn parked(&self, limit: i64) -> Result<Vec<ParkedKey>, StoreError> {
        let rows = sqlx::query(parked_keys!("limit $1"))
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(ParkedKey::from_row).collect()
    }

    /// Which followers have these keys parked, in the same order.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn parked_of(&self, keys: &[String]) -> Result<Vec<ParkedKey>, StoreError> {
        let rows = sqlx::query(parked_keys!("", "where key = any($1)"))
            .bind(keys)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(ParkedKey::from_row).collect()
    }

    /// The parked events of one key, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn parked_events(&self, at: &ParkedAt) -> Result<Vec<ParkedEvent>, StoreError> {
        let rows = sqlx::query(
            "select position, event_type, event_version, reason, parked_at from parked
             where name = $1 and generation = $2 and key = $3 order by position",
        )
        .bind(&at.name)
        .bind(at.generation)
        .bind(&at.key)
        .fetch_all(self.pool())
        .await?;
        let read = |row: &PgRow| {
            let parked_at: jiff_sqlx::Timestamp = row.try_get("parked_at")?;
            Ok(ParkedEvent {
                position: row.try_get("position")?,
                event_type: row.try_get("event_type")?,
                event_version: row.try_get("event_version")?,
                reason: row.try_get("reason")?,
                parked_at: parked_at.to_jiff(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Asks the follower to try a key again, from its first parked event on. How many wait; 0: nothing is parked.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn retry_parked(&self, at: &ParkedAt, by: &str) -> Result<i32, StoreError> {
        Ok(sqlx::query_scalar("select parked_retry($1, $2, $3, $4)")
            .bind(&at.name)
            .bind(at.generation)
            .bind(&at.key)
            .bind(by)
            .fetch_one(self.pool())
            .await?)
    }

    /// Whether the follower was asked to try a key again and has not done so yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn retry_is_open(&self, at: &ParkedAt) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "select exists (select from parked_retries where name = $1 and generation = $2 and key = $3)",
        )
        .bind(&at.name)
        .bind(at.generation)
        .bind(&at.key)
        .fetch_one(self.pool())
        .await?)
    }

    /// The events of a key that people took away from a follower, of whatever generation: for a store of the same
    /// read model that nobody can be asked about.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn discarded(&self, name: &str, key: &str) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "select distinct (subject->>'position')::bigint from decisions
             where action = 'parked.discard' and subject->>'name' = $1 and subject->>'key' = $2",
        )
        .bind(name)
        .bind(key)
        .fetch_all(self.pool())
        .await?)
    }

    /// Takes away the first parked event of a key, or all of them: the follower never takes them. What stands
    /// behind is tried again. How many went.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or the decision names nobody or no reason.
    pub async fn discard_parked(
        &self,
        at: &ParkedAt,
        all: bool,
        decision: &Decision<'_>,
    ) -> Result<i32, StoreError> {
        let gone: i32 = sqlx::query_scalar("select parked_discard($1, $2, $3, $4, $5, $6)")
            .bind(&at.name)
            .bind(at.generation)
            .bind(&at.key)
            .bind(all)
            .bind(decision.by)
            .bind(decision.reason)
            .fetch_one(self.pool())
            .await?;
        // Whoever comes second, or names what is not parked, has discarded nothing.
        if gone > 0 {
            tracing::warn!(
                follower = at.name,
                generation = at.generation,
                key = at.key,
                events = gone,
                by = decision.by,
                reason = decision.reason,
                "parked events were discarded"
            );
        }
        Ok(gone)
    }
}
