//! Connecting to the database, and bringing it to the shape that `migrations/` describes.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

use crate::connections::{Manner, within};
use crate::follow::LEASE_MS;
use crate::{Connections, StoreError};

/// The files of `migrations/`, embedded.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// The role that [`connect`] works as: it may add to the journal and never change it.
pub const RUNTIME_ROLE: &str = "spacerent_runtime";

/// How long a writer waits for a lock. `ON CONFLICT` waits for a foreign open transaction on its key, and the
/// whole group of commands with it.
const LOCK_TIMEOUT_MS: u64 = 2_000;
/// How long a statement may take.
const STATEMENT_TIMEOUT_MS: u64 = 10_000;
/// How long a transaction may idle. Below the lease of a follower: a process that was stopped inside its
/// transaction must not hold the checkpoint row when the next owner comes.
const IDLE_IN_TRANSACTION_MS: u64 = LEASE_MS - 1_000;
/// How long unacknowledged data may stand on a connection.
const TCP_USER_TIMEOUT_MS: u64 = 5_000;
/// `invalid_parameter_value`: what the server says to a session that asks for a role that it does not have.
const NO_SUCH_ROLE: &str = "22023";
/// How long a look at the schema may take, a new connection included.
const CHECK_MAX: Duration = Duration::from_secs(15);

/// What stands between this program and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing: a connection is a session.
    #[default]
    None,
    /// Something that lends a session for a transaction at a time, as PgBouncer does with `pool_mode = transaction`.
    Transaction,
}

/// At most `connections_max` connections that work as [`RUNTIME_ROLE`], with every time-out set.
/// Connects lazily: that the database is away is found by the first query.
///
/// # Errors
/// [`StoreError`] when `url` is not a libpq URI.
pub fn connect(url: &str, connections_max: u32) -> Result<Connections, StoreError> {
    connect_through(Pooler::None, url, connections_max)
}

/// The same through a pooler.
///
/// # Errors
/// [`StoreError`] when `url` is not a libpq URI.
pub fn connect_through(
    pooler: Pooler,
    url: &str,
    connections_max: u32,
) -> Result<Connections, StoreError> {
    pool(pooler, url, connections_max, ("role", RUNTIME_ROLE))
}

/// Connections whose sessions can only read, as whoever `url` names: for readers that must not be able to
/// change anything, whatever their login may do.
///
/// # Errors
/// [`StoreError`] when `url` is not a libpq URI.
pub fn connect_to_read(url: &str, connections_max: u32) -> Result<Connections, StoreError> {
    connect_to_read_through(Pooler::None, url, connections_max)
}

/// The same through a pooler.
///
/// # Errors
/// [`StoreError`] when `url` is not a libpq URI.
pub fn connect_to_read_through(
    pooler: Pooler,
    url: &str,
    connections_max: u32,
) -> Result<Connections, StoreError> {
    let read_only = match pooler {
        Pooler::None => "default_transaction_read_only",
        Pooler::Transaction => "transaction_read_only",
    };
    pool(pooler, url, connections_max, (read_only, "on"))
}

fn pool(
    pooler: Pooler,
    url: &str,
    connections_max: u32,
    (name, value): (&'static str, &str),
) -> Result<Connections, StoreError> {
    let options = named(url.parse()?, "spacerent");
    let settings = [
        (name, value.to_owned()),
        ("timezone", "UTC".to_owned()),
        ("lock_timeout", LOCK_TIMEOUT_MS.to_string()),
        ("statement_timeout", STATEMENT_TIMEOUT_MS.to_string()),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_MS.to_string(),
        ),
    ];
    Ok(match pooler {
        Pooler::None => {
            let options = options
                .options(settings)
                .options([("tcp_user_timeout", TCP_USER_TIMEOUT_MS.to_string())])
                .options([ARRIVED]);
            Connections::lazily(options, connections_max, Manner::Sessions)
        }
        Pooler::Transaction => {
            let manner = Manner::of_transactions(&settings);
            Connections::lazily(options, connections_max, manner)
        }
    })
}

