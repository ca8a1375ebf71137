//! The session that imports: alone, and with a bound on its waits.

use sqlx::PgConnection;

use super::TransferError;
use crate::StoreError;

/// How long the import waits for those who write to the journal.
const LOCK_TIMEOUT: &str = "set lock_timeout = '5s'";
/// Keeps two imports apart.
const ADVISORY_LOCK: i64 = 0x1a07_0016;
/// `lock_not_available`.
const LOCKED: &str = "55P03";

/// Sets the session up, and keeps other imports away for as long as it lives.
pub(super) async fn prepare(owner: &mut PgConnection) -> Result<(), TransferError> {
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *owner).await?;
    sqlx::raw_sql("set spacerent.import = 'on'")
        .execute(&mut *owner)
        .await?;
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(ADVISORY_LOCK)
        .fetch_one(&mut *owner)
        .await?;
    if alone {
        Ok(())
    } else {
        Err(TransferError::ImportAtWork)
    }
}

/// Takes back an import that has stored nothing.
pub(super) async fn forget(connection: &mut PgConnection, id: i64) -> Result<(), TransferError> {
    sqlx::query("delete from imports where id = $1 and events = 0")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Waits for everybody who is adding events, and keeps others away until the transaction ends.
pub(super) async fn lock_events(connection: &mut PgConnection) -> Result<(), TransferError> {
    let locked = sqlx::raw_sql("lock table events in share row exclusive mode")
        .execute(connection)
        .await;
    match locked.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(error) if error.sqlstate() == Some(LOCKED) => Err(TransferError::InUse),
        Err(error) => Err(error.into()),
    }
}
