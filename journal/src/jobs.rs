//! Jobs: what must call the outside or wait for time, as rows.
//!
//! A follower schedules in the transaction of its checkpoint. A worker claims in a short transaction, works
//! with none open, and finishes with a fenced update: when its claim ran out and somebody else took over, its
//! finish does nothing, and says so.

pub(crate) mod payload;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Journal, StoreError};

/// A job to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Which worker's.
    pub kind: &'static str,
    /// What it is about; one job of a kind for each.
    pub key: String,
    /// Of which booking.
    pub bookid: i64,
    /// What the worker needs to know.
    pub payload: HashMap<String, String>,
    /// Not before this time.
    pub due_at: Timestamp,
    /// Whether it is dated by the business (an hour at which something must be looked at) rather than work.
    pub timer: bool,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its row.
    pub id: i64,
    /// Which worker's.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// Of which booking.
    pub bookid: i64,
    /// What the worker needs to know.
    pub payload: HashMap<String, String>,
    /// How often it was claimed, this time included.
    pub attempts: i32,
    /// Grows with every claim.
    pub fence: i64,
    /// When it was first written.
    pub created_at: Timestamp,
}

/// What a claim brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// What can be worked on.
    pub jobs: Vec<Job>,
    /// What cannot.
    pub unreadable: Vec<Unreadable>,
}

/// A claimed job that does not say what its worker needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The job, with nothing for its payload.
    pub job: Job,
    /// Why its payload cannot be read.
    pub why: String,
}

/// How a claim ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nothing more to do.
    Done,
    /// Once more, not before this time.
    Again {
        /// Not before.
        due_at: Timestamp,
        /// Why it did not end.
        reason: String,
    },
    /// People must look.
    Attention {
        /// Why people must look.
        reason: String,
    },
}

/// Writes jobs in the caller's transaction. One that is there already and never ran is brought forward when the
/// new one is due earlier, and learns what the new one knows; one that ran keeps its back-off, a finished one
/// stays finished.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn schedule(tx: &mut PgConnection, jobs: &[NewJob]) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (mut kinds, mut keys, mut bookids) = (Vec::new(), Vec::new(), Vec::new());
    let (mut payloads, mut dues, mut timers) = (Vec::new(), Vec::new(), Vec::new());
    for job in merged(jobs) {
        kinds.push(job.kind);
        keys.push(job.key);
        bookids.push(job.bookid);
        payloads.push(Json(job.payload));
        dues.push(job.due_at.to_sqlx());
        timers.push(job.timer);
    }
    sqlx::query(
        "insert into jobs (kind, key, bookid, payload, due_at, timer)
         select kind, key, bookid, payload, due_at, timer
         from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[], $5::timestamptz[], $6::boolean[])
           as j (kind, key, bookid, payload, due_at, timer)
         order by kind, key
         on conflict (kind, key) do update
         set due_at = least(jobs.due_at, excluded.due_at), payload = jobs.payload || excluded.payload
         where jobs.state = 'open' and jobs.attempts = 0",
    )
    .bind(kinds)
    .bind(keys)
    .bind(bookids)
    .bind(payloads)
    .bind(dues)
    .bind(timers)
    .execute(tx)
    .await?;
    Ok(())
}

/// Each job once: a batch may name one twice, and a statement may touch a row once. It is due at the earliest time,
/// and knows what all of them know.
fn merged(jobs: &[NewJob]) -> impl Iterator<Item = NewJob> {
    let mut merged: BTreeMap<(&str, &str), NewJob> = BTreeMap::new();
    for job in jobs {
        merged
            .entry((job.kind, &job.key))
            .and_modify(|first| {
                first.due_at = first.due_at.min(job.due_at);
                first.payload.extend(job.payload.clone());
            })
            .or_insert_with(|| job.clone());
    }
    merged.into_values()
}

/// Ends jobs whose matter settled itself, in the caller's transaction. One that never ran leaves no row; a
/// worker that has one claimed finds its fence shut.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn settle(tx: &mut PgConnection, kind: &str, keys: &[String]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query("delete from jobs where kind = $1 and key = any($2) and attempts = 0")
        .bind(kind)
        .bind(keys)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "update jobs set state = 'done', fence = fence + 1, owner = null, claimed_until = null,
                finished_at = clock_timestamp()
         where kind = $1 and key = any($2) and state <> 'done'",
    )
    .bind(kind)
    .bind(keys)
    .execute(tx)
    .await?;
    Ok(())
}

/// Has jobs looked at again whose matter changed, in the caller's transaction: also one that is for people. A worker that
/// has one claimed finds its fence shut. One that never ran is due when it is due, and looks at everything then.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn look_again(
    tx: &mut PgConnection,
    kind: &str,
    keys: &[String],
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update jobs set state = 'open', fence = fence + 1, owner = null, claimed_until = null, finished_at = null,
                due_at = least(due_at, clock_timestamp())
         where kind = $1 and key = any($2) and state <> 'done' and attempts > 0",
    )
    .bind(kind)
    .bind(keys)
    .execute(tx)
    .await?;
    Ok(())
}

impl Journal {
    /// Writes a job by itself, beside any batch. One that is there is open again, whatever became of it: it is due when
    /// the new one is, and learns what that one knows. Whoever has it claimed finds the fence shut.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn reopen_job(&self, job: &NewJob) -> Result<(), StoreError> {
        self.store.reopen_job(job).await
    }

    /// Claims up to `limit` jobs of these kinds that are due, for `lease_ms`. One whose payload cannot be read is left to
    /// people at once, and the others are answered: each of them may be somebody's money.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn claim_jobs(
        &self,
        kinds: &[&str],
        owner: Uuid,
        limit: i32,
        lease_ms: i32,
    ) -> Result<Vec<Job>, StoreError> {
        let set_time = self.clock().set_by_hand();
        let claimed = self
            .store
            .claim_jobs(kinds, owner, limit, lease_ms, set_time)
            .await?;
        for unreadable in &claimed.unreadable {
            self.leave_to_people(unreadable).await;
        }
        Ok(claimed.jobs)
    }

    /// Ends the claim on a job that nobody can work on.
    async fn leave_to_people(&self, Unreadable { job, why }: &Unreadable) {
        let reason = format!("its payload cannot be read: {why}");
        // Where that fails, the claim runs out by itself, and the job comes here again.
        if let Err(error) = self.finish_job(job, &Finish::Attention { reason }).await {
            tracing::warn!(job = job.id, kind = job.kind, %error, "a job that cannot be read was not left to people");
        }
    }

    /// Adds to what a claimed job knows, for its later claims; false when somebody else holds the job by now,
    /// and nothing was changed.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn note_job(
        &self,
        job: &Job,
        notes: &HashMap<String, String>,
    ) -> Result<bool, StoreError> {
        self.store.note_job(job, notes).await
    }

    /// Ends a claim; false when somebody else holds the job by now, and nothing was changed.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn finish_job(&self, job: &Job, finish: &Finish) -> Result<bool, StoreError> {
        let held = self.store.finish_job(job, finish).await?;
        if let (true, Finish::Attention { reason }) = (held, finish) {
            metrics::counter!("jobs_attention_total", "kind" => job.kind.clone()).increment(1);
            tracing::error!(
                job = job.id,
                kind = job.kind,
                bookid = job.bookid,
                reason,
                "a job needs people"
            );
        }
        Ok(held)
    }

    /// How many jobs of a kind are open, waiting or at work, of those whose key ends so.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn open_jobs_ending(&self, kind: &str, ending: &str) -> Result<i64, StoreError> {
        self.store.open_jobs(kind, ending).await
    }
}
