//! The journal that is shipped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, Random};
use journal::follow::{self, FollowerId, InDatabase, Slice};
use journal::jobs::{self, NewJob};
use journal::runtime::{Runtime as _, SystemClock, SystemRandom, Tokio};
use journal::store::{Postgres, Store};
use journal::{Connections, Journal, schema};
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use uuid::Uuid;

use crate::stage::Stage;

/// How many connections a store has.
const CONNECTIONS: u32 = 16;
/// The database that a scenario's is copied from.
const TEMPLATE: &str = "conformance";
/// The database in which somebody else writes.
const ELSEWHERE: &str = "elsewhere";

/// Commands that are held wait for an advisory lock before their id is recorded, with everything else done.
const HOLD_STILL: &str = "
    create table held (command_id uuid primary key, lock bigint not null);
    grant select on held to spacerent_runtime;
    create function hold_still() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock_shared(lock) from held where command_id = new.command_id;
        return new;
    end $$;
    create trigger hold_still before insert on commands for each row execute function hold_still()";

/// What is said when there is nothing to take out.
const NO_GUARD: &str = "there is no such guard";

/// Transaction ids are the server's, not the database's: one scenario at a time has it.
static SERVER: OnceCell<Mutex<Quiet>> = OnceCell::const_new();

struct Quiet {
    cluster: Cluster,
    databases: u32,
}

/// A migrated database on a server on which nobody else does anything.
pub struct OnPostgres {
    url: String,
    pool: Connections,
    owner: Mutex<PgConnection>,
    server: MutexGuard<'static, Quiet>,
}

/// Plays a scenario.
pub fn play(scenario: impl AsyncFn(&mut OnPostgres)) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stage = OnPostgres::open().await;
        scenario(&mut stage).await;
        stage.pool.close().await;
    });
}

/// Whether a scenario fails when the lines of a guard are taken out of a function.
pub fn fails_without(
    (function, guard): (&str, &str),
    scenario: impl AsyncFn(&mut OnPostgres),
) -> bool {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let played = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut stage = OnPostgres::open().await;
            stage.take_out(function, guard).await;
            scenario(&mut stage).await;
        });
    }));
    let panicked = played.err();
    let said = panicked
        .as_ref()
        .and_then(|said| said.downcast_ref::<String>());
    assert!(
        said.is_none_or(|said| said != NO_GUARD),
        "{function}: {guard}"
    );
    panicked.is_some()
}

impl OnPostgres {
    async fn take_out(&self, function: &str, guard: &str) {
        let mut owner = self.owner.lock().await;
        let body = format!(
            "select pg_get_functiondef(oid) from pg_proc where proname = '{function}' order by pronargs desc limit 1"
        );
        let body: String = sqlx::query_scalar(&body)
            .fetch_one(&mut *owner)
            .await
            .unwrap();
        let mark = format!("-- guard: {guard}");
        let kept: Vec<&str> = body.lines().filter(|line| !line.ends_with(&mark)).collect();
        assert!(kept.len() < body.lines().count(), "{NO_GUARD}");
        run(&mut owner, &kept.join("\n")).await;
    }

    /// A database of its own.
    pub async fn open() -> Self {
        let quiet = SERVER.get_or_init(async || {
            // What is answered as committed survives a crash, as in production.
            let settings = [("synchronous_commit", "on")];
            let cluster = Cluster::start_with(Profile::Disposable, &settings);
            let cluster = cluster.await.unwrap();
            let server = cluster.server();
            server.create_database_if_missing(TEMPLATE).await.unwrap();
            server.create_database_if_missing(ELSEWHERE).await.unwrap();
            schema::migrate(&cluster.url(TEMPLATE)).await.unwrap();
            let mut template = connect(&cluster.url(TEMPLATE)).await;
            run(&mut template, HOLD_STILL).await;
            template.close().await.unwrap();
            Mutex::new(Quiet {
                cluster,
                databases: 0,
            })
        });
        let mut server = quiet.await.lock().await;
        server.databases += 1;
        let name = format!("scenario_{}", server.databases);
        let mut maintenance = connect(&server.cluster.url("postgres")).await;
        let copy = format!("create database {name} template {TEMPLATE} strategy file_copy");
        run(&mut maintenance, &copy).await;
        maintenance.close().await.unwrap();
        let url = server.cluster.url(&name);
        Self {
            pool: patient_pool(&url),
            owner: Mutex::new(connect(&url).await),
            url,
            server,
        }
    }

    /// Runs statements as the owner.
    pub async fn run(&self, statements: &str) {
        run(&mut *self.owner.lock().await, statements).await;
    }

