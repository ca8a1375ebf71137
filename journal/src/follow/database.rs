//! Checkpoints in the journal's database, under a lease that any process may take.

mod again;
mod parked;

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::{PgConnection, PgExecutor, Postgres, Row, Transaction};
use uuid::Uuid;

use super::{Checkpoints, FollowerId, LEASE_MS, Lease, Parked, Slice};
use crate::feed::Item;
use crate::incidents::Class;
use crate::{Journal, Session, StoreError};

/// How long a node that said that it could follow is counted on. Less than what is left of the lease of one that has
/// died, so that another one's turn has come when the lease ends.
const SEEN_MS: i32 = 3_000;
/// How many parked rows are looked at in one read.
const READ_MAX: usize = 1_000;

/// The checkpoint and the parked events of one follower, in the journal's database.
pub struct InDatabase {
    journal: Journal,
    id: FollowerId,
    /// What the layout must say, and whose parked keys are ours.
    slice: Slice,
    owner: Uuid,
}

impl InDatabase {
    /// Those of `id`, for an owner that nobody else is.
    #[must_use]
    pub fn new(journal: Journal, id: FollowerId) -> Self {
        Self {
            owner: journal.random().uuid(),
            journal,
            id,
            slice: Slice::ALL,
        }
    }

    /// Those of one slice of `id`, as long as the follower is cut so.
    #[must_use]
    pub fn of_slice(journal: Journal, id: FollowerId, slice: Slice) -> Self {
        let id = id.of_slice(slice.number());
        Self {
            slice,
            ..Self::new(journal, id)
        }
    }

    pub(super) fn id(&self) -> &FollowerId {
        &self.id
    }

    async fn move_on(
        &self,
        executor: impl PgExecutor<'_>,
        lease: Lease,
        to: i64,
    ) -> Result<bool, StoreError> {
        Ok(
            sqlx::query_scalar("select follower_advance($1, $2, $3, $4, $5, $6, $7, $8)")
                .bind(&self.id.name)
                .bind(self.id.generation)
                .bind(self.id.slice)
                .bind(self.owner)
                .bind(lease.epoch)
                .bind(lease.position)
                .bind(to)
                .bind(lease_ms())
                .fetch_one(executor)
                .await?,
        )
    }
}

