//! The one server that all test processes of a user share, per major version.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::OnceCell;

use super::run::Run;
use super::watchdog::Watchdog;
use crate::folder::Folder;
use crate::profile::Profile;
use crate::programs::Programs;
use crate::server::{Options, Server};
use crate::{Error, default_folder, probe};

/// How long the server waits for the next test process after the last one: `cargo test` runs them in a row.
const LINGER: Duration = Duration::from_secs(2);
/// How long a test may wait for its connection; many tests start at the same time.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Holds no connection: each test has its own runtime, and a connection dies with the runtime it was made in.
static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// This process's hold on the shared server; never dropped, as statics are not.
#[derive(Debug)]
pub(crate) struct Shared {
    server: Server,
    run: Run,
    databases: AtomicU64,
    _watchdog: Watchdog,
}

impl Shared {
    /// The shared server, started or adopted by the first test that asks.
    pub(crate) async fn get() -> Result<&'static Self, Error> {
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self, Error> {
        let programs = Programs::here(&default_folder())?;
        let parent = folder(programs.provide().await?.major)?;
        let folder = Folder::open(&parent)?;
        // Before the server: a process killed in between leaves a watchdog with nothing to do, not a server.
        let watchdog = Watchdog::over(&folder, LINGER, None)?;
        let server = Server::start(Options::new(parent, Profile::Disposable)).await?;
        let mut connection = probe::connect_within(&server.url("postgres"), CONNECT_WITHIN).await?;
        let run = Run::register(&server, &mut connection).await?;
        Ok(Self {
            server,
            run,
            databases: AtomicU64::new(0),
            _watchdog: watchdog,
        })
    }

    /// A connection to the server's own database, for the calling runtime.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        probe::connect_within(&self.url("postgres"), CONNECT_WITHIN).await
    }

    /// The URI of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// A name no other database of any run has.
    pub(crate) fn next_database(&self) -> String {
        self.run
            .database(self.databases.fetch_add(1, Ordering::Relaxed))
    }
}

/// The user's folder in the temporary folder, which others may write to: it has to be a real folder of ours.
fn folder(major: u32) -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("spacerent-test-{uid}-pg{major}"));
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::file("create", &folder)(error));
        }
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(&folder).map_err(Error::file("look at", &folder))?;
    if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o022 != 0 {
        return Err(Error::NotOurs {
            folder,
            owner: metadata.uid(),
        });
    }
    Ok(folder)
}
