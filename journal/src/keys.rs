//! Keys under which clients send a request again, and what was answered under each.
//!
//! A key's row is written before its request is run, and holds a lock by the database's clock; it says under which
//! command id the request is run, whoever runs it. A key is forgotten after a day (migrations/0029). What becomes of
//! an answer, and which of them are kept, is its caller's to say.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Journal, StoreError};

/// Whose key it is, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The client; different clients may use the same text.
    pub principal: &'a str,
    /// The client's own words.
    pub text: &'a str,
}

/// A request that came with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed<'a> {
    /// Its key.
    pub key: Key<'a>,
    /// Its method, as `POST`.
    pub method: &'a str,
    /// What it was sent to.
    pub path: &'a str,
    /// A digest of its body.
    pub fingerprint: &'a [u8],
    /// The command id that follows from all of it.
    pub command_id: Uuid,
}

/// What is known of a request that came with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The caller runs it.
    Mine {
        /// How often it was begun.
        attempt: i32,
        /// Under which id it runs; none when a process of the version before began it, which derived ids in another way.
        command_id: Option<Uuid>,
    },
    /// It was answered.
    Answered(Kept),
    /// Somebody runs it now, or the key was forgotten at this moment: it may be sent again a little later.
    InProgress,
    /// The key stands for another request.
    Reused,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The HTTP status.
    pub status: u16,
    /// Names and values of its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Journal {
    /// Begins a request and keeps others from it for `lock_ms` milliseconds, or says why not.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; [`StoreError::Newer`] when it answers what only a newer
    /// version knows.
    pub async fn begin_keyed(
        &self,
        request: &Keyed<'_>,
        lock_ms: i32,
    ) -> Result<Begun, StoreError> {
        let row = sqlx::query("select * from idempotency_begin($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(request.key.principal)
            .bind(request.key.text)
            .bind(request.method)
            .bind(request.path)
            .bind(request.fingerprint)
            .bind(lock_ms)
            .bind(request.command_id)
            .bind(self.random().uuid())
            .fetch_optional(self.pool())
            .await?;
        // No row: it was forgotten between the insert and the look. The next try finds it gone.
        row.as_ref().map_or(Ok(Begun::InProgress), begun)
    }

    /// Keeps the answer of the `attempt`th beginning, unless somebody else has begun it since.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn keep_answer(
        &self,
        key: Key<'_>,
        attempt: i32,
        answer: &Kept,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update idempotency_keys set status = $4, headers = $5, body = $6
             where principal = $1 and key = $2 and attempt = $3 and status is null",
        )
        .bind(key.principal)
        .bind(key.text)
        .bind(attempt)
        .bind(i32::from(answer.status))
        .bind(Json(&answer.headers))
        .bind(&answer.body)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Gives a key free for the next try, unless somebody else has begun it since.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn release_key(&self, key: Key<'_>, attempt: i32) -> Result<(), StoreError> {
        sqlx::query(
            "update idempotency_keys set locked_until = '-infinity'
             where principal = $1 and key = $2 and attempt = $3 and status is null",
        )
        .bind(key.principal)
        .bind(key.text)
        .bind(attempt)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

fn begun(row: &PgRow) -> Result<Begun, StoreError> {
    match row.try_get("outcome")? {
        "begun" => Ok(Begun::Mine {
            attempt: row.try_get("attempt")?,
            command_id: row.try_get("command_id")?,
        }),
        "done" => Ok(Begun::Answered(kept(row)?)),
        "busy" => Ok(Begun::InProgress),
        "other" => Ok(Begun::Reused),
        outcome => Err(StoreError::unknown_word("idempotency_begin", outcome)),
    }
}

fn kept(row: &PgRow) -> Result<Kept, StoreError> {
    let status: i32 = row.try_get("status")?;
    let Json(headers) = row.try_get("headers")?;
    Ok(Kept {
        status: u16::try_from(status).map_err(|error| StoreError::Unreadable(error.to_string()))?,
        headers,
        body: row.try_get("body")?,
    })
}
