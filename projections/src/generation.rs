//! Generations: the schemas that hold a projection's tables, which of them readers see, and the switch.
//!
//! A generation is built beside the live one and becomes live in one transaction that replaces the views and
//! the row that says so. Numbers are never used twice: a process that slept through everything must not find
//! its old generation's name on somebody else's tables.

mod prepare;

use std::collections::BTreeMap;

use journal::StoreError;
use journal::schema::RUNTIME_ROLE;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::projection::{Projection, Table};

pub use prepare::{PrepareError, outdated, prepare};

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

/// Makes the checkpoint of a generation's follower, or of the follower of one slice of its keys, counted from 1; 0 takes
/// them all.
pub(crate) async fn begin_following(
    tx: &mut PgConnection,
    projection: &Projection,
    number: i32,
    slice: i32,
) -> Result<(), StoreError> {
    sqlx::query("insert into followers (name, generation, slice) values ($1, $2, $3)")
        .bind(projection.name)
        .bind(number)
        .bind(slice)
        .execute(tx)
        .await?;
    Ok(())
}

/// Makes an empty generation with the next number: schema, tables without indexes, rights. Its followers are
/// named by [`begin_following`].
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
        // Nobody reads for the one that was live any more: it waits at no hole.
        "delete from open_holes using projections p
         where p.name = $1 and p.generation <> $2 and follower = p.name || '/' || p.generation",
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

/// How many bookings are parked in a generation.
pub(crate) async fn parked(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(
        "select count(distinct key) from parked where name = $1 and generation = $2",
    )
    .bind(projection.name)
    .bind(number)
    .fetch_one(connection)
    .await?)
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
        "delete from parked_tries where name = $1 and generation = $2",
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
