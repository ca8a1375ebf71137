//! Which test processes are alive: each holds a lock on a file named after it.
//!
//! A database is named after the run that made it. When its process was killed the lock is free, and the next
//! run drops what it left. A process id would do until the system hands it out again; a lock cannot be mistaken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::PgConnection;

use crate::Error;
use crate::lock::Exclusive;
use crate::server::quoted;

/// How a test's database begins; the run's id and a number follow.
const PREFIX: &str = "test_";
/// How a run's file ends; its id is the rest.
const ALIVE: &str = ".alive";
/// How long to wait for others who register or clear away.
const REGISTER_WITHIN: Duration = Duration::from_secs(120);

/// This process among the test processes that share a server.
#[derive(Debug)]
pub(crate) struct Run {
    id: String,
    _alive: Exclusive,
}

impl Run {
    /// Registers this process, and drops the databases of processes that are gone.
    pub(crate) async fn register(
        root: &Path,
        connection: &mut PgConnection,
    ) -> Result<Self, Error> {
        let runs = root.join("runs");
        std::fs::create_dir_all(&runs).map_err(Error::file("create", &runs))?;
        // Between making the file and locking it nobody may take it for a dead run's.
        let _registering = Exclusive::take(&runs.join("register.lock"), REGISTER_WITHIN).await?;
        drop_dead(&runs, connection).await?;
        // A name no file here has yet.
        let file = tempfile::Builder::new()
            .prefix("")
            .suffix(ALIVE)
            .rand_bytes(16)
            .tempfile_in(&runs);
        let file = file
            .map_err(Error::file("make a file in", &runs))?
            .into_temp_path();
        let path = file
            .keep()
            .map_err(|error| Error::file("keep a file in", &runs)(error.error))?;
        let id = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(ALIVE));
        let id = id.unwrap_or_default().to_owned();
        Ok(Self {
            id,
            _alive: Exclusive::take(&path, Duration::ZERO).await?,
        })
    }

    /// The name of this run's database number `number`.
    pub(crate) fn database(&self, number: u64) -> String {
        format!("{PREFIX}{}_{number}", self.id)
    }
}

fn file(runs: &Path, id: &str) -> PathBuf {
    runs.join(format!("{id}{ALIVE}"))
}

/// Drops every database whose run is dead, and then its file.
async fn drop_dead(runs: &Path, connection: &mut PgConnection) -> Result<(), Error> {
    let of_runs =
        "select datname::text from pg_database where starts_with(datname, $1) order by datname";
    let names: Vec<String> = sqlx::query_scalar(of_runs)
        .bind(PREFIX)
        .fetch_all(&mut *connection)
        .await?;
    for name in names {
        let Some((id, _)) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
        else {
            continue;
        };
        if is_dead(&file(runs, id))? {
            tracing::debug!(database = name, "dropping what a killed test run left");
            sqlx::query(&format!(
                "drop database if exists {} with (force)",
                quoted(&name)
            ))
            .execute(&mut *connection)
            .await?;
        }
    }
    for entry in std::fs::read_dir(runs)
        .map_err(Error::file("list", runs))?
        .flatten()
    {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "alive")
            && is_dead(&path)?
        {
            std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether nobody holds this run's lock.
fn is_dead(alive: &Path) -> Result<bool, Error> {
    Ok(!alive.exists() || Exclusive::try_take(alive)?.is_some())
}
