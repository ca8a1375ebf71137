//! Generations: the schemas that hold a projection's tables, which of them readers see, and the switch.
//!
//! A generation is built beside the live one and becomes live in one transaction that replaces the views and
//! the row that says so. Numbers are never used twice: a process that slept through everything must not find
//! its old generation's name on somebody else's tables.

use std::collections::BTreeMap;

use journal::schema::{RUNTIME_ROLE, connect_as_owner};
use journal::{Journal, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::PROJECTIONS;
use crate::projection::{Projection, Table};

/// Held while generation 1 is made, so that two processes may prepare at once.
const PREPARE_LOCK: i64 = 0x0070_726f_6a65_6374;

/// A generation of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Its number, from 1.
    pub(crate) number: i32,
    /// The version of the fold that fills it.
    pub(crate) version: i32,
    /// The position that it is to stop at, of one that shows how things were.
    pub(crate) as_of: Option<i64>,
}

/// What a generation is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Being filled; nobody sees it.
    Building,
    /// The one that readers see.
    Live,
    /// The last one that was live.
    Kept,
    /// Finished, and as of one position for ever.
    At,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
            Self::Kept => "kept",
            Self::At => "at",
        }
    }
}

impl Generation {
    fn read(row: &PgRow) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.try_get("generation")?,
            version: row.try_get("version")?,
            as_of: row.try_get("as_of")?,
        })
    }
}

/// Why read models could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Another version of this program was here.
    #[error(
        "the read model {name} was filled by version {found} of its fold; this program knows {known}"
    )]
    Newer {
        /// Which projection.
        name: &'static str,
        /// The version in the database.
        found: i32,
        /// The version in this program.
        known: i32,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for PrepareError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes the first generation of every projection that has none, live from the start: its follower fills it.
/// Tables that are there get the indexes that a newer program wants on them; nothing is rebuilt for that.
/// Needs the migrated database of `owner_url`, as the owner of its tables. Safe to run twice and from several
/// processes at once.
///
/// # Errors
/// [`PrepareError`] when a read model is of a newer program, or the database does not answer.
pub async fn prepare(owner_url: &str) -> Result<(), PrepareError> {
    let mut connection = connect_as_owner(owner_url).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(PREPARE_LOCK)
        .execute(&mut *tx)
        .await?;
    let live = live(&mut *tx).await?;
    for projection in PROJECTIONS {
        let (name, known) = (projection.name, projection.version);
        match live.get(name) {
            Some(Generation { version: found, .. }) if *found > known => {
                let found = *found;
                return Err(PrepareError::Newer { name, found, known });
            }
            Some(_) => complete_indexes(&mut tx, projection).await?,
            None => {
                let number = create(&mut tx, projection, State::Live, None).await?;
                index(&mut tx, projection, number).await?;
                show(&mut tx, projection, number).await?;
            }
        }
    }
    tx.commit().await?;
    connection.close().await?;
    Ok(())
}

/// The read models whose live generation was filled by an earlier version of their fold: it stands still until it is
/// rebuilt.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn outdated(journal: &Journal) -> Result<Vec<&'static str>, StoreError> {
    let live = live(journal.pool()).await?;
    let behind = PROJECTIONS.iter().filter(|projection| {
        let live = live.get(projection.name);
        live.is_some_and(|live| live.version < projection.version)
    });
    Ok(behind.map(|projection| projection.name).collect())
}

/// Makes the indexes that today's tables have and those of an earlier program lack, in the generations that are
/// followed or can be gone back to, when this program can read them. One that is being built gets its own in the
/// end. Writers of a table wait while one is made, readers do not.
async fn complete_indexes(
    tx: &mut PgConnection,
    projection: &'static Projection,
) -> Result<(), StoreError> {
    for state in [State::Live, State::Kept] {
        for Generation {
            number, version, ..
        } in in_state(tx, projection, state).await?
        {
            if version != projection.version {
                continue;
            }
            let schema = projection.schema(number);
            for index in projection.tables.iter().flat_map(|t| t.indexes_in(&schema)) {
                // Asked first, because even a vain `create index` waits for the table's writers.
                let there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
                    .bind(&index.name)
                    .fetch_one(&mut *tx)
                    .await?;
                if !there {
                    tracing::info!(index = index.name, "making an index");
                    sqlx::raw_sql(&index.sql).execute(&mut *tx).await?;
                }
            }
        }
    }
    Ok(())
}

