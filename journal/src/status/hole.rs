//! The open hole, and who keeps it open.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::{Journal, StoreError};

/// A hole that a follower waits at, and who keeps it open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hole {
    /// First missing position.
    pub first: i64,
    /// Last missing position.
    pub last: i64,
    /// Since when it is known.
    pub since: Timestamp,
    /// The oldest transaction that the proof waits for. It may write into the hole, or be another one that began
    /// before the hole was seen.
    pub blocked_by: Option<Blocker>,
}

/// A transaction that has written and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The session's process id at the server; none of a prepared transaction, which has no session.
    pub pid: Option<i32>,
    /// The name of a prepared transaction.
    pub prepared: Option<String>,
    /// Its database.
    pub database: Option<String>,
    /// Whose it is.
    pub role: Option<String>,
    /// Seconds since it began, or was prepared. What follows and this is hidden from logins without
    /// `pg_read_all_stats` when the session is another role's.
    pub age_seconds: Option<i64>,
    /// `active`, `idle in transaction`, …
    pub state: Option<String>,
    /// The statement it runs or ran last, as its client sent it.
    pub query: Option<String>,
}

impl Journal {
    /// The first one behind the watermark: a reader that is gone may have left one that was passed long ago.
    pub(super) async fn open_hole(&self, watermark: i64) -> Result<Option<Hole>, StoreError> {
        // Positions are drawn by transactions with an id. The proof waits for all ids below its own, wherever in
        // the server; the oldest one is waited for longest.
        let row = sqlx::query(
            "with hole as (
                 select first_position, last_position, since, proof from open_holes
                 where first_position > $1 order by first_position limit 1
             ), writing as (
                 select backend_xid as xid, pid, null as prepared, datname::text as database, usename::text as role,
                        xact_start as began, state, nullif(query, '<insufficient privilege>') as query
                 from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
                 union all
                 select transaction, null, gid, database::text, owner::text, prepared, null, null
                 from pg_prepared_xacts
             )
             select hole.first_position, hole.last_position, hole.since, oldest.*
             from hole left join lateral (
                 select pid, prepared, database, role, state, query,
                        extract(epoch from clock_timestamp() - began)::bigint as age_seconds
                 from writing where hole.proof is null or age(xid) > age(hole.proof::xid)
                 order by age(xid) desc limit 1
             ) oldest on true",
        )
        .bind(watermark)
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &PgRow) -> Result<Hole, StoreError> {
    let since: jiff_sqlx::Timestamp = row.try_get("since")?;
    let blocker = Blocker {
        pid: row.try_get("pid")?,
        prepared: row.try_get("prepared")?,
        database: row.try_get("database")?,
        role: row.try_get("role")?,
        age_seconds: row.try_get("age_seconds")?,
        state: row.try_get("state")?,
        query: row.try_get("query")?,
    };
    Ok(Hole {
        first: row.try_get("first_position")?,
        last: row.try_get("last_position")?,
        since: since.to_jiff(),
        blocked_by: (blocker.pid.is_some() || blocker.prepared.is_some()).then_some(blocker),
    })
}
