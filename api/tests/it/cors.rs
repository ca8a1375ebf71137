//! Pages of other origins, as a browser would ask for them.

use api::{Role, Settings};

use crate::app::{ROLES, Setup, TestApp, listen, order};
use crate::client::{Answer, raw, seed_host};
use crate::golden::assert_golden;
use crate::till::{Till, approved};

async fn app(origins: &str, allow_credentials: bool) -> TestApp {
    let settings = Settings {
        cors_origins: origins.parse().unwrap(),
        cors_allow_credentials: allow_credentials,
        ..Setup::default().settings
    };
    let setup = Setup {
        payment: Some(Till::answering(approved())),
        settings,
        ..Setup::default()
    };
    TestApp::with(setup).await
}

/// A browser's question before a request that is not simple.
async fn preflight(app: &TestApp, role: Role, path: &str, origin: &str) -> Answer {
    let lines = [
        &format!("OPTIONS {path} HTTP/1.1"),
        &format!("host: {}", seed_host(role)),
        &format!("origin: {origin}"),
        "access-control-request-method: PATCH",
        "access-control-request-headers: content-type,idempotency-key",
    ];
    raw(app.address(role), &lines, "").await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

const PAGE: &str = "http://localhost:8080";
const STRANGER: &str = "https://evil.example";

#[tokio::test]
async fn a_page_of_this_machine_may_call_every_port() {
    let app = app("loopback", false).await;
    for role in ROLES {
        let asked = preflight(&app, role, "/books/1", PAGE).await;
        assert_eq!(
            (asked.status, allowed(&asked)),
            (200, Some(PAGE)),
            "{role:?}"
        );
        let got = app
            .call(role, "GET", "/livez")
            .header("origin", PAGE)
            .send()
            .await;
        assert_eq!((got.status, allowed(&got)), (200, Some(PAGE)), "{role:?}");
    }
    let asked = preflight(&app, Role::Book, "/books/1", PAGE).await;
    assert_golden("60-preflight", &asked);
    let asked = preflight(&app, Role::Book, "/books/1", STRANGER).await;
    assert_golden("61-preflight-of-a-stranger", &asked);
    let post = app
        .call(Role::Book, "POST", "/books")
        .json(&order("numberone"));
    let post = post.header("origin", PAGE).send().await;
    assert_golden("62-simple-request", &post);
    let get = app
        .call(Role::Book, "GET", "/books/99")
        .header("origin", PAGE);
    assert_golden("63-nothing-there", &get.send().await);
    let get = app
        .call(Role::Book, "GET", "/nothing")
        .header("origin", PAGE);
    assert_golden("64-problem", &get.send().await);
    let get = app
        .call(Role::Book, "GET", "/books")
        .header("origin", STRANGER);
    let get = get.send().await;
    assert_eq!((get.status, allowed(&get)), (200, None));
    // A cache must not give one page what was said to another.
    let varies = get.headers.iter().filter(|(name, _)| name == "vary");
    assert!(
        varies
            .map(|(_, value)| value)
            .any(|value| value == "origin")
    );
}

#[tokio::test]
async fn options_that_asks_for_no_other_origin_is_answered_by_its_route() {
    let app = app("loopback", false).await;
    for headers in [
        &[][..],
        &[("origin", PAGE)],
        &[("access-control-request-method", "GET")],
    ] {
        let call = app.call(Role::Book, "OPTIONS", "/books");
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        let answer = call.send().await;
        assert_eq!(
            answer.header("allow"),
            Some("GET,HEAD,POST,OPTIONS"),
            "{headers:?}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
    let plain = app
        .call(Role::Book, "OPTIONS", "/books")
        .header("origin", PAGE);
    assert_eq!(allowed(&plain.send().await), Some(PAGE));
    let unknown = app.call(Role::Book, "OPTIONS", "/nothing").send().await;
    unknown.is_problem(404, "not-found");
}

#[tokio::test]
async fn exact_origins_may_come_with_credentials_and_nobody_else() {
    let app = app("https://app.example", true).await;
    let asked = preflight(&app, Role::Gateway, "/books", "https://app.example").await;
    assert_eq!(allowed(&asked), Some("https://app.example"));
    assert_eq!(
        asked.header("access-control-allow-credentials"),
        Some("true")
    );
    for stranger in [PAGE, STRANGER, "null", "https://app.example.evil.example"] {
        let asked = preflight(&app, Role::Gateway, "/books", stranger).await;
        assert_eq!(allowed(&asked), None, "{stranger}");
    }
}

#[tokio::test]
async fn everybody_is_everybody_without_credentials() {
    // The settings refuse the two together; whoever builds a router without them is not given both either.
    let app = app("*", true).await;
    let asked = preflight(&app, Role::Gateway, "/books", STRANGER).await;
    assert_eq!(allowed(&asked), Some("*"));
    assert_eq!(asked.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn nobody_is_nobody() {
    let app = app("", false).await;
    let asked = preflight(&app, Role::Gateway, "/books", PAGE).await;
    assert_eq!(allowed(&asked), None);
}

#[tokio::test]
async fn behind_the_gateway_its_own_rules_count_and_are_said_once() {
    let app = app("https://app.example", false).await;
    let mut gateway = app.app.clone();
    gateway.settings.book_url = Some(format!("http://{}", app.address(Role::Book)));
    gateway.settings.cors_origins = "loopback".parse().unwrap();
    let address = listen(api::router(Role::Gateway, gateway), &app.stop).await;
    for (origin, expected) in [(PAGE, vec![PAGE]), ("https://app.example", vec![])] {
        let call = app.call_at(&address, Role::Gateway, "GET", "/books");
        let answer = call.header("origin", origin).send().await;
        let values = |name: &str| {
            let values = answer.headers.iter().filter(|(given, _)| given == name);
            values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(values("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(values("vary"), ["accept", "origin"], "{origin}");
    }
}

#[tokio::test]
async fn no_answer_is_taken_for_another_type_than_it_says() {
    let app = app("loopback", false).await;
    for (role, method, path) in [
        (Role::Book, "GET", "/books"),
        (Role::Book, "GET", "/books/99"),
        (Role::Book, "GET", "/nothing"),
        (Role::Book, "BREW", "/books"),
        (Role::Book, "OPTIONS", "/books"),
        (Role::Gateway, "GET", "/metrics"),
        (Role::Gateway, "GET", "/"),
    ] {
        let answer = app.call(role, method, path).send().await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
    let asked = preflight(&app, Role::Book, "/books", PAGE).await;
    assert_eq!(asked.header("x-content-type-options"), Some("nosniff"));
    assert!(asked.header("x-correlation-id").is_some());
}
