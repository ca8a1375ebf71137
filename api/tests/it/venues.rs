//! Venues over HTTP: defined, changed, retired; what is free; what a booking would cost; bookings for a time.

mod asked;
mod booked;

use api::{Role, Settings};
use serde_json::{Value, json};

use crate::app::{Setup, TestApp};
use crate::client::Answer;
use crate::till::{Till, approved};

impl TestApp {
    /// A venue named numberone, with these parts.
    pub(crate) async fn venue(&self, mut body: Value) -> Answer {
        body["spacename"] = json!("numberone");
        self.post("/venues", &body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let call = self.call(Role::Book, "POST", path);
        call.json(&body.to_string()).send().await
    }

    pub(crate) async fn put(&self, body: &Value) -> Answer {
        let call = self.call(Role::Book, "PUT", "/venues/numberone");
        call.json(&body.to_string()).send().await
    }

    /// Books numberone for a time.
    pub(crate) async fn book_at(&self, start: &str, end: &str) -> Answer {
        let body = json!({"userid": 1, "spacename": "numberone", "start": start, "end": end});
        self.post("/books", &body).await
    }

    async fn windows(&self, parameters: &str) -> Value {
        let path = format!("/spaces/availability?spacename=numberone&{parameters}");
        let answer = self.get(Role::Space, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["windows"].clone()
    }
}

/// Compares a body with its snapshot.
fn is_shown(name: &str, answer: &Answer) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let body = serde_json::to_string_pretty(&answer.json()).unwrap();
    settings.bind(|| insta::assert_snapshot!(name, body));
}

/// A time a long way off.
fn at(time: &str) -> String {
    format!("2031-12-01T{time}:00+09:00")
}

fn seoul() -> Value {
    json!({
        "timezone": "Asia/Seoul", "units": 1, "price_per_hour": {"amount": 10_000, "currency": "KRW"},
        "opening_hours": {"monday": [{"from": "09:00", "to": "18:00"}]}, "granularity_minutes": 30,
    })
}

async fn paid() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

#[tokio::test]
async fn a_name_is_enough_and_everything_is_shown() {
    let app = paid().await;
    let defined = app.venue(json!({})).await;
    assert_eq!(defined.status, 201, "{defined:?}");
    assert_eq!(
        defined.header("location"),
        Some("http://localhost:8081/venues/numberone")
    );
    assert_eq!(defined.header("etag"), Some("\"1\""));
    let shown = app.get(Role::Book, "/venues/numberone").await;
    assert_eq!((shown.status, shown.json()), (200, defined.json()));
    is_shown("70-venue", &shown);
    assert_eq!(
        app.get(Role::Gateway, "/venues/numberone").await.status,
        200
    );
    assert_eq!(app.get(Role::Book, "/venues/numbertwo").await.status, 404);
    let again = app.venue(json!({"units": 2})).await;
    again.is_problem(409, "venue-exists");
    assert_eq!(again.header("etag"), Some("\"1\""));
}

#[tokio::test]
async fn a_venue_is_changed_by_who_knows_its_version() {
    let app = paid().await;
    app.venue(json!({"units": 3})).await;
    let shown = app.get(Role::Book, "/venues/numberone").await;
    // What was shown may be sent back.
    let changed = app.put(&shown.json()).await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, Some("\"2\""))
    );
    assert_eq!(changed.json()["units"], 3);
    // What is omitted has its default again.
    let with = |version: &str| {
        let call = app.call(Role::Book, "PUT", "/venues/numberone");
        call.header("if-match", version).json("{}").send()
    };
    let stale = with("\"1\"").await;
    stale.is_problem(412, "version-mismatch");
    assert_eq!(stale.header("etag"), Some("\"2\""));
    let changed = with("\"2\"").await;
    assert_eq!(
        (changed.status, changed.json()["units"].clone()),
        (200, json!(1))
    );
    // The tag of what is read begins with the version, and stands for it.
    let tag = app.get(Role::Book, "/venues/numberone").await;
    let tag = tag.header("etag").unwrap();
    assert!(tag.starts_with("\"3-"), "{tag}");
    assert_eq!(with(tag).await.status, 200);
    let other = app.put(&json!({"spacename": "numbertwo"})).await;
    assert_eq!(
        other.is_problem(422, "validation-failed")["errors"][0]["pointer"],
        "/spacename"
    );
}

