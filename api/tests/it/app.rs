//! A whole system of one test's own: database, journal, read models, processes, and a listener for each role.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use api::{App, Readiness, Role, Settings};
use domain::ports::{PaymentGateway, StubLedger, TakePayment};
use domain::{BookId, Money, book, payment};
use journal::runtime::{Runtime, SystemClock, SystemRandom, Tokio};
use journal::{Actor, Journal, Request, Trace};
use local_postgres::testing::Database;
use local_postgres::testing::timeout;
use processes::gateway::stub::StubGateway;
use processes::payment::InlinePayment;
use processes::settings::PaymentSettings;
use projections::ReadModels;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{Answer, Call, client};

/// Connections of one test.
const CONNECTIONS: u32 = 12;
/// How long a test waits for what must happen.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) const ROLES: [Role; 5] = [
    Role::Book,
    Role::Space,
    Role::Payment,
    Role::Mypage,
    Role::Gateway,
];

/// How long the customers of tests wait, in milliseconds: a busy machine must not make them give up. Tests of
/// giving up say so.
const PATIENCE_MS: u64 = 20_000;

/// What a test wants to be different.
pub(crate) struct Setup {
    /// Who takes payments; the stub gateway, with saga and workers behind it, when nobody is named.
    pub(crate) payment: Option<Arc<dyn TakePayment>>,
    pub(crate) settings: Settings,
    /// Whether nothing fills the read models.
    pub(crate) without_projections: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = Settings {
            payment_timeout_ms: PATIENCE_MS,
            ..Settings::default()
        };
        Self {
            payment: None,
            settings,
            without_projections: false,
        }
    }
}

pub(crate) struct TestApp {
    pub(crate) journal: Journal,
    pub(crate) readiness: Readiness,
    /// What routers are made of, for a test that wants one more.
    pub(crate) app: App,
    pub(crate) stop: CancellationToken,
    addresses: HashMap<Role, String>,
    client: reqwest::Client,
    _stopped_at_the_end: DropGuard,
    database: Database,
}

impl TestApp {
    /// The whole system, with the stub gateway.
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// The HTTP side and the read models, with payments taken by `payment`.
    pub(crate) async fn paid_by(payment: Arc<dyn TakePayment>) -> Self {
        Self::with(Setup {
            payment: Some(payment),
            ..Setup::default()
        })
        .await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let database = Database::create(&template(), async |url: &str| {
            journal::schema::migrate(url).await?;
            projections::prepare(url).await?;
            Ok(())
        })
        .await
        .unwrap();
        let pool = journal::schema::connect(database.url(), CONNECTIONS).unwrap();
        let runtime: Arc<dyn Runtime> = Arc::new(Tokio);
        let random = Arc::new(SystemRandom);
        let journal = Journal::new(pool.clone(), Arc::new(SystemClock), random.clone());
        let stub = Arc::new(StubGateway::new(pool, runtime.clone(), random));
        let stop = CancellationToken::new();
        if !setup.without_projections {
            spawn(projections::run(
                journal.clone(),
                runtime.clone(),
                stop.clone(),
            ));
        }
        let limits = PaymentSettings {
            timeout_ms: setup.settings.payment_timeout_ms,
            ..PaymentSettings::default()
        };
        let payment = setup
            .payment
            .unwrap_or_else(|| processes(&journal, &stub, &runtime, &limits, &stop));
        let ledger: Arc<dyn StubLedger> = stub;
        let readiness = Readiness::default();
        readiness.set(true);
        let app = App {
            journal: journal.clone(),
            read_models: ReadModels::new(journal.clone()),
            payment,
            ledger: Some(ledger),
            runtime,
            readiness: readiness.clone(),
            metrics: Arc::new(|| "# metrics\n".to_owned()),
            settings: setup.settings,
        };
        let mut addresses = HashMap::new();
        for role in ROLES {
            addresses.insert(role, listen(api::router(role, app.clone()), &stop).await);
        }
        let _stopped_at_the_end = stop.clone().drop_guard();
        Self {
            journal,
            readiness,
            app,
            stop,
            addresses,
            client: client(),
            _stopped_at_the_end,
            database,
        }
    }

