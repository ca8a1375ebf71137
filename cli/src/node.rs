//! One process at work: builds the parts that its roles need, starts them, and stops them in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use domain::ports::{PaymentGateway, Random, StubLedger, TakePayment};
use futures::future::BoxFuture;
use journal::runtime::{Runtime, SystemRandom, Tokio};
use journal::{Connections, Journal};
use metrics_exporter_prometheus::PrometheusHandle;
use processes::gateway::stub::StubGateway;
use processes::payment::InlinePayment;
use processes::remote::RemotePayment;
use processes::settings::{BreakerSettings, PaymentSettings};
use projections::file::{Keeper, MypageFile};
use projections::{ReadModels, Watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Role;
use crate::clock;
use crate::database::Database;
use crate::listen::Sockets;
use crate::settings::{Gateway, Settings, Store};

mod metrics_upkeep;

/// Where a process runs: development also shows the stub's ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a developer's machine.
    Development,
    /// Anywhere else.
    Production,
}

/// A running process.
pub struct Node {
    stop: CancellationToken,
    tasks: TaskTracker,
    readiness: api::Readiness,
    pool: Connections,
}

/// What the roles are built from.
struct Parts {
    journal: Journal,
    runtime: Arc<dyn Runtime>,
    gateway: Arc<dyn PaymentGateway>,
    ledger: Arc<dyn StubLedger>,
    payment: Arc<dyn TakePayment>,
    read_models: ReadModels,
    limits: PaymentSettings,
}

impl Node {
    /// Starts every role; returns when all of them are at work and readiness says so.
    pub async fn start(
        settings: &Settings,
        database: &Database,
        roles: &[Role],
        sockets: Sockets,
        place: Place,
    ) -> anyhow::Result<Self> {
        tracing::info!(settings = ?settings.shown(), "settings");
        let pool = database.connect(settings.database_connections_max)?;
        journal::schema::check(&pool)
            .await
            .context("the database cannot be used")?;
        let metrics = metrics_upkeep::install()?;
        let mut parts = Parts::build(settings, roles, pool.clone())?;
        refuse_half_a_journal(&parts.journal).await?;
        let keeper = parts.open_file(settings, roles).await?;
        let node = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            readiness: api::Readiness::default(),
            pool,
        };
        node.start_workers(&parts, roles, &metrics);
        if let Some(keeper) = keeper {
            node.task(&parts, keeper.run(parts.runtime.clone(), node.stop.clone()));
        }
        let bound = Duration::from_secs(settings.readiness_lag_max_seconds.into());
        let watch = Watch::new(parts.read_models.clone(), bound);
        node.task(&parts, watch.run(parts.runtime.clone(), node.stop.clone()));
        node.start_listeners(settings, &parts, roles, sockets, place, metrics);
        node.readiness.set(true);
        Ok(node)
    }

    /// Says "not ready", ends the roles, and waits for them.
    pub async fn stop(self) {
        self.readiness.set(false);
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.pool.close().await;
    }

    fn start_workers(&self, parts: &Parts, roles: &[Role], metrics: &PrometheusHandle) {
        let Parts {
            journal,
            runtime,
            gateway,
            limits,
            ..
        } = parts;
        self.task(
            parts,
            metrics_upkeep::run(
                metrics.clone(),
                journal.clone(),
                runtime.clone(),
                self.stop.clone(),
            ),
        );
        self.task(
            parts,
            journal::notify::run(journal.clone(), runtime.clone(), self.stop.clone()),
        );
        if roles.contains(&Role::Projections) {
            self.task(
                parts,
                projections::run(journal.clone(), runtime.clone(), self.stop.clone()),
            );
        }
        if roles.contains(&Role::Processes) {
            let saga = processes::order::run(
                journal.clone(),
                runtime.clone(),
                limits.clone(),
                self.stop.clone(),
            );
            self.task(parts, saga);
            let jobs = processes::jobs::run(
                journal.clone(),
                gateway.clone(),
                runtime.clone(),
                limits.clone(),
                self.stop.clone(),
            );
            self.task(parts, jobs);
        }
    }

    fn start_listeners(
        &self,
        settings: &Settings,
        parts: &Parts,
        roles: &[Role],
        sockets: Sockets,
        place: Place,
        metrics: PrometheusHandle,
    ) {
        let app = api::App {
            journal: parts.journal.clone(),
            read_models: parts.read_models.clone(),
            payment: parts.payment.clone(),
            ledger: (place == Place::Development).then(|| parts.ledger.clone()),
            runtime: parts.runtime.clone(),
            readiness: self.readiness.clone(),
            metrics: Arc::new(move || metrics.render()),
            settings: http_settings(settings, roles),
        };
        for (role, address) in sockets.addresses() {
            tracing::info!(role, %address, "listening");
        }
        for (role, listener) in sockets.into_inner() {
            let router = api::router(role, app.clone());
            self.task(
                parts,
                api::serve(listener, router, parts.runtime.clone(), self.stop.clone()),
            );
        }
    }

    fn task(&self, parts: &Parts, work: impl Future<Output = ()> + Send + 'static) {
        let work: BoxFuture<'static, ()> = Box::pin(self.tasks.track_future(work));
        parts.runtime.spawn(work);
    }
}

