//! Every route and every layer.

use std::any::Any;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use crate::problem::Problem;
use crate::state::Api;
use crate::{
    App, Role, books, correlation, health, ledger, limits, mypages, payments, points, proxy, spaces,
};

/// The routes of a role, with health and metrics beside them.
pub fn router(role: Role, app: App) -> Router {
    let api = Api::new(app);
    let (ours, elsewhere) = resources(role, &api);
    ours.layer(from_fn_with_state(api.clone(), limits::in_time))
        .merge(elsewhere)
        .merge(always())
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .layer(from_fn_with_state(api.clone(), limits::whole_body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), correlation::layer))
        .with_state(api)
}

fn book() -> Router<Api> {
    let one = get(books::show)
        .put(books::change)
        .patch(books::change)
        .delete(books::delete);
    Router::new()
        .route("/books", get(books::list).post(books::place))
        .route("/books/{id}", one)
}

fn space() -> Router<Api> {
    Router::new()
        .route("/spaces", get(spaces::list))
        .route("/spaces/{id}", get(spaces::show))
}

fn payment(api: &Api) -> Router<Api> {
    let routes = Router::new()
        .route("/payments", get(payments::list).post(payments::take))
        .route("/payments/{id}", get(payments::show));
    match api.ledger {
        Some(_) => routes.route("/stub/ledger", get(ledger::show)),
        None => routes,
    }
}

fn mypage() -> Router<Api> {
    Router::new()
        .route("/mypages", get(mypages::list))
        .route("/mypages/{id}", get(mypages::show))
        .route("/mypages/{id}/trace", get(mypages::trace))
        .route("/points/{userid}", get(points::show))
}

fn always() -> Router<Api> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/actuator/health", get(health::actuator_ready))
        .route("/actuator/health/readiness", get(health::actuator_ready))
        .route("/actuator/health/liveness", get(health::actuator_live))
        .route("/actuator/info", get(health::info))
        .route("/metrics", get(health::metrics))
}

/// A role's resources: those that this process answers, and those that the gateway asks others for.
fn resources(role: Role, api: &Api) -> (Router<Api>, Router<Api>) {
    match role {
        Role::Book => (book(), Router::new()),
        Role::Space => (space(), Router::new()),
        Role::Payment => (payment(api), Router::new()),
        Role::Mypage => (mypage(), Router::new()),
        Role::Gateway => gateway(api),
    }
}

fn gateway(api: &Api) -> (Router<Api>, Router<Api>) {
    let settings = &api.settings;
    let (mut ours, mut elsewhere) = (Router::new(), Router::new());
    for (routes, names, url) in [
        (book(), &["books"][..], &settings.book_url),
        (space(), &["spaces"], &settings.space_url),
        (payment(api), &["payments"], &settings.payment_url),
        (mypage(), &["mypages", "points"], &settings.mypage_url),
    ] {
        match url {
            None => ours = ours.merge(routes),
            Some(url) => elsewhere = elsewhere.merge(proxy::routes(names, url)),
        }
    }
    (ours, elsewhere)
}

/// A handler that panics ends its request and nothing else.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::Internal.into_response()
}
