//! Dropping a database, whatever its test left open in it.

use sqlx::{Connection, PgConnection};

use crate::server::quoted;
use crate::{Error, probe};

/// Drops the database `name` behind `url` over a `connection` to another one. Its sessions are cut off; a
/// transaction that was prepared for two-phase commit outlives them and has to be rolled back first, which
/// only a session of the same database can do.
pub(crate) async fn discard(
    name: &str,
    url: &str,
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let prepared = "select gid from pg_prepared_xacts where database = $1";
    let prepared = sqlx::query_scalar(prepared).bind(name);
    let prepared: Vec<String> = prepared.fetch_all(&mut *connection).await?;
    if !prepared.is_empty() {
        let mut inside = probe::connect(url).await?;
        for gid in prepared {
            let rollback = format!("rollback prepared '{}'", gid.replace('\'', "''"));
            sqlx::query(&rollback).execute(&mut inside).await?;
        }
        inside.close().await?;
    }
    let drop = format!("drop database if exists {} with (force)", quoted(name));
    sqlx::query(&drop).execute(connection).await?;
    Ok(())
}