#[tokio::test]
async fn a_venue_can_be_put_where_there_is_none_and_names_may_be_anything() {
    let app = paid().await;
    for name in ["회의실 1", "a/b?c", "100%", "ÿ~"] {
        let body = json!({"spacename": name});
        let defined = app.post("/venues", &body).await;
        let path = defined.header("location").unwrap();
        let path = path
            .strip_prefix("http://localhost:8081")
            .unwrap()
            .to_owned();
        assert_eq!(app.get(Role::Book, &path).await.json()["spacename"], name);
        let gone = app.call(Role::Book, "DELETE", &path).send().await;
        assert_eq!(gone.status, 204, "{name}");
        let put = app.call(Role::Book, "PUT", &path).json("{}").send().await;
        assert_eq!(
            (put.status, put.json()["spacename"].clone()),
            (201, json!(name))
        );
    }
    let listed = app.get(Role::Book, "/venues?size=3").await.json();
    assert_eq!(listed["_embedded"]["venues"][0]["spacename"], "100%");
    assert_eq!(listed["page"]["totalElements"], 4);
    assert_eq!(
        listed["_links"]["next"]["href"],
        "http://localhost:8081/venues?page=1&size=3"
    );
    // They have one order, and are large: a page has 50 at most.
    let page = app
        .get(Role::Book, "/venues?size=1000&sort=units")
        .await
        .json();
    assert_eq!(page["page"]["size"], 50);
    assert_eq!(
        page["_links"]["self"]["href"],
        "http://localhost:8081/venues?page=0&size=50"
    );
    let unasked = app.get(Role::Book, "/venues").await.json();
    assert_eq!(
        unasked["_links"]["self"]["href"],
        "http://localhost:8081/venues{?page,size}"
    );
    let rest = app.get(Role::Book, "/venues?size=3&page=1").await.json();
    assert_eq!(rest["_embedded"]["venues"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_venue_is_said_and_nothing_is_stored() {
    let app = paid().await;
    let wrong = json!({"units": 0, "timezone": "Mars/Olympus", "rates": [{"price_per_hour": 7}], "size": "xl"});
    let answer = app.venue(wrong).await.is_problem(422, "validation-failed");
    let errors = answer["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = errors.map(|error| error["pointer"].clone()).collect();
    assert_eq!(
        pointers,
        ["/rates/0/price_per_hour", "/size", "/timezone", "/units"]
    );
    let twice = app.call(Role::Book, "POST", "/venues");
    let twice = twice.json(r#"{"spacename":"numberone","units":1,"units":3}"#);
    twice.send().await.is_problem(400, "malformed-request");
    app.post("/venues", &json!([]))
        .await
        .is_problem(400, "malformed-request");
    assert_eq!(app.count("venues").await, 0);
}

#[tokio::test]
async fn a_retired_venue_takes_no_bookings_and_those_it_has_go_on() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let booked = app.book_at(&at("10:00"), &at("11:00")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let retire = async || {
        app.call(Role::Book, "DELETE", "/venues/numberone")
            .send()
            .await
    };
    assert_eq!(retire().await.status, 204);
    assert_eq!(retire().await.status, 404);
    assert_eq!(app.get(Role::Book, "/venues/numberone").await.status, 404);
    for answer in [
        app.book_at(&at("12:00"), &at("13:00")).await,
        app.book("numberone").await,
    ] {
        let errors = answer.is_problem(422, "validation-failed")["errors"].clone();
        assert_eq!(errors[0]["code"], "venue-retired");
    }
    let path = format!("/mypages/{}", booked.bookid());
    app.get_when(Role::Mypage, &path, "Registered").await;
}

#[tokio::test]
async fn a_change_of_a_venue_may_have_to_say_its_version() {
    let setup = Setup {
        payment: Some(Till::answering(approved())),
        settings: Settings {
            require_if_match: true,
            ..Settings::default()
        },
        ..Setup::default()
    };
    let app = TestApp::with(setup).await;
    assert_eq!(app.venue(json!({})).await.status, 201);
    app.put(&json!({}))
        .await
        .is_problem(428, "if-match-required");
    let delete = app.call(Role::Book, "DELETE", "/venues/numberone");
    delete.send().await.is_problem(428, "if-match-required");
}

#[tokio::test]
async fn where_no_venue_is_no_version_matches() {
    let app = paid().await;
    let put = async |version: &str| {
        let call = app.call(Role::Book, "PUT", "/venues/numberone");
        call.header("if-match", version).json("{}").send().await
    };
    for version in ["*", "\"1\""] {
        put(version).await.is_problem(412, "version-mismatch");
    }
    app.venue(json!({})).await;
    assert_eq!(put("*").await.status, 200);
    let retire = app.call(Role::Book, "DELETE", "/venues/numberone");
    assert_eq!(retire.send().await.status, 204);
    for version in ["*", "\"3\""] {
        put(version).await.is_problem(412, "version-mismatch");
    }
}
