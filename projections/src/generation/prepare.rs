//! What a migration does for read models: the first generation, and indexes that a newer program wants.

use journal::schema::connect_as_owner;
use journal::{Journal, StoreError};
use sqlx::{Connection, PgConnection};

use super::{Generation, State, begin_following, create, in_state, index, live, show};
use crate::PROJECTIONS;
use crate::projection::Projection;

/// Held while generation 1 is made, so that two processes may prepare at once.
const PREPARE_LOCK: i64 = 0x0070_726f_6a65_6374;

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
                begin_following(&mut tx, projection, number, 0).await?;
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