/// An import that was interrupted is nothing to work on: half a history would be acted on as if it were whole.
async fn refuse_half_a_journal(journal: &Journal) -> anyhow::Result<()> {
    if let Some(unfinished) = journal.unfinished_import().await? {
        bail!("{unfinished}, or start on an empty database");
    }
    Ok(())
}

impl Parts {
    fn build(settings: &Settings, roles: &[Role], pool: Connections) -> anyhow::Result<Self> {
        let runtime: Arc<dyn Runtime> = Arc::new(Tokio);
        let random = Arc::new(SystemRandom);
        let journal =
            Journal::new(pool.clone(), clock::of_process()?, random.clone()).as_node(random.uuid());
        let limits = limits(settings);
        let Gateway::Stub = settings.gateway;
        let stub = Arc::new(StubGateway::new(pool, runtime.clone(), random));
        let gateway: Arc<dyn PaymentGateway> = stub.clone();
        let payment: Arc<dyn TakePayment> = match &settings.payment_url {
            Some(url) if !roles.contains(&Role::Payment) => Arc::new(RemotePayment::new(
                url,
                journal.clock().clone(),
                limits.clone(),
                runtime.clone(),
            )?),
            _ => Arc::new(InlinePayment::new(
                journal.clone(),
                gateway.clone(),
                runtime.clone(),
                limits.clone(),
            )),
        };
        Ok(Self {
            read_models: ReadModels::new(journal.clone()),
            journal,
            runtime,
            gateway,
            ledger: stub,
            payment,
            limits,
        })
    }
}

impl Parts {
    /// Opens My Page's file where this process keeps it in one; what comes back fills it.
    async fn open_file(
        &mut self,
        settings: &Settings,
        roles: &[Role],
    ) -> anyhow::Result<Option<Keeper>> {
        if settings.mypage_store != Store::Sqlite || !roles.contains(&Role::Mypage) {
            return Ok(None);
        }
        let path = settings.mypage_sqlite_file.as_ref().context(
            "MYPAGE_STORE=sqlite needs MYPAGE_SQLITE_FILE: a file on a local disk that outlives the process",
        )?;
        let opened = MypageFile::open(path, &self.journal).await;
        let (file, keeper) = opened.context("the file of MYPAGE_SQLITE_FILE cannot be used")?;
        self.read_models = self.read_models.clone().with_mypage_in(file);
        Ok(Some(keeper))
    }
}

fn limits(settings: &Settings) -> PaymentSettings {
    PaymentSettings {
        timeout_ms: settings.payment_timeout_ms,
        call_max_ms: settings.payment_call_max_ms,
        settle_ms: settings.payment_settle_ms,
        late_max: settings.payment_late_max,
        breaker: BreakerSettings {
            window_ms: settings.cb_window_ms,
            min_calls: settings.cb_min_calls,
            error_pct: settings.cb_error_pct,
            open_ms: settings.cb_open_ms,
            max_concurrent: settings.cb_max_concurrent,
        },
    }
}

fn http_settings(settings: &Settings, roles: &[Role]) -> api::Settings {
    let elsewhere =
        |role: Role, url: &Option<String>| url.clone().filter(|_| !roles.contains(&role));
    api::Settings {
        default_price: i64::from(settings.default_price),
        points_currency: settings.points_currency,
        payment_backlog_max: i64::from(settings.payment_backlog_max),
        payment_timeout_ms: settings.payment_timeout_ms,
        readiness_lag_max: Duration::from_secs(settings.readiness_lag_max_seconds.into()),
        require_if_match: settings.require_if_match,
        public_url: settings.public_url.clone(),
        trusted_proxies: settings.trusted_proxies.0.clone(),
        cors_origins: settings.cors_origins.clone(),
        cors_allow_credentials: settings.cors_allow_credentials,
        book_url: elsewhere(Role::Book, &settings.book_url),
        space_url: elsewhere(Role::Space, &settings.space_url),
        payment_url: elsewhere(Role::Payment, &settings.payment_url),
        mypage_url: elsewhere(Role::Mypage, &settings.mypage_url),
    }
}
