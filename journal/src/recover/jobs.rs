//! Jobs, as people look at them and decide about them.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row};

use super::Decision;
use crate::connections::{TRANSACTION_MAX, within};
use crate::jobs::payload;
use crate::{Journal, Session, StoreError};

/// A job as its row says it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Which worker's.
    pub kind: String,
    /// What it is about.
    pub key: String,
    /// Of which booking.
    pub bookid: i64,
    /// `open`, `done` or `attention` (for people).
    pub state: String,
    /// Dated by the business rather than work.
    pub timer: bool,
    /// Not before this time.
    pub due_at: Timestamp,
    /// How often it was claimed.
    pub attempts: i32,
    /// Until when a worker has it, if one has.
    pub claimed_until: Option<Timestamp>,
    /// Why it did not end the last time.
    pub last_error: Option<String>,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was done, or left to people.
    pub finished_at: Option<Timestamp>,
    /// What its worker knows. What is no text is here as its JSON: the worker cannot read it, and people can.
    pub payload: BTreeMap<String, String>,
}

/// What became of a decision about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is as decided.
    Done,
    /// There is no such job.
    Unknown,
    /// The job is not for people: its state.
    NotForPeople(String),
}

/// The state of a job that is for people.
const FOR_PEOPLE: &str = "attention";

const COLUMNS: &str =
    "id, kind, key, bookid, state, timer, due_at, attempts, claimed_until, last_error,
                       created_at, finished_at, payload";

impl Journal {
    /// Up to `limit` jobs, those for people first, then by when they are due, and behind them timers whose time has not
    /// come; only unfinished ones unless `all`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn jobs(&self, all: bool, limit: i64) -> Result<Vec<JobRow>, StoreError> {
        let query = format!(
            "select {COLUMNS} from jobs where $1 or state <> 'done'
             order by state = 'attention' desc, state = 'open' desc, timer and due_at > clock_timestamp(), due_at, id
             limit $2"
        );
        let rows = sqlx::query(&query)
            .bind(all)
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(JobRow::from_row).collect()
    }

    /// Up to `limit` jobs that are left to people, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn jobs_for_people(&self, limit: i64) -> Result<Vec<JobRow>, StoreError> {
        let query =
            format!("select {COLUMNS} from jobs where state = 'attention' order by id limit $1");
        let rows = sqlx::query(&query)
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(JobRow::from_row).collect()
    }

    /// Whether somebody decided that a job shall be tried once more.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn job_was_retried(&self, id: i64) -> Result<bool, StoreError> {
        self.store.was_retried(id).await
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn job(&self, id: i64) -> Result<Option<JobRow>, StoreError> {
        let query = format!("select {COLUMNS} from jobs where id = $1");
        let row = sqlx::query(&query)
            .bind(id)
            .fetch_optional(self.pool())
            .await?;
        row.as_ref().map(JobRow::from_row).transpose()
    }

    /// Gives a job that is for people back to its worker, due now, for one more try. What was `said` of it is from now
    /// on what its worker knows, and stays with the decision.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or the decision names nobody or no reason.
    pub async fn retry_job(
        &self,
        id: i64,
        decision: &Decision<'_>,
        said: &HashMap<String, String>,
    ) -> Result<Decided, StoreError> {
        self.decide_job(id, "retry", decision, said).await
    }

    /// Ends a job that is for people: what it was about was settled by hand.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or the decision names nobody or no reason.
    pub async fn resolve_job(
        &self,
        id: i64,
        decision: &Decision<'_>,
    ) -> Result<Decided, StoreError> {
        self.decide_job(id, "resolve", decision, &HashMap::new())
            .await
    }

    /// The same, and what was `said` of it stays with the decision. Before it ends, `record` writes that down, and the job
    /// is nobody else's meanwhile: it is not tried again, nor settled otherwise. When `record` fails, it stays for people.
    ///
    /// # Errors
    /// [`StoreError`] as above, also when all of it together takes longer than [`TRANSACTION_MAX`]; what `record` says.
    pub async fn resolve_job_recorded<E: From<StoreError>>(
        &self,
        id: i64,
        decision: &Decision<'_>,
        said: &HashMap<String, String>,
        record: impl Future<Output = Result<(), E>>,
    ) -> Result<Decided, E> {
        let resolving = self.record_and_resolve(id, decision, said, record);
        within(TRANSACTION_MAX, resolving).await
    }

    async fn record_and_resolve<E: From<StoreError>>(
        &self,
        id: i64,
        decision: &Decision<'_>,
        said: &HashMap<String, String>,
        record: impl Future<Output = Result<(), E>>,
    ) -> Result<Decided, E> {
        let mut session = Session::open(self.pool()).await?;
        let mut tx = session.begin().await?;
        let state: Option<String> =
            sqlx::query_scalar("select state from jobs where id = $1 for update")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await
                .map_err(StoreError::from)?;
        match state {
            None => return Ok(Decided::Unknown),
            Some(state) if state != FOR_PEOPLE => return Ok(Decided::NotForPeople(state)),
            Some(_) => record.await?,
        }
        let decided = decide(&mut *tx, id, "resolve", decision, said).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(decided)
    }

    async fn decide_job(
        &self,
        id: i64,
        action: &str,
        decision: &Decision<'_>,
        said: &HashMap<String, String>,
    ) -> Result<Decided, StoreError> {
        decide(self.pool(), id, action, decision, said).await
    }
}

async fn decide(
    executor: impl PgExecutor<'_>,
    id: i64,
    action: &str,
    decision: &Decision<'_>,
    said: &HashMap<String, String>,
) -> Result<Decided, StoreError> {
    let state: Option<String> = sqlx::query_scalar("select job_decide($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(action)
        .bind(decision.by)
        .bind(decision.reason)
        .bind(Json(said))
        .fetch_one(executor)
        .await?;
    Ok(match state {
        None => Decided::Unknown,
        Some(state) if state == FOR_PEOPLE => Decided::Done,
        Some(state) => Decided::NotForPeople(state),
    })
}

impl JobRow {
    pub(crate) fn from_row(row: &PgRow) -> Result<Self, StoreError> {
        let time = |name: &str| -> Result<Option<Timestamp>, StoreError> {
            let time: Option<jiff_sqlx::Timestamp> = row.try_get(name)?;
            Ok(time.map(jiff_sqlx::Timestamp::to_jiff))
        };
        let always = |name: &str| -> Result<Timestamp, StoreError> {
            let time: jiff_sqlx::Timestamp = row.try_get(name)?;
            Ok(time.to_jiff())
        };
        Ok(Self {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            key: row.try_get("key")?,
            bookid: row.try_get("bookid")?,
            state: row.try_get("state")?,
            timer: row.try_get("timer")?,
            due_at: always("due_at")?,
            attempts: row.try_get("attempts")?,
            claimed_until: time("claimed_until")?,
            last_error: row.try_get("last_error")?,
            created_at: always("created_at")?,
            finished_at: time("finished_at")?,
            payload: payload::shown(&payload::stored(row)?),
        })
    }
}
