//! The session that imports: alone, and with a bound on its waits.

use sqlx::PgConnection;

use super::TransferError;
use crate::StoreError;
use crate::schema::{LOCK_NOT_AVAILABLE, hold_alone};

/// How long the import waits for those who write to the journal.
const LOCK_TIMEOUT: &str = "set lock_timeout = '5s'";
/// Keeps two imports apart.
const IMPORT: &str = "import";

/// Sets the session up, and keeps other imports away for as long as it lives.
pub(super) async fn prepare(owner: &mut PgConnection) -> Result<(), TransferError> {
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *owner).await?;
    sqlx::raw_sql("set spacerent.import = 'on'")
        .execute(&mut *owner)
        .await?;
    if hold_alone(owner, IMPORT).await? {
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
        Err(error) if error.sqlstate() == Some(LOCK_NOT_AVAILABLE) => Err(TransferError::InUse),
        Err(error) => Err(error.into()),
    }
}
