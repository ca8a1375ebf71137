//! Every route and every layer.

use std::any::Any;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::books::{self, BookView, cancellation, reschedule};
use crate::client::Client;
use crate::methods::{get, post};
use crate::mypages::{self, MypageView};
use crate::part::{Part, Route, at};
use crate::payments::{self, PaymentView, money};
use crate::problem::Problem;
use crate::profile;
use crate::resource::{list, show};
use crate::spaces::SpaceView;
use crate::spaces::staff::{self, Step};
use crate::state::Api;
use crate::{
    App, Role, correlation, cors, forwarded, health, host, ledger, limits, manager, points, proxy,
    slots, venues,
};

/// The routes of a role, with health and metrics beside them.
pub fn router(role: Role, app: App) -> Router {
    let api = Api::new(role, app);
    let settings = &api.settings;
    let origins = cors::rules(&settings.cors_origins, settings.cors_allow_credentials);
    let nosniff = HeaderValue::from_static("nosniff");
    role_routes(role, &api)
        .merge(at(always()))
        .fallback(|| async { Problem::NotFound })
        .layer(from_fn_with_state(api.clone(), limits::whole_body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), forwarded::layer))
        .layer(from_fn(host::layer))
        .layer(from_fn_with_state(origins, cors::layer))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            nosniff,
        ))
        .layer(from_fn_with_state(api.clone(), correlation::layer))
        .with_state(api)
}

/// The commands that a role takes, as method and path: for callers that must treat all of them alike.
#[must_use]
pub fn commands(role: Role, app: App) -> Vec<(&'static str, String)> {
    let api = Api::new(role, app);
    let parts = parts(role, &api).into_iter();
    let routes = parts.flat_map(|(part, _)| part.routes);
    routes
        .flat_map(|(path, methods)| {
            let taken = methods.taken().iter().copied();
            let commands = taken.filter(|method| !matches!(*method, "GET" | "HEAD"));
            commands
                .map(|method| (method, path.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn book() -> Part {
    let item = get(show::<BookView>)
        .put(books::change)
        .patch(books::change)
        .delete(books::delete);
    let venue = get(venues::show).put(venues::put).delete(venues::retire);
    Part::of::<BookView>(get(list::<BookView>).post(books::place), item)
        .and("/books/{id}/cancel", post(cancellation::cancel))
        .and("/books/{id}/reschedule", post(reschedule::reschedule))
        .and("/books/{id}/cancellation-quote", get(cancellation::quote))
        .and("/quotes", post(slots::quote))
        .and("/venues", get(venues::list).post(venues::define))
        .and("/venues/{spacename}", venue)
        .showing(&[("venues", "/venues{?page,size}"), ("quotes", "/quotes")])
}

fn space() -> Part {
    Part::of::<SpaceView>(get(list::<SpaceView>), get(show::<SpaceView>))
        .and("/spaces/availability", get(slots::availability))
        .and("/spaces/{id}/prepare", staff::takes(Step::Prepare))
        .and("/spaces/{id}/ready", staff::takes(Step::Ready))
        .and("/spaces/{id}/hand-over", staff::takes(Step::HandOver))
        .and("/spaces/{id}/check-in", staff::takes(Step::CheckIn))
        .and("/spaces/{id}/check-out", staff::takes(Step::CheckOut))
        .and("/spaces/{id}/no-show", staff::takes(Step::NoShow))
        .showing(&[(
            "availability",
            "/spaces/availability{?spacename,from,to,duration}",
        )])
}

fn payment(api: &Api) -> Part {
    let collection = get(list::<PaymentView>).post(payments::take);
    let part = Part::of::<PaymentView>(collection, get(show::<PaymentView>))
        .and("/payments/{id}/refunds", post(money::refund))
        .and("/payments/{id}/charges", post(money::charge));
    match api.ledger {
        Some(_) => part.and("/stub/ledger", get(ledger::show)),
        None => part,
    }
}

fn mypage() -> Part {
    Part::of::<MypageView>(get(list::<MypageView>), get(show::<MypageView>))
        .and("/mypages/{id}/trace", get(mypages::trace))
        .and("/points/{userid}", get(points::show))
        .and("/points/{userid}/ledger", get(points::ledger))
        .and("/manager/board", get(manager::board))
        .and("/manager/calendar", get(manager::calendar))
        .and("/manager/preparation", get(manager::preparation))
        .and("/manager/arrivals", get(manager::arrivals))
        .and("/manager/stuck", get(manager::stuck))
        .and("/manager/occupancy", get(manager::occupancy))
        .and("/manager/revenue", get(manager::revenue))
        .showing(&[
            ("points", "/points/{userid}"),
            ("ledger", "/points/{userid}/ledger"),
            ("board", "/manager/board{?spacename,date}"),
            ("calendar", "/manager/calendar{?spacename,from,to}"),
            ("preparation", "/manager/preparation{?spacename}"),
            ("arrivals", "/manager/arrivals{?spacename,date}"),
            ("stuck", "/manager/stuck{?older_than_minutes}"),
            ("occupancy", "/manager/occupancy{?spacename,from,to}"),
            ("revenue", "/manager/revenue{?from,to,spacename}"),
        ])
}

fn always() -> Vec<Route> {
    let route = |path: &str, methods| (path.to_owned(), methods);
    vec![
        route("/livez", get(health::live)),
        route("/readyz", get(health::ready)),
        route("/actuator/health", get(health::actuator_ready)),
        route("/actuator/health/readiness", get(health::actuator_ready)),
        route("/actuator/health/liveness", get(health::actuator_live)),
        route("/actuator/info", get(health::info)),
        route("/metrics", get(health::metrics)),
    ]
}

/// The resources of a role: its own, or as the gateway all of them, and where they are when it is elsewhere.
fn parts(role: Role, api: &Api) -> Vec<(Part, &Option<String>)> {
    let settings = &api.settings;
    match role {
        Role::Book => vec![(book(), &None)],
        Role::Space => vec![(space(), &None)],
        Role::Payment => vec![(payment(api), &None)],
        Role::Mypage => vec![(mypage(), &None)],
        Role::Gateway => vec![
            (book(), &settings.book_url),
            (space(), &settings.space_url),
            (payment(api), &settings.payment_url),
            (mypage(), &settings.mypage_url),
        ],
    }
}

/// What a role answers, what is elsewhere by asking there.
fn role_routes(role: Role, api: &Api) -> Router<Api> {
    let parts = parts(role, api);
    let entries: Vec<_> = parts.iter().map(|(part, _)| part.entry).collect();
    let profiles = entries.clone();
    let further: Vec<_> = parts
        .iter()
        .flat_map(|(part, _)| part.further.clone())
        .collect();
    let mut ours = vec![
        (
            "/".to_owned(),
            get(async move |client: Client| profile::root(&client, &entries, &further)),
        ),
        (
            "/profile".to_owned(),
            get(async move |client: Client| profile::index(&client, &profiles)),
        ),
    ];
    let mut elsewhere = Router::new();
    for (part, url) in parts {
        ours.push(part.profile);
        match url {
            None => ours.extend(part.routes),
            Some(url) => {
                let paths = part.routes.iter().map(|(path, _)| path.as_str());
                elsewhere = elsewhere.merge(proxy::routes(paths, url));
            }
        }
    }
    let in_time = from_fn_with_state(api.clone(), limits::in_time);
    at(ours).layer(in_time).merge(elsewhere)
}

/// A handler that panics ends its request and nothing else.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::Internal.into_response()
}
