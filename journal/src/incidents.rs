//! What must not happen in silence, and has no row of its own elsewhere: one row a class and subject.
//!
//! Holes, dead spans, parked events and jobs for people have tables of their own; docs/operations.md lists all
//! classes, each with its row, its metric and its log line.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;

use crate::{Journal, StoreError};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody else holds a follower's lease: the rule where several processes run.
    LeaseDenied,
    /// A follower lost its lease while it thought that it had it.
    LeaseLost,
    /// A follower's steps fail, again and again.
    FollowerFailing,
    /// A follower, or a slice of one, does not move though there is something before it.
    Standstill,
}

impl Class {
    /// Its name in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeaseDenied => "lease_denied",
            Self::LeaseLost => "lease_lost",
            Self::FollowerFailing => "follower_failing",
            Self::Standstill => "standstill",
        }
    }

    /// Whether it goes on until its end is told; otherwise it is over at once.
    fn lasts(self) -> bool {
        matches!(self, Self::FollowerFailing | Self::Standstill)
    }
}

/// A row: how often something began, and how it was the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// What kind.
    pub class: String,
    /// What it happened to.
    pub subject: String,
    /// Why, the last time.
    pub reason: String,
    /// How often it began.
    pub times: i64,
    /// When it began the last time.
    pub began_at: Timestamp,
    /// None while it goes on.
    pub ended_at: Option<Timestamp>,
}

impl Journal {
    /// Notes that something happens to `subject`; true when it did not go on already.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn incident_begins(
        &self,
        class: Class,
        subject: &str,
        reason: &str,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("select incident_begin($1, $2, $3, $4)")
            .bind(class.as_str())
            .bind(subject)
            .bind(reason)
            .bind(class.lasts())
            .fetch_one(self.pool())
            .await?)
    }

    /// Notes that it is over; true when it went on until now.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn incident_ends(&self, class: Class, subject: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("select incident_end($1, $2)")
            .bind(class.as_str())
            .bind(subject)
            .fetch_one(self.pool())
            .await?)
    }

    /// To what it happens now.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn going_on(&self, class: Class) -> Result<Vec<String>, StoreError> {
        let subjects = sqlx::query_scalar(
            "select subject from incidents where class = $1 and ended_at is null order by subject",
        );
        Ok(subjects.bind(class.as_str()).fetch_all(self.pool()).await?)
    }

    /// What goes on, and then what happened, the latest first; at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn incidents(&self, limit: i64) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "select class, subject, reason, times, began_at, ended_at from incidents
             order by ended_at is not null, began_at desc, class, subject limit $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let began_at: jiff_sqlx::Timestamp = row.try_get("began_at")?;
            let ended_at: Option<jiff_sqlx::Timestamp> = row.try_get("ended_at")?;
            Ok(Incident {
                class: row.try_get("class")?,
                subject: row.try_get("subject")?,
                reason: row.try_get("reason")?,
                times: row.try_get("times")?,
                began_at: began_at.to_jiff(),
                ended_at: ended_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
        };
        rows.iter().map(read).collect()
    }
}
