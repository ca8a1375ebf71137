//! Which test processes are alive: each holds a lock on a file named after it.
//!
//! A database is named after the run that made it. When its process was killed the lock is free, and the next
//! run drops what it left. A process id would do until the system hands it out again; a lock cannot be mistaken.

use std::path::Path;
use std::time::Duration;

use sqlx::PgConnection;

use super::discard::discard;
use crate::Error;
use crate::lock::Exclusive;
use crate::server::Server;

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
    /// Registers this process at the shared `server`, and drops the databases of processes that are gone.
    pub(crate) async fn register(
        server: &Server,
        connection: &mut PgConnection,
    ) -> Result<Self, Error> {
        let runs = server.root().join("runs");
        std::fs::create_dir_all(&runs).map_err(Error::file("create", &runs))?;
        // Between making a file and locking it nobody may take it for a dead run's.
        let _registering = Exclusive::take(&runs.join("register.lock"), REGISTER_WITHIN).await?;
        drop_databases_of_the_dead(&runs, server, connection).await?;
        drop_files_of_the_dead(&runs)?;
        // A name no file here has yet.
        let file = tempfile::Builder::new()
            .prefix("")
            .suffix(ALIVE)
            .rand_bytes(16)
            .tempfile_in(&runs);
        let file = file.map_err(Error::file("make a file in", &runs))?;
        let kept = file.into_temp_path().keep();
        let path = kept.map_err(|error| Error::file("keep a file in", &runs)(error.error))?;
        let alive = Exclusive::take(&path, Duration::ZERO).await?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = name.strip_suffix(ALIVE).unwrap_or_default().to_owned();
        Ok(Self { id, _alive: alive })
    }

    /// The name of this run's database number `number`.
    pub(crate) fn database(&self, number: u64) -> String {
        format!("{PREFIX}{}_{number}", self.id)
    }
}

async fn drop_databases_of_the_dead(
    runs: &Path,
    server: &Server,
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let of_tests = "select datname::text from pg_database where starts_with(datname, $1)";
    let of_tests = sqlx::query_scalar(of_tests).bind(PREFIX);
    let names: Vec<String> = of_tests.fetch_all(&mut *connection).await?;
    for name in names {
        let id = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'));
        if let Some((id, _)) = id
            && is_dead(&runs.join(format!("{id}{ALIVE}")))?
        {
            tracing::debug!(database = name, "dropping what a killed test run left");
            discard(&name, &server.url(&name), connection).await?;
        }
    }
    Ok(())
}

fn drop_files_of_the_dead(runs: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(runs)
        .map_err(Error::file("list", runs))?
        .flatten()
    {
        let of_run = entry
            .file_name()
            .as_encoded_bytes()
            .ends_with(ALIVE.as_bytes());
        let path = entry.path();
        if of_run && is_dead(&path)? {
            std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether nobody holds this run's lock.
fn is_dead(alive: &Path) -> Result<bool, Error> {
    Ok(!alive.exists() || Exclusive::try_take(alive)?.is_some())
}
