//! Which database a command works on: `DATABASE_URL`, or the local server of the data folder.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use journal::runtime::{SystemClock, SystemRandom};
use journal::schema::{self, Pooler};
use journal::{Connections, Journal, StoreError};
use local_postgres::{Options, Profile, Server};

use crate::settings::{Secret, Settings};

/// The database's name on the local server.
const NAME: &str = "spacerent";

/// Connections of a command that asks a few questions, or holds one while it asks another: also behind a pooler, where one
/// of them is kept for reading streams.
pub const FEW: u32 = 4;

/// How connections of this many are made.
type Connect = fn(&Database, u32) -> Result<Connections, StoreError>;

/// Works on the journal of the settings' or the folder's database, and closes it again.
pub async fn on_journal<T>(
    settings: &Settings,
    data_dir: Option<PathBuf>,
    work: impl AsyncFnOnce(Journal) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    over(settings, data_dir, Database::connect, work).await
}

/// The same for commands that only look, as the login itself: an operator may be shown what the service's role is not.
pub async fn look_at_journal<T>(
    settings: &Settings,
    data_dir: Option<PathBuf>,
    look: impl AsyncFnOnce(Journal) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    over(settings, data_dir, Database::connect_to_read, look).await
}

async fn over<T>(
    settings: &Settings,
    data_dir: Option<PathBuf>,
    connect: Connect,
    work: impl AsyncFnOnce(Journal) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let database = Database::open(settings, data_dir).await?;
    let worked = async {
        let journal = journal(connect(&database, FEW)?);
        schema::check(journal.pool()).await?;
        let worked = work(journal.clone()).await;
        journal.pool().close().await;
        worked
    }
    .await;
    let closed = database.close().await;
    let worked = worked?;
    closed?;
    Ok(worked)
}

/// The journal over these connections, with the system's clock and randomness.
pub fn journal(pool: Connections) -> Journal {
    Journal::new(pool, Arc::new(SystemClock), Arc::new(SystemRandom))
}

/// A database, and the local server while we use one.
pub struct Database {
    /// For the service: works as the runtime role.
    pub url: String,
    /// For migrations and rebuilds: the owner of the tables.
    pub owner_url: String,
    pooler: Pooler,
    server: Option<Server>,
}

impl Database {
    /// The database of the settings, or else that of the local server, which is started if need be. A server that
    /// never was is not made: a folder's name may be misspelt.
    pub async fn open(settings: &Settings, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = data_dir.unwrap_or_else(local_postgres::default_folder);
        if settings.database_url.is_none() && !local_postgres::has_server(&folder) {
            bail!(
                "there is no local server in {}; `spacerent dev` and `spacerent migrate` make one, or set DATABASE_URL",
                folder.display()
            );
        }
        Self::make(settings, Some(folder)).await
    }

    /// The same, and the local server is made where there is none.
    pub async fn make(settings: &Settings, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(given) = Self::given(settings) {
            return Ok(given);
        }
        let folder = data_dir.unwrap_or_else(local_postgres::default_folder);
        let options = Options::new(&folder, Profile::Durable).keep_packages_in(folder);
        let server = Server::start(options).await?;
        server.create_database_if_missing(NAME).await?;
        Ok(Self::local(server))
    }

    /// The same, but never starts a server.
    pub async fn find(settings: &Settings, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(given) = Self::given(settings) {
            return Ok(given);
        }
        let folder = data_dir.unwrap_or_else(local_postgres::default_folder);
        let server = Server::join(&folder).await?.with_context(|| {
            format!(
                "no local server runs in {}; start `spacerent dev`, or set DATABASE_URL",
                folder.display()
            )
        })?;
        Ok(Self::local(server))
    }

    /// What the settings name; `None` when they name nothing.
    pub fn given(settings: &Settings) -> Option<Self> {
        let url = settings.database_url.as_ref().map(Secret::reveal)?;
        let owner_url = settings
            .migration_database_url
            .as_ref()
            .map_or(url, Secret::reveal);
        Some(Self {
            url: url.to_owned(),
            owner_url: owner_url.to_owned(),
            pooler: settings.database_pooler.into(),
            server: None,
        })
    }

    fn local(server: Server) -> Self {
        let url = server.url(NAME);
        Self {
            owner_url: url.clone(),
            url,
            pooler: Pooler::None,
            server: Some(server),
        }
    }

    /// At most so many connections for the service.
    pub fn connect(&self, connections_max: u32) -> Result<Connections, StoreError> {
        schema::connect_through(self.pooler, &self.url, connections_max)
    }

    /// At most so many connections that can only read.
    pub fn connect_to_read(&self, connections_max: u32) -> Result<Connections, StoreError> {
        schema::connect_to_read_through(self.pooler, &self.url, connections_max)
    }

    /// Drops everything and starts empty; only on the local server.
    pub async fn make_fresh(&self) -> anyhow::Result<()> {
        let server = self.server.as_ref().context(
            "--fresh empties the local server only; DATABASE_URL is set, so empty that database by hand",
        )?;
        let mut postgres = journal::schema::connect_as_owner(&server.url("postgres")).await?;
        sqlx::query("drop database if exists spacerent with (force)")
            .execute(&mut postgres)
            .await?;
        server.create_database_if_missing(NAME).await?;
        Ok(())
    }

    /// Brings the database to today's shape.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        journal::schema::migrate(&self.owner_url).await?;
        projections::prepare(&self.owner_url).await?;
        Ok(())
    }

    /// Stops the local server when nobody else uses it.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(server) = self.server {
            server.stop().await?;
        }
        Ok(())
    }
}
