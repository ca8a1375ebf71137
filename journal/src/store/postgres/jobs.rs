//! Claims of jobs.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::jobs::{Claimed, Finish, Job, NewJob, Unreadable, payload};
use crate::{Connections, StoreError};

pub(super) async fn claim(
    pool: &Connections,
    kinds: &[&str],
    owner: Uuid,
    limit: i32,
    lease_ms: i32,
    set_time: Option<Timestamp>,
) -> Result<Claimed, StoreError> {
    let rows = sqlx::query("select * from job_claim($1, $2, $3, $4, $5)")
        .bind(kinds)
        .bind(owner)
        .bind(limit)
        .bind(lease_ms)
        .bind(set_time.map(ToSqlx::to_sqlx))
        .fetch_all(pool)
        .await?;
    sorted(&rows)
}

/// The claim is committed by now, so a row that cannot be read must not take the others with it: nobody would work on
/// them until it runs out, and then it would be so again.
fn sorted(rows: &[PgRow]) -> Result<Claimed, StoreError> {
    let mut claimed = Claimed::default();
    for row in rows {
        match payload::known(&payload::stored(row)?) {
            Ok(payload) => claimed.jobs.push(job(row, payload)?),
            Err(error) => claimed.unreadable.push(Unreadable {
                job: job(row, HashMap::new())?,
                why: error.to_string(),
            }),
        }
    }
    Ok(claimed)
}

pub(super) async fn reopen(pool: &Connections, job: &NewJob) -> Result<(), StoreError> {
    sqlx::query(
        "insert into jobs (kind, key, bookid, payload, due_at, timer) values ($1, $2, $3, $4, $5, $6)
         on conflict (kind, key) do update
         set state = 'open', fence = jobs.fence + 1, owner = null, claimed_until = null, finished_at = null,
             due_at = excluded.due_at, payload = jobs.payload || excluded.payload",
    )
    .bind(job.kind)
    .bind(&job.key)
    .bind(job.bookid)
    .bind(Json(&job.payload))
    .bind(job.due_at.to_sqlx())
    .bind(job.timer)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn note(
    pool: &Connections,
    job: &Job,
    notes: &HashMap<String, String>,
) -> Result<bool, StoreError> {
    let noted = sqlx::query(
        "update jobs set payload = payload || $3
         where id = $1 and fence = $2 and state = 'open'",
    )
    .bind(job.id)
    .bind(job.fence)
    .bind(Json(notes))
    .execute(pool)
    .await?;
    Ok(noted.rows_affected() == 1)
}

pub(super) async fn finish(
    pool: &Connections,
    job: &Job,
    finish: &Finish,
) -> Result<bool, StoreError> {
    let (state, due_at, error) = match finish {
        Finish::Done => ("done", None, None),
        Finish::Again { due_at, reason } => ("open", Some(due_at.to_sqlx()), Some(reason)),
        Finish::Attention { reason } => ("attention", None, Some(reason)),
    };
    Ok(sqlx::query_scalar("select job_finish($1, $2, $3, $4, $5)")
        .bind(job.id)
        .bind(job.fence)
        .bind(state)
        .bind(due_at)
        .bind(error)
        .fetch_one(pool)
        .await?)
}

pub(super) async fn was_retried(pool: &Connections, job: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (
             select from decisions where action = 'job.retry' and subject->>'id' = $1::text
         )",
    )
    .bind(job.to_string())
    .fetch_one(pool)
    .await?)
}

pub(super) async fn open(pool: &Connections, kind: &str, ending: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "select count(*) from jobs where kind = $1 and state = 'open' and right(key, length($2)) = $2",
    )
    .bind(kind)
    .bind(ending)
    .fetch_one(pool)
    .await?)
}

fn job(row: &PgRow, payload: HashMap<String, String>) -> Result<Job, StoreError> {
    let created_at: jiff_sqlx::Timestamp = row.try_get("created_at")?;
    Ok(Job {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        key: row.try_get("key")?,
        bookid: row.try_get("bookid")?,
        payload,
        attempts: row.try_get("attempts")?,
        fence: row.try_get("fence")?,
        created_at: created_at.to_jiff(),
    })
}