/// The live generation of every projection.
pub(crate) async fn live<'c>(
    executor: impl Executor<'c, Database = sqlx::Postgres>,
) -> Result<BTreeMap<String, Generation>, StoreError> {
    let rows = sqlx::query(
        "select name, generation, version, as_of from projections where state = 'live'",
    )
    .fetch_all(executor)
    .await?;
    let mut live = BTreeMap::new();
    for row in rows {
        live.insert(row.try_get("name")?, Generation::read(&row)?);
    }
    Ok(live)
}

/// The generations of a projection that are in this state, newest first.
pub(crate) async fn in_state(
    connection: &mut PgConnection,
    projection: &Projection,
    state: State,
) -> Result<Vec<Generation>, StoreError> {
    let rows = sqlx::query(
        "select generation, version, as_of from projections where name = $1 and state = $2 order by 1 desc",
    )
    .bind(projection.name)
    .bind(state.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(Generation::read).collect()
}

/// Makes an empty generation with the next number: schema, tables without indexes, rights, and a follower at the
/// beginning.
pub(crate) async fn create(
    tx: &mut PgConnection,
    projection: &'static Projection,
    state: State,
    as_of: Option<i64>,
) -> Result<i32, StoreError> {
    let number: i32 = sqlx::query_scalar(
        "insert into projections (name, generation, version, state, as_of)
         select $1, coalesce(max(generation), 0) + 1, $2, $3, $4 from projections where name = $1
         returning generation",
    )
    .bind(projection.name)
    .bind(projection.version)
    .bind(state.as_str())
    .bind(as_of)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query("insert into followers (name, generation) values ($1, $2)")
        .bind(projection.name)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    let schema = projection.schema(number);
    let sql = format!(
        "{}
         grant usage on schema {schema} to {RUNTIME_ROLE};
         grant select, insert, update, delete on all tables in schema {schema} to {RUNTIME_ROLE};",
        projection.create(&schema)
    );
    sqlx::raw_sql(&sql).execute(tx).await?;
    Ok(number)
}

/// Makes the indexes of a generation, those that are not there yet, and tells the planner what is in its tables.
pub(crate) async fn index(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<(), StoreError> {
    let schema = projection.schema(number);
    let mut sql = projection.index(&schema);
    for table in projection.tables {
        sql.push_str(&format!("analyze {schema}.{};\n", table.name));
    }
    sqlx::raw_sql(&sql).execute(connection).await?;
    Ok(())
}

/// Lets readers see this generation: every view of the projection selects from it.
pub(crate) async fn show(
    tx: &mut PgConnection,
    projection: &'static Projection,
    number: i32,
) -> Result<(), StoreError> {
    let (name, schema) = (projection.name, projection.schema(number));
    sqlx::raw_sql(&format!(
        "create schema if not exists {name}; grant usage on schema {name} to {RUNTIME_ROLE};"
    ))
    .execute(&mut *tx)
    .await?;
    for table in projection.tables {
        let view = format!("{name}.{}", table.name);
        // A view whose columns stay is replaced in place; Postgres cannot take columns away from one.
        let old = if has_other_columns(tx, &view, table).await? {
            format!("drop view {view};")
        } else {
            String::new()
        };
        let select = table.view(&schema);
        sqlx::raw_sql(&format!(
            "{old} create or replace view {view} as {select}; grant select on {view} to {RUNTIME_ROLE};"
        ))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Whether there is such a view with columns that are not the table's.
async fn has_other_columns(
    tx: &mut PgConnection,
    view: &str,
    table: &Table,
) -> Result<bool, StoreError> {
    let found: Option<Vec<String>> = sqlx::query_scalar(
        "select array_agg(attname || ' ' || format_type(atttypid, null) order by attnum)
         from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
    )
    .bind(view)
    .fetch_one(tx)
    .await?;
    let wanted = table.columns.iter().map(|column| {
        let sql_type = match column.kind.sql() {
            "timestamptz" => "timestamp with time zone",
            other => other,
        };
        format!("{} {sql_type}", column.name)
    });
    Ok(found.is_some_and(|found| !found.into_iter().eq(wanted)))
}

/// Makes `number` the live generation and keeps the one that was. Part of the switch's transaction.
pub(crate) async fn switch(
    tx: &mut PgConnection,
    projection: &'static Projection,
    number: i32,
) -> Result<(), StoreError> {
    show(tx, projection, number).await?;
    // Two statements: only one generation may be live at any moment, also in between.
    for sql in [
        "update projections set state = 'kept' where name = $1 and generation <> $2 and state = 'live'",
        "update projections set state = 'live' where name = $1 and generation = $2",
        "delete from rebuilt_rows where name = $1 and generation = $2",
    ] {
        sqlx::query(sql)
            .bind(projection.name)
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Ends the building of a generation that shows how things were: it gets its own name, and nobody fills it any
/// more. One of the same position gives way to it. Returns the schema's name.
pub(crate) async fn finish_as_of(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
    as_of: i64,
) -> Result<String, StoreError> {
    let schema = projection.schema_at(as_of);
    let old = as_of_position(connection, projection, as_of).await?;
    let mut tx = connection.begin().await?;
    if let Some(old) = old {
        forget(&mut tx, projection, old.number, &schema).await?;
    }
    sqlx::raw_sql(&format!(
        "alter schema {} rename to {schema}",
        projection.schema(number)
    ))
    .execute(&mut *tx)
    .await?;
    sqlx::query("update projections set state = 'at' where name = $1 and generation = $2")
        .bind(projection.name)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    forget_filling(&mut tx, projection, number).await?;
    tx.commit().await?;
    Ok(schema)
}

/// The finished generation that shows how things were at this position.
pub(crate) async fn as_of_position(
    connection: &mut PgConnection,
    projection: &Projection,
    as_of: i64,
) -> Result<Option<Generation>, StoreError> {
    let all = in_state(connection, projection, State::At).await?;
    Ok(all.into_iter().find(|one| one.as_of == Some(as_of)))
}

/// Drops a finished generation that shows how things were at this position.
pub(crate) async fn discard_as_of(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
    as_of: i64,
) -> Result<(), StoreError> {
    let mut tx = connection.begin().await?;
    forget(&mut tx, projection, number, &projection.schema_at(as_of)).await?;
    tx.commit().await?;
    Ok(())
}

/// Drops a generation that nobody sees. Its number stays taken.
pub(crate) async fn discard(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<(), StoreError> {
    let mut tx = connection.begin().await?;
    forget(&mut tx, projection, number, &projection.schema(number)).await?;
    tx.commit().await?;
    Ok(())
}

async fn forget(
    tx: &mut PgConnection,
    projection: &Projection,
    number: i32,
    schema: &str,
) -> Result<(), StoreError> {
    let gone = sqlx::query(
        "update projections set state = 'gone' where name = $1 and generation = $2 and state <> 'live'",
    )
    .bind(projection.name)
    .bind(number)
    .execute(&mut *tx)
    .await?;
    if gone.rows_affected() == 0 {
        // It went live after all: a commit whose answer got lost.
        return Ok(());
    }
    // Whoever still fills or reads it is not waited for: it can be tried again.
    sqlx::raw_sql(&format!(
        "set local lock_timeout = '2s'; drop schema if exists {schema} cascade;"
    ))
    .execute(&mut *tx)
    .await?;
    forget_filling(tx, projection, number).await
}

/// Removes what was known about the filling of a generation.
async fn forget_filling(
    tx: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<(), StoreError> {
    for sql in [
        "delete from followers where name = $1 and generation = $2",
        "delete from parked where name = $1 and generation = $2",
        "delete from parked_retries where name = $1 and generation = $2",
        "delete from open_holes where follower = $1 || '/' || $2",
        "delete from rebuilt_rows where name = $1 and generation = $2",
    ] {
        sqlx::query(sql)
            .bind(projection.name)
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
