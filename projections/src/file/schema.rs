//! What is in the file beside the rows: whose it is, its generations with their checkpoints, and what is parked.

use std::path::Path;
use std::str::FromStr;

use journal::{Identity, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection, Executor, Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::{BUSY_MAX, READER_WAIT_MAX, READERS_MAX, fault, tables};
use crate::projection::Projection;

/// Says that the file is spacerent's: "spcr".
pub(super) const APPLICATION: i64 = 0x7370_6372;
/// Raised when the tables below, or how cells are kept, change.
pub(super) const FORMAT: i64 = 1;

/// Times are microseconds since 1970. At most one generation is live (readers see it), and at most one is built.
const TABLES: &str = "
create table generations (
    number   integer primary key,
    state    text    not null unique check (state in ('building', 'live')),
    version  integer not null,
    -- Of which journal the position is.
    journal  text    not null,
    epoch    integer not null,
    -- Everything up to here is in the rows, or parked.
    position integer not null
) strict;
create table parked (
    generation integer not null,
    position   integer not null,
    key        text    not null,
    event_type text    not null,
    -- Why; null for an event that only stands behind another one of its key.
    reason     text,
    primary key (generation, position)
) strict;
create index parked_by_key on parked (generation, key, position);
create table parked_keys (
    generation integer not null,
    key        text    not null,
    tries      integer not null default 0,
    -- When to try again.
    due_at     integer not null,
    primary key (generation, key)
) strict;
";

/// A generation as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: i64,
    pub(super) live: bool,
    pub(super) version: i64,
    /// Of which journal; none where what stands there is no identity.
    pub(super) journal: Option<Identity>,
    pub(super) position: i64,
}

/// A connection that may write, without making the file and without changing anything in it.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_MAX);
    SqliteConnection::connect_with(&options).await
}

/// Connections that only read. The writer must have the file open.
pub(super) async fn readers(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_MAX)
        .read_only(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(READER_WAIT_MAX)
        .test_before_acquire(false)
        .connect_lazy_with(options);
    // All from the start and for good: a later one would open what is at the path then. By hand, because the pool's
    // own way of it goes on behind our back, also when it is closed.
    let mut all = Vec::new();
    for _ in 0..READERS_MAX {
        all.push(pool.acquire().await.map_err(fault)?);
    }
    Ok(pool)
}

/// Sets up the connection that writes.
///
/// In WAL mode `synchronous = normal` syncs the disk at checkpoints of the WAL only. A power cut may so take back the
/// last commits, whole and from the end; it cannot break the file. Rows and position were committed together, so
/// the file then stands at an earlier position with the rows of that position, and takes the rest again.
pub(super) async fn set_up(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    run(
        writer,
        // A WAL that grew while a long answer was read is cut back to this size.
        "pragma journal_mode = wal; pragma synchronous = normal; pragma journal_size_limit = 67108864",
    )
    .await
}

/// Closes the connection that writes, with everything in the file itself. SQLite's last connection would do that, but
/// sqlx's pool may let go of readers before they are closed.
pub(super) async fn close(mut writer: SqliteConnection) -> Result<(), StoreError> {
    let settled = run(&mut writer, "pragma wal_checkpoint(truncate)").await;
    writer.close().await.map_err(fault)?;
    settled
}

/// Makes everything in an empty file: all of it or nothing.
pub(super) async fn lay_out(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    run(
        writer,
        &format!(
            "begin immediate; pragma application_id = {APPLICATION}; pragma user_version = {FORMAT}; {TABLES} commit"
        ),
    )
    .await
}

/// Begins a generation at position 0.
pub(super) async fn begin(
    writer: &mut SqliteConnection,
    projection: &Projection,
    number: i64,
    journal: Identity,
) -> Result<(), StoreError> {
    let mut tx = writer.begin().await.map_err(fault)?;
    for table in projection.tables {
        run(&mut tx, &tables::create(table, number)).await?;
    }
    sqlx::query(
        "insert into generations (number, state, version, journal, epoch, position)
         values ($1, 'building', $2, $3, $4, 0)",
    )
    .bind(number)
    .bind(projection.version)
    .bind(journal.uuid.to_string())
    .bind(journal.epoch)
    .execute(&mut *tx)
    .await
    .map_err(fault)?;
    tx.commit().await.map_err(fault)
}

/// Has readers see generation `number` with its indexes, and drops the one they saw before. All at once: a reader is
/// on one side or on the other. Once more changes nothing.
pub(super) async fn switch(
    writer: &mut SqliteConnection,
    projection: &Projection,
    number: i64,
) -> Result<(), StoreError> {
    let mut tx = writer.begin().await.map_err(fault)?;
    for table in projection.tables {
        run(&mut tx, &tables::index(table, number)).await?;
        run(&mut tx, &tables::show(table, number)).await?;
    }
    let old = generations(&mut tx).await?;
    for old in old.iter().filter(|old| old.live && old.number != number) {
        forget(&mut tx, projection, old.number).await?;
    }
    sqlx::query("update generations set state = 'live' where number = $1")
        .bind(number)
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
    tx.commit().await.map_err(fault)
}

/// Drops a generation.
pub(super) async fn discard(
    writer: &mut SqliteConnection,
    projection: &Projection,
    number: i64,
) -> Result<(), StoreError> {
    let mut tx = writer.begin().await.map_err(fault)?;
    forget(&mut tx, projection, number).await?;
    tx.commit().await.map_err(fault)
}

async fn forget(
    tx: &mut SqliteConnection,
    projection: &Projection,
    number: i64,
) -> Result<(), StoreError> {
    for table in projection.tables {
        let name = tables::name(table, number);
        run(tx, &format!("drop table if exists {name}")).await?;
    }
    for sql in [
        "delete from generations where number = $1",
        "delete from parked where generation = $1",
        "delete from parked_keys where generation = $1",
    ] {
        let query = sqlx::query(sql).bind(number);
        query.execute(&mut *tx).await.map_err(fault)?;
    }
    Ok(())
}

/// Has every parked key tried again at once: this may be a program that can take it.
pub(super) async fn retry_all(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    run(writer, "update parked_keys set due_at = 0, tries = 0").await
}

/// Every generation.
pub(super) async fn generations(
    connection: &mut SqliteConnection,
) -> Result<Vec<Generation>, StoreError> {
    let rows = sqlx::query(
        "select number, state = 'live' as live, version, journal, epoch, position from generations",
    )
    .fetch_all(connection)
    .await
    .map_err(fault)?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let epoch = row.try_get("epoch")?;
        let uuid = Uuid::from_str(row.try_get("journal")?);
        Ok(Generation {
            number: row.try_get("number")?,
            live: row.try_get("live")?,
            version: row.try_get("version")?,
            journal: uuid.ok().map(|uuid| Identity { uuid, epoch }),
            position: row.try_get("position")?,
        })
    };
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(fault)
}

/// Whether the tables of a generation look as this program would make them.
pub(super) async fn is_of_this_shape(
    connection: &mut SqliteConnection,
    projection: &Projection,
    number: i64,
) -> Result<bool, StoreError> {
    for table in projection.tables {
        let sql: Option<String> =
            sqlx::query_scalar("select sql from sqlite_schema where type = 'table' and name = $1")
                .bind(tables::name(table, number))
                .fetch_optional(&mut *connection)
                .await
                .map_err(fault)?;
        let wanted = tables::create(table, number);
        if !sql.is_some_and(|sql| sql.eq_ignore_ascii_case(&wanted)) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), StoreError> {
    connection.execute(sql).await.map_err(fault)?;
    Ok(())
}