/// Named as the URI or `PGAPPNAME` has it, or else so: an operator tells processes apart by it.
fn named(options: PgConnectOptions, default: &str) -> PgConnectOptions {
    if options.get_application_name().is_some() {
        return options;
    }
    options.application_name(default)
}

/// A single connection as whoever `url` names, without time-outs: for migrations and rebuilds.
///
/// # Errors
/// [`StoreError`] when it cannot be made, or does not keep a session.
pub async fn connect_as_owner(url: &str) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = url.parse()?;
    let options = named(options, "spacerent-owner").options([("timezone", "UTC"), ARRIVED]);
    let connection = options.connect().await.map_err(StoreError::from);
    let mut connection = match connection {
        Err(error) if is_refused_by_a_pooler(&error) => return Err(StoreError::Pooled),
        connection => connection?,
    };
    if !arrived(&mut connection).await? {
        return Err(StoreError::Pooled);
    }
    Ok(connection)
}

/// What only one session may be at, for as long as the session lives; false when another one is at it.
///
/// The session of a process that has ended, or was killed, lives until the server notices: so the lock is waited for, for
/// a moment.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn hold_alone(connection: &mut PgConnection, what: &str) -> Result<bool, StoreError> {
    let mut waiting = connection.begin().await?;
    sqlx::raw_sql(GONE_WITHIN).execute(&mut *waiting).await?;
    let held = sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
        .bind(what)
        .execute(&mut *waiting)
        .await;
    // The lock is the session's, whatever becomes of the transaction.
    waiting.rollback().await?;
    match held.map_err(StoreError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.sqlstate() == Some(LOCK_NOT_AVAILABLE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How long a session that has ended may keep its lock.
const GONE_WITHIN: &str = "set local lock_timeout = '2s'";

/// A lock was waited for in vain.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A setting that only a server's session has that got our start-up message: PgBouncer refuses or drops it.
const ARRIVED: (&str, &str) = ("spacerent.session", "ours");

/// Asked without parameters, because a statement that must be prepared does not get through every pooler.
async fn arrived(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let (name, ours) = ARRIVED;
    let asked = format!("select current_setting('{name}', true) as said");
    let row = sqlx::raw_sql(&asked).fetch_one(connection).await?;
    let said: Option<&str> = row.try_get("said")?;
    Ok(said == Some(ours))
}

fn is_refused_by_a_pooler(error: &StoreError) -> bool {
    let words = "unsupported startup parameter";
    matches!(error, StoreError::Unreachable(message) if message.contains(words))
}

/// Why a database could not be brought to today's shape.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database is newer than this program, or was changed by hand.
    #[error("this database was migrated by another version of spacerent: {0}")]
    Foreign(String),
    /// The database holds something else.
    #[error(
        "this database holds tables that are not spacerent's (there is a table `events` and no record of \
         migrations); point DATABASE_URL at an empty one"
    )]
    NotOurs,
    /// The role and the time-outs that a connection asks for are not given to its session.
    #[error(
        "what a connection asks for when it is made does not reach the database: a pooler such as PgBouncer stands \
         between; set DATABASE_POOLER=transaction"
    )]
    Pooled,
    /// The next event would stand where one stands already, or before it, where no follower looks any more.
    #[error(
        "the sequence of positions was set back: the next event would stand at {next}, and there is one at {last} \
         already; set it forward as the owner of the database: select setval('events_position_seq', {last})"
    )]
    SetBack {
        /// The position that would be drawn next.
        next: i64,
        /// The last one that is taken.
        last: i64,
    },
    /// Migrations are missing.
    #[error("this database is not migrated; run `spacerent migrate`")]
    Behind,
    /// A migration failed; nothing of it stays.
    #[error("a migration failed: {0}")]
    Failed(String),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MigrateError> for SchemaError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_)
            | MigrateError::VersionMismatch(_)
            | MigrateError::VersionTooNew(..)
            | MigrateError::Dirty(_) => Self::Foreign(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Brings the database to the shape of this program. Safe to run twice and from several processes at once.
///
/// # Errors
/// [`SchemaError`] when the database is newer, foreign, or does not answer.
pub async fn migrate(url: &str) -> Result<(), SchemaError> {
    let mut connection = connect_as_owner(url).await?;
    let foreign: bool = sqlx::query_scalar(
        "select to_regclass('public.events') is not null and to_regclass('public._sqlx_migrations') is null",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(StoreError::from)?;
    if foreign {
        return Err(SchemaError::NotOurs);
    }
    MIGRATOR.run_direct(&mut connection).await?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(())
}

/// Checks that every migration is done, and none that this program does not know; and that the next event will
/// stand behind the last one, where the login may see that.
///
/// # Errors
/// [`SchemaError`] says which.
pub async fn check(pool: &Connections) -> Result<(), SchemaError> {
    // Not through the pool: it tries again until its time-out and then cannot say what was wrong.
    within(CHECK_MAX, check_alone(pool)).await
}

async fn check_alone(pool: &Connections) -> Result<(), SchemaError> {
    let mut connection = match pool.options().connect().await.map_err(StoreError::from) {
        Err(error) if error.sqlstate() == Some(NO_SUCH_ROLE) => return Err(SchemaError::Behind),
        Err(error) if is_refused_by_a_pooler(&error) => return Err(SchemaError::Pooled),
        connection => connection?,
    };
    if pool.keeps_sessions() && !arrived(&mut connection).await? {
        return Err(SchemaError::Pooled);
    }
    let begun = match pool.begin() {
        Some(begin) => connection.begin_with(begin).await,
        None => connection.begin().await,
    };
    match begun.map_err(StoreError::from) {
        // The role to work as is made by a migration: on a server that saw none there is no such role.
        Err(error) if error.sqlstate() == Some(NO_SUCH_ROLE) => Err(SchemaError::Behind),
        begun => {
            let mut session = begun?;
            check_migrations(&mut session).await?;
            check_positions(&mut session).await
        }
    }
}

/// Half an import has its events before it has its sequence; that it is half is said by whoever must not work on it.
/// The sequence is read after the statement's snapshot was taken, so an append meanwhile cannot be taken for harm.
async fn check_positions(connection: &mut PgConnection) -> Result<(), SchemaError> {
    let may_look: bool =
        sqlx::query_scalar("select has_sequence_privilege('events_position_seq', 'select')")
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::from)?;
    if !may_look {
        return Ok(());
    }
    let stand: Option<(i64, i64)> = sqlx::query_as(
        "select case when is_called then last_value + 1 else last_value end,
                coalesce((select max(position) from events), 0)
         from events_position_seq
         where not exists (select from imports where finished_at is null)",
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    match stand {
        Some((next, last)) if next <= last => Err(SchemaError::SetBack { next, last }),
        _ => Ok(()),
    }
}

async fn check_migrations(connection: &mut PgConnection) -> Result<(), SchemaError> {
    let recorded: bool =
        sqlx::query_scalar("select to_regclass('public._sqlx_migrations') is not null")
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::from)?;
    if !recorded {
        return Err(SchemaError::Behind);
    }
    let applied = match connection.list_applied_migrations().await {
        Err(MigrateError::Execute(error)) => return Err(StoreError::from(error).into()),
        applied => applied?,
    };
    for migration in &applied {
        if !MIGRATOR.version_exists(migration.version) {
            return Err(SchemaError::Foreign(format!(
                "it has migration {}",
                migration.version
            )));
        }
    }
    if applied.len() < MIGRATOR.iter().count() {
        return Err(SchemaError::Behind);
    }
    Ok(())
}