    /// One number, as the owner sees it.
    pub async fn number(&self, query: &str) -> i64 {
        let mut owner = self.owner.lock().await;
        let number = sqlx::query_scalar(query).fetch_one(&mut *owner).await;
        number.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// As the service connects.
    pub fn pool(&self) -> &Connections {
        &self.pool
    }

    fn journal_here(&self) -> Journal {
        Journal::new(
            self.pool.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )
    }
}

pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

pub async fn run(connection: &mut PgConnection, statements: &str) {
    let done = sqlx::raw_sql(statements).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// The service's, but for two time-outs: a forced order must not fall apart because the machine is slow.
fn patient_pool(url: &str) -> Connections {
    let pool = schema::connect(url, CONNECTIONS).unwrap();
    let options = pool.options().as_ref().clone();
    pool.pool().set_connect_options(
        options.options([("lock_timeout", "30s"), ("statement_timeout", "60s")]),
    );
    pool
}

/// The advisory lock that a held command waits for.
fn lock_of(command: Uuid) -> u32 {
    u32::try_from(command.as_u128()).unwrap()
}

impl Stage for OnPostgres {
    type Checkpoints = InDatabase;
    type Elsewhere = PgConnection;

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Postgres::new(self.pool.clone()))
    }

    fn surroundings(&self) -> (Arc<dyn Clock>, Arc<dyn Random>) {
        (Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    fn checkpoints(&self, name: &str) -> InDatabase {
        InDatabase::new(self.journal_here(), FollowerId::new(name, 1))
    }

    fn slice(&self, name: &str, slice: Slice) -> InDatabase {
        InDatabase::of_slice(self.journal_here(), FollowerId::new(name, 1), slice)
    }

    async fn cut(&self, name: &str, slices: i32) {
        // A session of its own: it may have to wait.
        let mut owner = connect(&self.url).await;
        let may = format!(
            "insert into follower_layouts (name, generation) values ('{name}', 1) on conflict do nothing"
        );
        run(&mut owner, &may).await;
        let cut = follow::cut(&mut owner, &FollowerId::new(name, 1), slices).await;
        assert!(cut.unwrap().is_some());
    }

    async fn nap(&self, time: Duration) {
        Tokio.sleep(time).await;
    }

    async fn pass(&self, time: Duration) {
        let by = format!("interval '{} milliseconds'", time.as_millis());
        self.run(&format!(
            "update followers set lease_until = lease_until - {by};
             update jobs set claimed_until = claimed_until - {by}, due_at = due_at - {by}"
        ))
        .await;
    }

    async fn hold_still(&self, command: Uuid) {
        let lock = lock_of(command);
        self.run(&format!(
            "insert into held values ('{command}', {lock}) on conflict do nothing; select pg_advisory_lock({lock})"
        ))
        .await;
    }

    async fn let_go(&self, command: Uuid) {
        let lock = lock_of(command);
        self.run(&format!(
            "delete from held where lock = {lock}; select pg_advisory_unlock({lock})"
        ))
        .await;
    }

    async fn cancel(&self, command: Uuid) {
        let lock = lock_of(command);
        let waits = format!(
            "from pg_locks where locktype = 'advisory' and objid = {lock} and not granted
             and database = (select oid from pg_database where datname = current_database())"
        );
        self.run(&format!("select pg_cancel_backend(pid) {waits}"))
            .await;
        let waiting = format!("select count(*) {waits}");
        self.until("it is rolled back", async || {
            self.number(&waiting).await == 0
        })
        .await;
        self.let_go(command).await;
    }

    async fn waiting(&self) -> usize {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        usize::try_from(self.number(waiting).await).unwrap()
    }

    async fn crash(&mut self) {
        self.server.cluster.kill().await.unwrap();
        self.server.cluster.restart().await.unwrap();
        self.pool = patient_pool(&self.url);
        self.owner = Mutex::new(connect(&self.url).await);
    }

    async fn terminate(&self) {
        self.run(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_xid is not null",
        )
        .await;
    }

    async fn begin_elsewhere(&self) -> PgConnection {
        let mut session = connect(&self.server.cluster.url(ELSEWHERE)).await;
        run(&mut session, "begin; select pg_current_xact_id()").await;
        session
    }

    async fn schedule(&self, new: &[NewJob]) {
        let mut connection = self.pool.pool().acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        jobs::schedule(&mut tx, new).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn settle(&self, kind: &str, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let mut connection = self.pool.pool().acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        jobs::settle(&mut tx, kind, &keys).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn look_again(&self, kind: &str, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let mut connection = self.pool.pool().acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        jobs::look_again(&mut tx, kind, &keys).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn retry(&self, name: &str, key: &str) {
        self.run(&format!(
            "insert into parked_retries (name, generation, key) values ('{name}', 1, '{key}')"
        ))
        .await;
    }
}