impl InDatabase {
    /// Asks for the keys to be tried again that wait for nothing but a program that can read their events, when this
    /// is it. Of the saga's keys it need not be the first event that waits: it may be the stream that it commands.
    async fn free_the_readable(&self) -> Result<(), StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select position, key from parked
             where name = $1 and generation = $2 and unread and slice_of(key, $3) = $4 order by position",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(self.slice.count())
        .bind(self.slice.number())
        .fetch_all(self.journal.pool())
        .await?;
        let mut keys: BTreeSet<&str> = rows.iter().map(|(_, key)| key.as_str()).collect();
        for rows in rows.chunks(READ_MAX) {
            let positions: Vec<i64> = rows.iter().map(|(position, _)| *position).collect();
            for item in self.journal.events_at(&positions).await? {
                if let Item::Unreadable(event) = item {
                    keys.remove(event.stream.aggregate_id.as_str());
                }
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        tracing::info!(
            follower = self.id.name,
            keys = keys.len(),
            "bookings that waited for a program that can read their events are tried again"
        );
        sqlx::query(
            "insert into parked_retries (name, generation, key)
             select $1, $2, unnest($3::text[]) on conflict do nothing",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(Vec::from_iter(keys))
        .execute(self.journal.pool())
        .await?;
        Ok(())
    }
}

fn lease_ms() -> i32 {
    i32::try_from(LEASE_MS).unwrap_or(i32::MAX)
}

#[async_trait]
impl Checkpoints for InDatabase {
    type Connection = PgConnection;
    type Transaction<'s> = Transaction<'s, Postgres>;
    type Session = Session;

    fn name(&self) -> &str {
        &self.id.name
    }

    fn label(&self) -> String {
        match self.id.slice {
            0 => self.id.name.clone(),
            slice => format!("{}/{slice}", self.id.name),
        }
    }

    async fn hold(&self) -> Result<Option<Lease>, StoreError> {
        let row = sqlx::query("select epoch, position from follower_claim($1, $2, $3, $4, $5, $6)")
            .bind(&self.id.name)
            .bind(self.id.generation)
            .bind(self.id.slice)
            .bind(self.slice.count())
            .bind(self.owner)
            .bind(lease_ms())
            .fetch_optional(self.journal.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        self.free_the_readable().await?;
        Ok(Some(Lease {
            epoch: row.try_get("epoch")?,
            position: row.try_get("position")?,
        }))
    }

    async fn renew(&self, lease: Lease) -> Result<bool, StoreError> {
        self.move_on(self.journal.pool(), lease, lease.position)
            .await
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        sqlx::query("select follower_release($1, $2, $3, $4, $5)")
            .bind(&self.id.name)
            .bind(self.id.generation)
            .bind(self.id.slice)
            .bind(self.owner)
            .bind(lease.epoch)
            .execute(self.journal.pool())
            .await?;
        Ok(())
    }

    async fn parked_keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            // A key of which nothing is left is still to be forgotten, after what came meanwhile was taken.
            "select key from parked where name = $1 and generation = $2 and slice_of(key, $3) = $4
             union select key from parked_retries
             where name = $1 and generation = $2 and slice_of(key, $3) = $4",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(self.slice.count())
        .bind(self.slice.number())
        .fetch_all(self.journal.pool())
        .await?)
    }

    async fn dealt_with(&self, position: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.dealt_with_behind(position).await
    }

    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar(
            // What people asked for goes first.
            "(select key from parked_retries
              where name = $1 and generation = $2 and slice_of(key, $3) = $4 order by asked_at limit 1)
             union all
             (select key from parked_tries
              where name = $1 and generation = $2 and slice_of(key, $3) = $4
                and next_at <= clock_timestamp() order by next_at limit 1)
             limit 1",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(self.slice.count())
        .bind(self.slice.number())
        .fetch_optional(self.journal.pool())
        .await?)
    }

    async fn parked_positions(&self, key: &str, limit: i64) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "select position from parked where name = $1 and generation = $2 and key = $3
             order by position limit $4",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(key)
        .bind(limit)
        .fetch_all(self.journal.pool())
        .await?)
    }

    async fn session(&self) -> Result<Session, StoreError> {
        Session::open(self.journal.pool()).await
    }

    async fn begin<'s>(
        &self,
        session: &'s mut Session,
    ) -> Result<Transaction<'s, Postgres>, StoreError> {
        session.begin().await
    }

    async fn advance(
        &self,
        tx: &mut PgConnection,
        lease: Lease,
        to: i64,
    ) -> Result<bool, StoreError> {
        self.move_on(tx, lease, to).await
    }

    async fn park(&self, tx: &mut PgConnection, rows: &[Parked]) -> Result<(), StoreError> {
        self.park_in(tx, rows).await
    }

    async fn rewrite_reasons(
        &self,
        tx: &mut PgConnection,
        rows: &[Parked],
    ) -> Result<(), StoreError> {
        self.rewrite_in(tx, rows).await
    }

    async fn unpark(&self, tx: &mut PgConnection, positions: &[i64]) -> Result<bool, StoreError> {
        self.unpark_in(tx, positions).await
    }

    async fn tried(
        &self,
        tx: &mut PgConnection,
        key: &str,
        stuck: bool,
    ) -> Result<i64, StoreError> {
        self.tried_in(tx, key, stuck).await
    }

    async fn turn(&self, failing: bool) -> Result<bool, StoreError> {
        let Some(node) = self.journal.node else {
            return Ok(true);
        };
        Ok(
            sqlx::query_scalar("select follower_turn($1, $2, $3, $4, $5, $6)")
                .bind(&self.id.name)
                .bind(self.id.generation)
                .bind(self.id.slice)
                .bind(node)
                .bind(SEEN_MS)
                .bind(failing)
                .fetch_one(self.journal.pool())
                .await?,
        )
    }

    async fn withdraw(&self) -> Result<(), StoreError> {
        let Some(node) = self.journal.node else {
            return Ok(());
        };
        sqlx::query(
            "delete from follower_candidates
             where name = $1 and generation = $2 and slice = $3 and node = $4",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(self.id.slice)
        .bind(node)
        .execute(self.journal.pool())
        .await?;
        Ok(())
    }

    async fn note_lease(&self, class: Class) -> Result<String, StoreError> {
        let holder: Option<String> = sqlx::query_scalar(
            "select format('owner %s holds it until %s, epoch %s', coalesce(owner::text, 'nobody'),
                           coalesce(lease_until::text, '-'), epoch)
             from followers where name = $1 and generation = $2 and slice = $3",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(self.id.slice)
        .fetch_optional(self.journal.pool())
        .await?;
        let reason = holder.unwrap_or_else(|| "the follower's row is gone".to_owned());
        let subject = self.id.to_string();
        self.journal
            .incident_begins(class, &subject, &reason)
            .await?;
        Ok(reason)
    }

    async fn note_failing(&self, reason: Option<&str>) -> Result<bool, StoreError> {
        let (class, subject) = (Class::FollowerFailing, self.id.to_string());
        match reason {
            Some(reason) => self.journal.incident_begins(class, &subject, reason).await,
            None => self.journal.incident_ends(class, &subject).await,
        }
    }

    async fn commit(&self, tx: Transaction<'_, Postgres>) -> Result<(), StoreError> {
        Ok(tx.commit().await?)
    }
}
