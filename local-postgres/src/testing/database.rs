//! A database of one test's own, copied from a template in some 30 ms.

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::discard::discard;
use super::shared::Shared;
use super::template::Template;
use crate::server::quoted;
use crate::{Error, wait};

/// How long a test may wait for a connection of its pool.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(30);
/// How long a dropped value waits for its database to be gone; what remains is dropped by a later run.
const DROP_WITHIN: Duration = Duration::from_secs(10);

/// A database nobody else uses; dropped with this value, and by a later run if this process is killed.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    shared: &'static Shared,
}

impl Database {
    /// Creates a database as `prepare` would have made it.
    ///
    /// `prepare` gets the URI of an empty database and runs once per `template_key`, for all test processes;
    /// everybody else gets a copy. The key stands for all that `prepare` does (a hash of the migrations, say).
    ///
    /// # Errors
    /// When the shared server cannot be started, `prepare` fails, or the server refuses.
    pub async fn create(
        template_key: &str,
        prepare: impl AsyncFnOnce(&str) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<Self, Error> {
        let shared = Shared::get().await?;
        let mut connection = shared.connect().await?;
        let template = Template::of(template_key);
        template
            .ensure(&mut connection, |name| shared.url(name), prepare)
            .await?;
        let name = shared.next_database();
        let (to, from) = (quoted(&name), quoted(&template.name()));
        // file_copy: without fsync it takes half the time of the default strategy.
        let copy = format!("create database {to} template {from} strategy file_copy");
        sqlx::query(&copy).execute(&mut connection).await?;
        connection.close().await?;
        let url = shared.url(&name);
        Ok(Self { name, url, shared })
    }

    /// Its URI, for sqlx, psql and every other libpq client.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A new pool of at most `connections_max` connections to it, bound to the calling runtime.
    ///
    /// # Errors
    /// When the first connection cannot be made.
    pub async fn pool(&self, connections_max: u32) -> Result<PgPool, Error> {
        let options = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_WITHIN);
        Ok(options.connect(&self.url).await?)
    }
}

impl Drop for Database {
    /// Drops the database and waits for it, on a thread with a runtime of its own: the test's may be ending.
    fn drop(&mut self) {
        let (shared, name, url) = (self.shared, self.name.clone(), self.url.clone());
        let dropped = std::thread::spawn(move || drop_blocking(shared, &name, &url)).join();
        match dropped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a test database is left to a later run"),
            Err(_) => tracing::warn!("a test database is left to a later run"),
        }
    }
}

fn drop_blocking(shared: &Shared, name: &str, url: &str) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Error::file("make a runtime to drop", Path::new(name)))?;
    let drop = async {
        let mut connection = shared.connect().await?;
        discard(name, url, &mut connection).await?;
        Ok(connection.close().await?)
    };
    let bounded = async { wait::timeout(DROP_WITHIN, drop).await };
    runtime.block_on(bounded).unwrap_or_else(|_| {
        let what = format!("dropping the test database {name}");
        Err(Error::TooSlow {
            what,
            seconds: DROP_WITHIN.as_secs(),
        })
    })
}
