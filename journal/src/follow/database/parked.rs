//! Parked events as rows: written, given other reasons, taken away, and how often their key was tried.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::InDatabase;
use crate::StoreError;
use crate::follow::Parked;

/// How long a parked key waits before it is tried again by itself. Each further wait is four times the last one.
const TRY_AGAIN_AFTER_MS: i64 = 10_000;
/// How often it is tried again by itself: the last time after an hour. Then it is left to people.
const TRIES_MAX: i32 = 5;

impl InDatabase {
    pub(super) async fn park_in(
        &self,
        tx: &mut PgConnection,
        rows: &[Parked],
    ) -> Result<(), StoreError> {
        let (mut positions, mut keys) = (Vec::new(), Vec::new());
        let (mut reasons, mut unread) = (Vec::new(), Vec::new());
        for row in rows {
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
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(positions)
        .bind(keys)
        .bind(reasons)
        .bind(unread)
        .execute(&mut *tx)
        .await?;
        let applied = rows
            .iter()
            .filter(|row| row.reason.is_some() && !row.unread);
        let keys: BTreeSet<&str> = applied.map(|row| row.key.as_str()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into parked_tries (name, generation, key, next_at)
             select $1, $2, unnest($3::text[]), clock_timestamp() + $4 * interval '1 millisecond'
             on conflict do nothing",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(Vec::from_iter(keys))
        .bind(TRY_AGAIN_AFTER_MS)
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) async fn rewrite_in(
        &self,
        tx: &mut PgConnection,
        rows: &[Parked],
    ) -> Result<(), StoreError> {
        let (mut positions, mut reasons, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            positions.push(row.position);
            reasons.push(row.reason.clone());
            unread.push(row.unread);
        }
        sqlx::query(
            "update parked k set reason = p.reason, unread = p.unread
             from unnest($3::bigint[], $4::text[], $5::boolean[]) as p (position, reason, unread)
             where k.name = $1 and k.generation = $2 and k.position = p.position",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(positions)
        .bind(reasons)
        .bind(unread)
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) async fn unpark_in(
        &self,
        tx: &mut PgConnection,
        positions: &[i64],
    ) -> Result<bool, StoreError> {
        let gone = sqlx::query(
            "delete from parked where name = $1 and generation = $2 and position = any ($3)",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(positions)
        .execute(tx)
        .await?;
        Ok(gone.rows_affected() == positions.len() as u64)
    }

    /// The request to try it goes, unless there were more events than one batch takes.
    pub(super) async fn tried_in(
        &self,
        tx: &mut PgConnection,
        key: &str,
        stuck: bool,
    ) -> Result<i64, StoreError> {
        let left: i64 = sqlx::query_scalar(
            "select count(*) from parked where name = $1 and generation = $2 and key = $3",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(key)
        .fetch_one(&mut *tx)
        .await?;
        if stuck || left == 0 {
            sqlx::query(
                "delete from parked_retries where name = $1 and generation = $2 and key = $3",
            )
            .bind(&self.id.name)
            .bind(self.id.generation)
            .bind(key)
            .execute(&mut *tx)
            .await?;
        }
        let quarantined: bool = sqlx::query_scalar("select parked_tried($1, $2, $3, $4, $5, $6)")
            .bind(&self.id.name)
            .bind(self.id.generation)
            .bind(key)
            .bind(stuck)
            .bind(TRY_AGAIN_AFTER_MS)
            .bind(TRIES_MAX)
            .fetch_one(tx)
            .await?;
        if quarantined {
            metrics::counter!("follower_quarantined_total", "follower" => self.id.name.clone())
                .increment(1);
            tracing::error!(
                follower = self.id.name,
                key,
                tries = TRIES_MAX,
                "a parked booking is tried no more by itself: `spacerent parked show` has the reason"
            );
        }
        Ok(left)
    }
}