    /// Where a role listens: `127.0.0.1:port`.
    pub(crate) fn address(&self, role: Role) -> &str {
        &self.addresses[&role]
    }

    /// A request to a role.
    pub(crate) fn call(&self, role: Role, method: &str, path: &str) -> Call {
        self.call_at(self.address(role), role, method, path)
    }

    /// A request to a further listener that plays a role.
    pub(crate) fn call_at(&self, address: &str, role: Role, method: &str, path: &str) -> Call {
        Call::new(&self.client, address, role, method, path)
    }

    pub(crate) async fn get(&self, role: Role, path: &str) -> Answer {
        self.call(role, "GET", path).send().await
    }

    /// Books a space for user 1.
    pub(crate) async fn book(&self, spacename: &str) -> Answer {
        self.call(Role::Book, "POST", "/books")
            .json(&order(spacename))
            .send()
            .await
    }

    pub(crate) async fn cancel(&self, bookid: i64) -> Answer {
        let path = format!("/books/{bookid}");
        let body = r#"{"status":"cancel-booking"}"#;
        self.call(Role::Book, "PATCH", &path)
            .json(body)
            .send()
            .await
    }

    /// Reads until the answer is 200 and its status is this one.
    pub(crate) async fn get_when(&self, role: Role, path: &str, status: &str) -> Answer {
        let mut last = None;
        let waited = timeout(WITHIN, async {
            loop {
                let answer = self.get(role, path).await;
                if answer.status == 200 && answer.json()["status"] == status {
                    return answer;
                }
                last = Some(answer);
                Tokio.sleep(LOOK_EVERY).await;
            }
        });
        match waited.await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} did not become {status}: {last:?}"),
        }
    }

    /// Reads what is there and shows this position. A busy machine may need more than one wait for that.
    pub(crate) async fn get_at(&self, position: i64, role: Role, path: &str) -> Answer {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}min_position={position}");
        let mut last = None;
        eventually(&path, async || {
            let answer = self.get(role, &path).await;
            let shown = (answer.status, answer.header("x-projection-lag")) == (200, None);
            last = Some(answer);
            shown
        })
        .await;
        last.unwrap()
    }

    /// Waits until the last step of a booking's story was taken, and every projection shows it.
    pub(crate) async fn settled(&self, bookid: i64, last: &str) {
        eventually(last, async || {
            let story = self.events("Book", bookid).await;
            story.iter().any(|event| event == last)
        })
        .await;
        let head = self.journal.head().await.unwrap();
        for (role, path) in [
            (Role::Book, "/books"),
            (Role::Payment, "/payments"),
            (Role::Space, "/spaces"),
            (Role::Mypage, "/mypages"),
            (Role::Mypage, "/points/1"),
        ] {
            self.get_at(head, role, path).await;
        }
    }

    /// Does to a booking what the saga would do.
    pub(crate) async fn command(&self, bookid: i64, command: book::Command) {
        self.execute(domain::Command::Book(BookId(bookid), command))
            .await;
    }

    /// Does what somebody else than a client would do.
    pub(crate) async fn execute(&self, command: domain::Command) {
        let trace = Trace {
            correlation_id: "saga".into(),
            causation_id: None,
            traceparent: None,
            actor: Actor::System,
            actor_id: None,
        };
        let request = Request::one(self.journal.random().uuid(), trace, command);
        self.journal.execute_one(request).await.unwrap();
    }

    /// The event types of a stream.
    pub(crate) async fn events(&self, aggregate_type: &str, id: i64) -> Vec<String> {
        sqlx::query_scalar(
            "select event_type from events where aggregate_type = $1 and aggregate_id = $2::text
             order by sequence",
        )
        .bind(aggregate_type)
        .bind(id)
        .fetch_all(self.journal.pool())
        .await
        .unwrap()
    }

    /// Takes the lines that are marked as a rule out of one of the database's functions.
    pub(crate) async fn without_rule(&self, function: &str, rule: &str) {
        let mut owner = journal::schema::connect_as_owner(self.database.url())
            .await
            .unwrap();
        let definition: String = sqlx::query_scalar(
            "select pg_get_functiondef(oid) from pg_proc where proname = $1 order by pronargs desc limit 1",
        )
        .bind(function)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        let mark = format!("-- rule: {rule}");
        let kept: Vec<_> = definition
            .lines()
            .filter(|line| !line.ends_with(&mark))
            .collect();
        assert_ne!(
            kept.len(),
            definition.lines().count(),
            "{function} has no rule {rule}"
        );
        sqlx::raw_sql(&kept.join("\n"))
            .execute(&mut owner)
            .await
            .unwrap();
    }

    /// Does something that the service may not do.
    pub(crate) async fn as_owner(&self, sql: &str) {
        let mut owner = journal::schema::connect_as_owner(self.database.url())
            .await
            .unwrap();
        sqlx::raw_sql(sql).execute(&mut owner).await.unwrap();
    }

    /// A transaction that has drawn the next position and does not end: nothing behind that may be delivered.
    pub(crate) async fn hold_the_feed(&self) -> Held {
        let mut owner = journal::schema::connect_as_owner(self.database.url())
            .await
            .unwrap();
        sqlx::raw_sql(
            "begin; select pg_current_xact_id(); select nextval(pg_get_serial_sequence('events', 'position'))",
        )
        .execute(&mut owner)
        .await
        .unwrap();
        Held(owner)
    }

    /// How many rows a query finds.
    /// Records that a booking's charge was captured, as the payment role does.
    pub(crate) async fn pay(&self, bookid: i64) {
        let approval = payment::Command::RecordApproval {
            charge_no: 1,
            gateway_ref: format!("tx-{bookid}"),
            captured: Money::krw(10_000),
        };
        self.execute(domain::Command::Payment(BookId(bookid), approval))
            .await;
    }

    pub(crate) async fn count(&self, from: &str) -> i64 {
        sqlx::query_scalar(&format!("select count(*) from {from}"))
            .fetch_one(self.journal.pool())
            .await
            .unwrap()
    }
}

