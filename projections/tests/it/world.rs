//! A database of one test's own, the journal over it, and followers that can be started and stopped.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use domain::Command;
use journal::runtime::{Runtime, SystemClock, SystemRandom, Tokio};
use journal::{Actor, CommandError, Done, Journal, Request, Trace, schema};
use local_postgres::testing::Database;
use local_postgres::testing::timeout;
use projections::rebuild::{Goal, Rebuilder, ReplayError, Report};
use projections::{NAMES, ReadModels};
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How many connections a journal of these tests has.
const CONNECTIONS: u32 = 12;
/// How many events a rebuild of these tests takes at a time: few, so that small journals have several batches.
pub(crate) const BATCH: i64 = 40;
/// How many slices of the bookings a rebuild of these tests fills beside each other.
pub(crate) const SLICES: u32 = 3;
/// How long anything may take that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A prepared database.
pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) models: ReadModels,
    // Dropped last.
    database: Database,
}

/// Followers under way; they end when this is stopped.
pub(crate) struct Followers {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Followers {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.ended)
            .await
            .expect("the followers end when they are told to")
            .unwrap();
    }
}

/// Everything that shapes the template, so that a changed table never meets an old one.
fn template_key(what: &str) -> String {
    let mut hasher = DefaultHasher::new();
    for migration in schema::MIGRATOR.iter() {
        migration.checksum.hash(&mut hasher);
    }
    schema_sql().hash(&mut hasher);
    format!("projections-{what}-{:x}", hasher.finish())
}

/// The SQL of everything that `prepare` makes in an empty database, without rights.
pub(crate) fn schema_sql() -> String {
    let sql = projections::PROJECTIONS.iter().map(|projection| {
        let schema = projection.schema(1);
        let views = projection.tables.iter().map(|table| {
            format!(
                "create view {}.{} as {};\n",
                projection.name,
                table.name,
                table.view(&schema)
            )
        });
        format!(
            "{}{}create schema {};\n{}",
            projection.create(&schema),
            projection.index(&schema),
            projection.name,
            views.collect::<String>()
        )
    });
    sql.collect()
}

/// A database with migrations and nothing else.
pub(crate) async fn migrated() -> Database {
    let prepare = async |url: &str| Ok(schema::migrate(url).await?);
    Database::create(&template_key("migrated"), prepare)
        .await
        .unwrap()
}

async fn make(url: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    schema::migrate(url).await?;
    projections::prepare(url).await?;
    Ok(())
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = Database::create(&template_key("full"), make).await.unwrap();
        Self::over(database)
    }

    pub(crate) fn over(database: Database) -> Self {
        let pool = schema::connect(database.url(), CONNECTIONS).unwrap();
        let journal = Journal::new(pool, Arc::new(SystemClock), Arc::new(SystemRandom));
        let models = ReadModels::new(journal.clone());
        Self {
            journal,
            models,
            database,
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// A session of the superuser.
    pub(crate) async fn owner(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.unwrap()
    }

    pub(crate) async fn run_sql(&self, sql: &str) {
        let mut owner = self.owner().await;
        sqlx::raw_sql(sql).execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
    }

    /// One text, as the owner sees it.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut owner = self.owner().await;
        let text = sqlx::query_scalar(sql).fetch_one(&mut owner).await.unwrap();
        owner.close().await.unwrap();
        text
    }

    /// How the database would answer a query, were it not for the size of the tables.
    pub(crate) async fn plan(&self, sql: &str) -> String {
        let mut owner = self.owner().await;
        let off = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off";
        sqlx::raw_sql(off).execute(&mut owner).await.unwrap();
        let lines: Vec<String> = sqlx::query_scalar(&format!("explain {sql}"))
            .fetch_all(&mut owner)
            .await
            .unwrap();
        owner.close().await.unwrap();
        lines.join("\n")
    }

    /// Asks until the answer is `expected`.
    pub(crate) async fn until(&self, sql: &str, expected: &str) {
        let asking = async { while self.text(sql).await != expected {} };
        let asked = timeout(SOON, asking).await;
        asked.unwrap_or_else(|_| panic!("it never became {expected:?}: {sql}"));
    }

    /// Runs commands as one request.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Result<Done, CommandError> {
        let request = Request {
            command_id: self.journal.random().uuid(),
            trace: Trace {
                correlation_id: "journey".into(),
                causation_id: None,
                traceparent: None,
                actor: Actor::Customer,
                actor_id: Some("1".into()),
            },
            commands,
            claims: vec![],
        };
        self.journal.execute_one(request).await
    }

    /// Starts a follower for every projection.
    pub(crate) fn follow(&self) -> Followers {
        let stop = CancellationToken::new();
        let running = projections::run(self.journal.clone(), Arc::new(Tokio), stop.clone());
        let (end, ended) = oneshot::channel();
        Tokio.spawn(Box::pin(async move {
            running.await;
            // Nobody may be left to hear it.
            let _ = end.send(());
        }));
        Followers { stop, ended }
    }

    /// Waits until every projection has taken everything.
    pub(crate) async fn caught_up(&self) {
        let head = self.journal.head().await.unwrap();
        for name in NAMES {
            let fresh = self.models.wait(name, head, &Tokio, SOON).await.unwrap();
            assert!(
                fresh.position >= head,
                "{name} stands at {fresh:?}, the head is {head}"
            );
        }
    }

    /// Follows until everything is taken, then stops.
    pub(crate) async fn follow_to_the_end(&self) {
        let followers = self.follow();
        self.caught_up().await;
        followers.stop().await;
    }

    pub(crate) async fn replay(&self, name: &str, goal: Goal) -> Result<Report, ReplayError> {
        self.rebuilder().replay(name, goal).await
    }

    pub(crate) fn rebuilder(&self) -> Rebuilder<'_> {
        Rebuilder::new(self.url(), &self.journal, &Tokio)
            .in_batches_of(BATCH)
            .in_slices(SLICES)
    }

    /// The number of the live generation.
    pub(crate) async fn live(&self, name: &str) -> String {
        let sql = format!(
            "select generation::text from projections where name = '{name}' and state = 'live'"
        );
        self.text(&sql).await
    }

    /// Every row of the live generation of a projection, as the JSON of its tables.
    pub(crate) async fn rows(&self, name: &str) -> String {
        let generation = self.live(name).await;
        let mut all = String::new();
        for table in projections::by_name(name).unwrap().tables {
            let key = table.key.join(", ");
            let sql = format!(
                "select coalesce(jsonb_agg(to_jsonb(t) order by {key}), '[]')::text from {name}_{generation}.{} t",
                table.name
            );
            all.push_str(&self.text(&sql).await);
            all.push('\n');
        }
        all
    }
}
