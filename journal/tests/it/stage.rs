//! A database of one test's own, the journal over it, and the owner's session beside it.

use journal::append::{Append, Outcome};
use journal::runtime::{SystemClock, SystemRandom};
use journal::{Connections, Journal, StoreError, schema};
use local_postgres::Profile;
use local_postgres::testing::{Cluster, Database};
use sqlx::{Connection, PgConnection};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::sql;

/// How many connections a journal of these tests has.
const CONNECTIONS: u32 = 12;

/// A server on which nobody else does anything, for tests about transaction ids: those are the server's, not
/// the database's. One test at a time has it.
static QUIET: OnceCell<Mutex<Quiet>> = OnceCell::const_new();

/// The database that those of the quiet server are copied from.
const TEMPLATE: &str = "stage_template";

/// The server of [`QUIET`], and how many databases were made on it.
struct Quiet {
    cluster: Cluster,
    databases: u32,
}

/// Where the database lives.
enum Home {
    Shared { _database: Database },
    Quiet { _server: MutexGuard<'static, Quiet> },
}

/// A migrated database, and what acts on it.
pub(crate) struct Stage {
    pub(crate) journal: Journal,
    /// A session of the superuser.
    pub(crate) owner: PgConnection,
    url: String,
    // Dropped last.
    _home: Home,
}

impl Stage {
    /// On the server that all tests share.
    pub(crate) async fn open() -> Self {
        let key = template_key();
        let database = Database::create(&key, async |url| {
            schema::migrate(url).await.map_err(Into::into)
        });
        let database = database.await.unwrap();
        let url = database.url().to_owned();
        Self::over(
            url,
            Home::Shared {
                _database: database,
            },
        )
        .await
    }

    /// On a server on which nothing else happens meanwhile.
    pub(crate) async fn quiet() -> Self {
        let quiet = QUIET.get_or_init(async || {
            let cluster = Cluster::start(Profile::Disposable).await.unwrap();
            let server = cluster.server();
            server.create_database_if_missing(TEMPLATE).await.unwrap();
            schema::migrate(&cluster.url(TEMPLATE)).await.unwrap();
            Mutex::new(Quiet {
                cluster,
                databases: 0,
            })
        });
        let mut server = quiet.await.lock().await;
        server.databases += 1;
        let name = format!("stage_{}", server.databases);
        let mut connection = connect(&server.cluster.url("postgres")).await;
        let copy = format!("create database {name} template {TEMPLATE} strategy file_copy");
        sql::run(&mut connection, &copy).await;
        connection.close().await.unwrap();
        let url = server.cluster.url(&name);
        Self::over(url, Home::Quiet { _server: server }).await
    }

    /// The URI of another database on the server of `stage`.
    pub(crate) async fn beside(stage: &Self) -> String {
        let mut connection = stage.session().await;
        let name = sql::text(&mut connection, "select current_database() || '_beside'").await;
        sql::run(&mut connection, &format!("create database {name}")).await;
        let own = sql::text(&mut connection, "select current_database()::text").await;
        stage.url.replacen(&own, &name, 1)
    }

    async fn over(url: String, home: Home) -> Self {
        Self {
            journal: journal(&url),
            owner: connect(&url).await,
            url,
            _home: home,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Another session of the superuser.
    pub(crate) async fn session(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// A session of the role that the service runs as.
    pub(crate) async fn runtime_session(&self) -> PgConnection {
        let mut session = self.session().await;
        sql::run(&mut session, &format!("set role {}", schema::RUNTIME_ROLE)).await;
        session
    }

    /// Takes the lines of a guard out of a function.
    pub(crate) async fn without_guard(&mut self, function: &str, guard: &str) {
        let mark = format!("-- guard: {guard}");
        self.rewrite(function, |body| {
            let kept = body.lines().filter(|line| !line.ends_with(&mark));
            kept.collect::<Vec<_>>().join("\n")
        })
        .await;
    }

    /// Replaces a function by a changed copy of itself; of several with this name, the one that does the work.
    pub(crate) async fn rewrite(&mut self, function: &str, change: impl FnOnce(&str) -> String) {
        let definition = format!(
            "select pg_get_functiondef(oid) from pg_proc where proname = '{function}' order by pronargs desc limit 1"
        );
        let body = sql::text(&mut self.owner, &definition).await;
        let changed = change(&body);
        assert_ne!(changed, body, "there was nothing to change in {function}");
        sql::run(&mut self.owner, &changed).await;
    }

    /// Appends one command.
    pub(crate) async fn append(&self, command: Append) -> Result<Outcome, StoreError> {
        append_one(&self.journal, command).await
    }

    /// One number, as the owner sees it.
    pub(crate) async fn number(&mut self, query: &str) -> i64 {
        sql::number(&mut self.owner, query).await
    }

    /// How many events there are.
    pub(crate) async fn events(&mut self) -> i64 {
        self.number("select count(*) from events").await
    }

    /// How many commands are recorded.
    pub(crate) async fn commands(&mut self) -> i64 {
        self.number("select count(*) from commands").await
    }

    /// The sequences of a stream of type `Book`.
    pub(crate) async fn book(&mut self, key: i64) -> Vec<i64> {
        let query = format!(
            "select sequence from events where aggregate_type = 'Book' and aggregate_id = '{key}' order by 1"
        );
        sql::numbers(&mut self.owner, &query).await
    }
}

/// Appends one command.
pub(crate) async fn append_one(journal: &Journal, command: Append) -> Result<Outcome, StoreError> {
    journal.append(vec![command]).await.pop().unwrap()
}

/// A journal as a process of its own would have it.
pub(crate) fn journal(url: &str) -> Journal {
    journal_over(patient_pool(url))
}

pub(crate) fn journal_over(pool: impl Into<Connections>) -> Journal {
    Journal::new(pool, Arc::new(SystemClock), Arc::new(SystemRandom))
}

/// The pool that the service has, but for two time-outs: a forced order must not fall apart because the
/// machine is slow.
fn patient_pool(url: &str) -> Connections {
    let pool = schema::connect(url, CONNECTIONS).unwrap();
    let options = pool.options().as_ref().clone();
    pool.pool().set_connect_options(
        options.options([("lock_timeout", "30s"), ("statement_timeout", "60s")]),
    );
    pool
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Stands for all migrations, so that a changed one gets a new template.
fn template_key() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in schema::MIGRATOR.iter() {
        migration.checksum.hash(&mut hasher);
    }
    format!("journal {:x}", hasher.finish())
}
