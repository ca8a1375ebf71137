//! A whole server for one test, to be crashed, frozen and restarted without disturbing others.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::crash;
use super::watchdog::Watchdog;
use crate::Error;
use crate::folder::Folder;
use crate::profile::Profile;
use crate::server::{Options, Server};

/// A server in a temporary folder; both are gone when this value is dropped or its process has ended.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the user leaves, the watchdog ends the server and removes the folder.
    server: Server,
    _watchdog: Watchdog,
    options: Options,
    folder: TempDir,
}

impl Cluster {
    /// Starts a server with an empty data folder (one to two seconds, nearly all of it `initdb`).
    /// `Profile::Durable` has the crash semantics of production, `Profile::Disposable` is faster.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub async fn start(profile: Profile) -> Result<Self, Error> {
        Self::start_with(profile, &[]).await
    }

    /// The same with further server settings.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub async fn start_with(profile: Profile, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        // Open, as the server may run as another user; its own folders inside are closed.
        builder
            .prefix("spacerent-cluster-")
            .permissions(Permissions::from_mode(0o755));
        let folder = builder
            .tempdir()
            .map_err(Error::file("make a folder in", &std::env::temp_dir()))?;
        let watchdog = Watchdog::over(
            &Folder::open(folder.path())?,
            Duration::ZERO,
            Some(folder.path()),
        )?;
        // Shared memory in files of the data folder: a killed server leaves none behind.
        let options =
            Options::new(folder.path(), profile).setting("dynamic_shared_memory_type", "mmap");
        let options = settings.iter().fold(options, |options, (name, value)| {
            options.setting(*name, *value)
        });
        let server = Server::start(options.clone()).await?;
        Ok(Self {
            server,
            _watchdog: watchdog,
            options,
            folder,
        })
    }

    /// The server, of now or before it was killed.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The folder given to the server: what [`Options::folder`] is for any other.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URI of a database, the same after a restart. `postgres` is there from the start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// The postmaster's process id, as of the last start.
    #[must_use]
    pub fn postmaster_pid(&self) -> i32 {
        self.server.postmaster_pid()
    }

    /// [`kill_postmaster`](crash::kill_postmaster) of this server.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill_postmaster(&self) -> Result<(), Error> {
        crash::kill_postmaster(self.folder()).await.map(drop)
    }

    /// [`kill`](crash::kill) of this server.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill(&self) -> Result<(), Error> {
        crash::kill(self.folder()).await
    }

    /// Starts the server again after it was killed, at once: crash recovery is part of it.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.server = Server::start(self.options.clone()).await?;
        Ok(())
    }

    /// [`freeze`](crash::freeze) this server. A frozen server that is never thawed still goes with this value.
    ///
    /// # Errors
    /// When its processes cannot be looked at.
    pub fn freeze(&self) -> Result<(), Error> {
        crash::freeze(self.folder())
    }

    /// [`thaw`](crash::thaw) this server.
    ///
    /// # Errors
    /// When its processes cannot be looked at.
    pub fn thaw(&self) -> Result<(), Error> {
        crash::thaw(self.folder())
    }
}
