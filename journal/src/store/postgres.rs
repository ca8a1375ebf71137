//! The store that is shipped: Postgres, by the functions and tables of `migrations/`.

mod append;
mod columns;
mod feed;
mod imported;
mod jobs;

use std::collections::HashMap;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use domain::book::Book;
use domain::payment::Payment;
use domain::space::Space;
use jiff::Timestamp;
use postgres_es::PostgresEventRepository;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{NotAppended, Store};
use crate::append::{Answer, Append, Outcome, StreamVersion};
use crate::connections::statement;
use crate::feed::{Look, Proof, Span, Stored};
use crate::jobs::{Claimed, Finish, Job, NewJob};
use crate::transfer::{Caused, Imported, Led};
use crate::{Connections, StoreError, StreamId};

/// A journal in Postgres, over the connections of the runtime role.
pub struct Postgres {
    pool: Connections,
    /// Reads streams.
    streams: PostgresEventRepository,
}

impl Postgres {
    /// The journal that these connections lead to.
    #[must_use]
    pub fn new(pool: Connections) -> Self {
        let streams = PostgresEventRepository::new(pool.for_reads().clone());
        Self { pool, streams }
    }
}

#[async_trait]
impl Store for Postgres {
    async fn append(&self, group: &[Append]) -> Result<Vec<Outcome>, NotAppended> {
        append::append(&self.pool, group).await
    }

    async fn answers(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Answer>, StoreError> {
        append::answers(&self.pool, ids).await
    }

    async fn stream(&self, stream: &StreamId) -> Result<Vec<SerializedEvent>, StoreError> {
        let (streams, id) = (&self.streams, &stream.aggregate_id);
        // As every statement of ours, it is bounded.
        let rows = match stream.aggregate_type.as_str() {
            Book::TYPE => statement(streams.get_events::<Book>(id)).await,
            Payment::TYPE => statement(streams.get_events::<Payment>(id)).await,
            Space::TYPE => statement(streams.get_events::<Space>(id)).await,
            other => {
                let reason = format!("nothing is known of streams of type {other:?}");
                return Err(StoreError::Unreadable(reason));
            }
        };
        rows?.map_err(unread)
    }

    async fn standing(&self, streams: &[StreamId]) -> Result<Answer, StoreError> {
        let (types, ids): (Vec<_>, Vec<_>) = streams
            .iter()
            .map(|stream| (stream.aggregate_type.clone(), stream.aggregate_id.clone()))
            .unzip();
        let rows = sqlx::query(
            "select e.aggregate_type, e.aggregate_id, max(e.sequence) as version, max(e.position) as position
             from events e
             join unnest($1::text[], $2::text[]) as s (aggregate_type, aggregate_id)
               using (aggregate_type, aggregate_id)
             group by 1, 2 order by 1, 2",
        )
        .bind(types)
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        let mut answer = Answer::default();
        for row in rows {
            answer.position = answer.position.max(row.try_get("position")?);
            answer.streams.push(StreamVersion {
                aggregate_type: row.try_get("aggregate_type")?,
                aggregate_id: row.try_get("aggregate_id")?,
                version: row.try_get("version")?,
            });
        }
        Ok(answer)
    }

    async fn look(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
    ) -> Result<Look<Stored>, StoreError> {
        feed::look(&self.pool, after, limit, proof).await
    }

    async fn rows_at(&self, positions: &[i64]) -> Result<Vec<Stored>, StoreError> {
        feed::rows_at(&self.pool, positions).await
    }

    async fn draw_x(&self) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("select pg_current_xact_id()::text")
            .fetch_one(&self.pool)
            .await?)
    }

    async fn record_dead(
        &self,
        spans: &[Span],
        proof: &Proof,
        reader: &str,
    ) -> Result<(), StoreError> {
        feed::record_dead(&self.pool, spans, proof, reader).await
    }

    async fn hold_at(
        &self,
        reader: &str,
        hole: Option<Span>,
        proof: Option<&Proof>,
    ) -> Result<(), StoreError> {
        match hole {
            Some(hole) => feed::hold(&self.pool, reader, hole, proof).await,
            None => feed::go_on(&self.pool, reader).await,
        }
    }

    async fn imported(&self, first: i64, last: i64) -> Result<Vec<Imported>, StoreError> {
        let rows = sqlx::query(
            "select first_position, last_position, acted_to, payments_held from imports
             where finished_at is not null and first_position <= $2 and last_position >= $1
             order by first_position",
        )
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &PgRow| {
            Ok(Imported {
                first: row.try_get("first_position")?,
                last: row.try_get("last_position")?,
                acted_to: row.try_get("acted_to")?,
                payments_held: row.try_get("payments_held")?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn led_to_by_imports(&self, events: &[Caused]) -> Result<Vec<Led>, StoreError> {
        imported::led_to(&self.pool, events).await
    }

    async fn claim_jobs(
        &self,
        kinds: &[&str],
        owner: Uuid,
        limit: i32,
        lease_ms: i32,
        set_time: Option<Timestamp>,
    ) -> Result<Claimed, StoreError> {
        jobs::claim(&self.pool, kinds, owner, limit, lease_ms, set_time).await
    }

    async fn reopen_job(&self, job: &NewJob) -> Result<(), StoreError> {
        jobs::reopen(&self.pool, job).await
    }

    async fn note_job(
        &self,
        job: &Job,
        notes: &HashMap<String, String>,
    ) -> Result<bool, StoreError> {
        jobs::note(&self.pool, job, notes).await
    }

    async fn finish_job(&self, job: &Job, finish: &Finish) -> Result<bool, StoreError> {
        jobs::finish(&self.pool, job, finish).await
    }

    async fn was_retried(&self, job: i64) -> Result<bool, StoreError> {
        jobs::was_retried(&self.pool, job).await
    }

    async fn open_jobs(&self, kind: &str, ending: &str) -> Result<i64, StoreError> {
        jobs::open(&self.pool, kind, ending).await
    }
}

/// postgres-es boxes sqlx's error; it is sorted as our own calls' errors are.
fn unread(error: PersistenceError) -> StoreError {
    match error {
        PersistenceError::ConnectionError(error) | PersistenceError::UnknownError(error) => {
            match error.downcast::<sqlx::Error>() {
                Ok(error) => (*error).into(),
                Err(other) => StoreError::Unreadable(other.to_string()),
            }
        }
        other => StoreError::Unreadable(other.to_string()),
    }
}
