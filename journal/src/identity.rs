//! Which journal this is.

use std::fmt;

use serde::{Serialize, Serializer};
use sqlx::Row;
use uuid::Uuid;

use crate::{Journal, StoreError};

/// Says of which journal a position is. Whoever keeps a position outside this database keeps this with it: in
/// another journal, or in one that lost events in a restore, the number means something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn when the journal was made.
    pub uuid: Uuid,
    /// Raised after a restore or a promotion that lost data.
    pub epoch: i64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.uuid, self.epoch)
    }
}

/// As it is written.
impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Journal {
    /// Which journal this is.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn identity(&self) -> Result<Identity, StoreError> {
        let row = sqlx::query("select identity, epoch from journal")
            .fetch_one(self.pool())
            .await?;
        Ok(Identity {
            uuid: row.try_get("identity")?,
            epoch: row.try_get("epoch")?,
        })
    }
}