/// A transaction that holds the feed.
pub(crate) struct Held(sqlx::PgConnection);

impl Held {
    /// Rolls it back: its position will never be filled.
    pub(crate) async fn end(mut self) {
        sqlx::raw_sql("rollback")
            .execute(&mut self.0)
            .await
            .unwrap();
    }
}

/// The seed's own request body.
pub(crate) fn order(spacename: &str) -> String {
    format!(r#"{{"userid":"1","bookid":"1","spacename":"{spacename}","status":"booking"}}"#)
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(WITHIN, async {
        while !condition().await {
            Tokio.sleep(LOOK_EVERY).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {WITHIN:?}: {what}");
}

/// Serves a router on a free port of this machine.
pub(crate) async fn listen(router: axum::Router, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(api::serve(listener, router, Arc::new(Tokio), stop.clone()));
    address
}

pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    Tokio.spawn(Box::pin(work));
}

/// Saga and workers; what comes back takes payments.
fn processes(
    journal: &Journal,
    stub: &Arc<StubGateway>,
    runtime: &Arc<dyn Runtime>,
    limits: &PaymentSettings,
    stop: &CancellationToken,
) -> Arc<dyn TakePayment> {
    let gateway: Arc<dyn PaymentGateway> = stub.clone();
    spawn(processes::order::run(
        journal.clone(),
        runtime.clone(),
        limits.clone(),
        stop.clone(),
    ));
    spawn(processes::jobs::run(
        journal.clone(),
        gateway.clone(),
        runtime.clone(),
        limits.clone(),
        stop.clone(),
    ));
    Arc::new(InlinePayment::new(
        journal.clone(),
        gateway,
        runtime.clone(),
        limits.clone(),
    ))
}

/// Names what `prepare` makes: the migrations, and the tables of the read models.
fn template() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in journal::schema::MIGRATOR.iter() {
        migration.checksum.hash(&mut hasher);
    }
    for projection in projections::PROJECTIONS {
        (projection.name, projection.version).hash(&mut hasher);
        for table in projection.tables {
            let parts = (
                table.name,
                table.columns,
                table.key,
                table.indexes,
                table.shown,
            );
            format!("{parts:?}").hash(&mut hasher);
        }
    }
    format!("full-{:x}", hasher.finish())
}
