//! Health and metrics, on every port.
//!
//! Liveness says that the process answers, and asks nothing else: a database that is away must not get every
//! process killed. Readiness says whether requests should come here. The paths under `/actuator` are those of
//! the seed's manifests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use journal::runtime::within;
use projections::projection::Row;
use projections::{BalanceRow, MypageRow, Standstill};
use serde::Serialize;

use crate::Role;
use crate::state::Api;

/// How long readiness waits for the database.
const PING_MAX: Duration = Duration::from_secs(1);

/// Whether this process has done what it must before it takes requests: migrations are there, every listener
/// is bound. One flag for all routers of a process; it starts as false.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so, or takes it back (before a stop).
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    checks: Checks,
    /// Why followers stand still; named while one does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Checks {
    /// Migrations done and listeners bound, and no stop under way.
    started: &'static str,
    database: &'static str,
    /// Named while it fails: half a journal is there, and nothing may be stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<&'static str>,
    /// Named while it fails: on the port of `/mypages`, while their file does not answer or has not caught up.
    #[serde(skip_serializing_if = "Option::is_none")]
    mypage: Option<&'static str>,
    /// Named while it fails: a read model stands still. On the ports of others the process is only degraded by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    projections: Option<&'static str>,
    /// Named while it fails: the saga, or a slice of it, stands still. No port is more than degraded by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<&'static str>,
}

#[derive(Serialize)]
pub(crate) struct Actuator {
    status: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Info {
    build: Build,
}

#[derive(Serialize)]
struct Build {
    name: &'static str,
    version: &'static str,
}

/// `GET /livez`.
pub(crate) async fn live() -> Json<Actuator> {
    Json(Actuator { status: "ok" })
}

/// `GET /readyz`.
pub(crate) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Health>) {
    let (started, storage) = (api.readiness.is_set(), storage(&api).await);
    let (database, import) = (storage != Storage::Silent, storage != Storage::HalfImported);
    let mypage = mypage_is_ready(&api);
    let frozen = match storage {
        Storage::Ready => Frozen::of(&api).await,
        Storage::HalfImported | Storage::Silent => Frozen::default(),
    };
    let word = |fine| if fine { "ok" } else { "failed" };
    let checks = Checks {
        started: word(started),
        database: word(database),
        import: (!import).then(|| word(import)),
        mypage: (!mypage).then(|| word(mypage)),
        projections: frozen.read_models.then(|| word(false)),
        processes: frozen.others.then(|| word(false)),
    };
    let fine = started && database && import && mypage && !frozen.is_ours;
    let degraded = fine && !frozen.reasons.is_empty();
    (
        status(fine),
        Json(Health {
            status: if degraded { "degraded" } else { word(fine) },
            checks,
            reasons: frozen.reasons,
        }),
    )
}

/// `GET /actuator/health` and `/actuator/health/readiness`.
pub(crate) async fn actuator_ready(State(api): State<Api>) -> (StatusCode, Json<Actuator>) {
    let fine = api.readiness.is_set()
        && mypage_is_ready(&api)
        && storage(&api).await == Storage::Ready
        && !Frozen::of(&api).await.is_ours;
    (
        status(fine),
        Json(Actuator {
            status: if fine { "UP" } else { "DOWN" },
        }),
    )
}

/// `GET /actuator/health/liveness`.
pub(crate) async fn actuator_live() -> Json<Actuator> {
    Json(Actuator { status: "UP" })
}

/// `GET /actuator/info`.
pub(crate) async fn info() -> Json<Info> {
    Json(Info {
        build: Build {
            name: "spacerent",
            version: env!("CARGO_PKG_VERSION"),
        },
    })
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        (api.metrics)(),
    )
}

fn status(fine: bool) -> StatusCode {
    if fine {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Only the port of `/mypages` asks for it: whatever else a process does, it does without.
fn mypage_is_ready(api: &Api) -> bool {
    api.role != Role::Mypage || api.read_models.mypage_is_ready()
}

/// What My Page's port answers from.
const OF_MYPAGE: [&str; 2] = [MypageRow::SCHEMA, BalanceRow::SCHEMA];

/// Followers that stand still for longer than the operator allows.
#[derive(Default)]
struct Frozen {
    /// Whether one fills what this port answers from. Bookings stay up: they are decided on the journal.
    is_ours: bool,
    /// Whether one fills a read model, and whether one does not: the saga.
    read_models: bool,
    others: bool,
    reasons: Vec<String>,
}

impl Frozen {
    async fn of(api: &Api) -> Self {
        let bound = api.settings.readiness_lag_max;
        if bound.is_zero() {
            return Self::default();
        }
        let looking = api.read_models.standstills(bound);
        // A database that does not answer is another check's affair.
        let Some(Ok(found)) = within(&*api.runtime, PING_MAX, looking).await else {
            return Self::default();
        };
        let of_mypage = |found: &Standstill| OF_MYPAGE.contains(&found.follower.as_str());
        let (read_models, others) = (
            found.iter().any(Standstill::is_of_a_read_model),
            found.iter().any(|found| !found.is_of_a_read_model()),
        );
        Self {
            is_ours: api.role == Role::Mypage && found.iter().any(of_mypage),
            read_models,
            others,
            reasons: found.iter().map(Standstill::line).collect(),
        }
    }
}

/// What the database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Ready,
    /// An import is unfinished: nothing is stored and nobody follows until it is gone on with.
    HalfImported,
    Silent,
}

/// A database that says nothing leaves what was known last.
fn show_import(unfinished: bool) {
    metrics::gauge!("import_unfinished").set(f64::from(u8::from(unfinished)));
}

async fn storage(api: &Api) -> Storage {
    match within(&*api.runtime, PING_MAX, api.journal.unfinished_import()).await {
        Some(Ok(None)) => {
            show_import(false);
            Storage::Ready
        }
        Some(Ok(Some(import))) => {
            show_import(true);
            tracing::warn!(source = %import.source, events = import.events, "not ready: an import is unfinished");
            Storage::HalfImported
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            Storage::Silent
        }
        None => {
            tracing::warn!("not ready: the database did not answer in time");
            Storage::Silent
        }
    }
}
