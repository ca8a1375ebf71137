//! What clients may send, and what they are told when it cannot be used.

use api::Role;
use domain::book;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::client::Answer;
use crate::till::{Till, approved};

async fn post(app: &TestApp, body: &Value) -> Answer {
    app.call(Role::Book, "POST", "/books")
        .json(&body.to_string())
        .send()
        .await
}

#[tokio::test]
async fn the_seeds_loose_bodies_are_understood() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for (body, userid, spacename) in [
        (
            json!({"userid": 1, "spacename": "numberone"}),
            json!(1),
            "numberone",
        ),
        (
            json!({"userid": "1", "spacename": "numberone"}),
            json!(1),
            "numberone",
        ),
        (
            json!({"userid": "", "spacename": "numberone"}),
            json!(null),
            "numberone",
        ),
        (
            json!({"userid": null, "spacename": "numberone"}),
            json!(null),
            "numberone",
        ),
        (
            json!({"userId": "4", "bookid": "4", "spacename": "numberfour"}),
            json!(null),
            "numberfour",
        ),
        (
            json!({"spacename": 5, "unknown": {"deep": [1]}}),
            json!(null),
            "5",
        ),
        (
            json!({"spacename": "스터디룸", "start": "", "end": null}),
            json!(null),
            "스터디룸",
        ),
    ] {
        let answer = post(&app, &body).await;
        assert_eq!(answer.status, 201, "{body}: {answer:?}");
        let shown = answer.json();
        assert_eq!(
            (&shown["userid"], &shown["spacename"]),
            (&userid, &json!(spacename)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn everything_that_cannot_be_used_is_said_at_once() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for (body, expected) in [
        (json!({}), json!([["/spacename", "required"]])),
        (
            json!({"spacename": ""}),
            json!([["/spacename", "required"]]),
        ),
        (
            json!({"spacename": "x", "userid": "one"}),
            json!([["/userid", "not-a-number"]]),
        ),
        (
            json!({"spacename": [], "userid": 1.5}),
            json!([["/userid", "not-a-number"], ["/spacename", "not-a-text"]]),
        ),
        (
            json!({"spacename": "a\u{0}"}),
            json!([["/spacename", "control-character"]]),
        ),
        (
            json!({"spacename": "x", "start": "2026-12-01T10:00:00Z", "end": "2026-12-01T12:00:00Z"}),
            json!([["/start", "no-such-venue"], ["/end", "no-such-venue"]]),
        ),
    ] {
        let problem = post(&app, &body).await.is_problem(422, "validation-failed");
        let errors = problem["errors"].as_array().unwrap().iter();
        let said: Vec<_> = errors
            .map(|error| json!([error["pointer"], error["code"]]))
            .collect();
        assert_eq!(json!(said), expected, "{body}");
    }
    assert_eq!(app.count("events").await, 0);
}

#[tokio::test]
async fn what_is_no_json_object_is_400() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for body in ["", "{", "[]", "userid=1", "{\"spacename\":\"x\"", "\"x\""] {
        for (role, method, path) in [
            (Role::Book, "POST", "/books"),
            (Role::Payment, "POST", "/payments"),
        ] {
            let answer = app.call(role, method, path).json(body).send().await;
            answer.is_problem(400, "malformed-request");
        }
    }
    app.book("numberone").await;
    let answer = app
        .call(Role::Book, "PATCH", "/books/1")
        .json("{")
        .send()
        .await;
    answer.is_problem(400, "malformed-request");
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
}

#[tokio::test]
async fn a_booking_can_only_be_cancelled() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    for (body, pointer, code) in [
        (json!({}), "/status", "required"),
        (json!({"status": ""}), "/status", "required"),
        (
            json!({"status": "success-register"}),
            "/status",
            "not-writable",
        ),
        (
            json!({"status": "cancel-booking", "userid": 2}),
            "/userid",
            "not-writable",
        ),
        (
            json!({"status": "cancel-booking", "spacename": "other"}),
            "/spacename",
            "not-writable",
        ),
        (
            json!({"status": "cancel-booking", "start": "2026-12-01T10:00:00Z"}),
            "/start",
            "not-writable",
        ),
    ] {
        for method in ["PATCH", "PUT"] {
            let answer = app
                .call(Role::Book, method, "/books/1")
                .json(&body.to_string())
                .send()
                .await;
            let problem = answer.is_problem(422, "validation-failed");
            assert_eq!(
                (
                    &problem["errors"][0]["pointer"],
                    &problem["errors"][0]["code"]
                ),
                (&json!(pointer), &json!(code))
            );
        }
    }
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
}

#[tokio::test]
async fn the_seeds_page_saves_all_fields_and_that_cancels_too() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    let body = r#"{"bookid":"","userid":"1","spacename":"numberone","status":"cancel-booking"}"#;
    let answer = app
        .call(Role::Book, "PUT", "/books/1")
        .json(body)
        .send()
        .await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("cancel-booking"))
    );
    assert_eq!(app.events("Book", 1).await, ["Booked", "Bookcancelled"]);
}

#[tokio::test]
async fn cancelling_twice_is_one_cancellation_in_every_way_of_saying_it() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    let first = app.cancel(1).await;
    assert_eq!(
        (first.status, first.header("etag")),
        (200, Some("\"2\"")),
        "{first:?}"
    );
    assert_eq!(first.json()["phase"], "cancelling");
    let again = app.cancel(1).await;
    assert_eq!(
        (again.status, again.position(), &again.body),
        (200, first.position(), &first.body)
    );
    let deleted = app.call(Role::Book, "DELETE", "/books/1").send().await;
    assert_eq!(
        (deleted.status, deleted.position(), deleted.body.as_str()),
        (204, first.position(), "")
    );

    // Also when the cancellation has been carried through.
    let outcome = book::Outcome::Cancelled;
    app.command(1, book::Command::Close { outcome }).await;
    let closed = app.cancel(1).await;
    assert_eq!(
        (closed.status, &closed.json()["status"]),
        (200, &json!("cancel-register"))
    );
    assert_eq!(
        (closed.position(), closed.header("etag")),
        (first.position() + 1, Some("\"3\""))
    );
    let deleted = app.call(Role::Book, "DELETE", "/books/1").send().await;
    assert_eq!(
        (deleted.status, deleted.position()),
        (204, closed.position())
    );
    assert_eq!(
        app.events("Book", 1).await,
        ["Booked", "Bookcancelled", "BookClosed"]
    );
}

#[tokio::test]
async fn what_is_over_otherwise_says_where_it_stands() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    let reason = "declined".to_owned();
    app.command(1, book::Command::Reject { reason }).await;
    let problem = app.cancel(1).await.is_problem(409, "illegal-transition");
    assert_eq!(problem["current"], "payment_failed");
    let deleted = app.call(Role::Book, "DELETE", "/books/1").send().await;
    deleted.is_problem(409, "illegal-transition");
    assert_eq!(app.events("Book", 1).await, ["Booked", "BookRejected"]);
}

#[tokio::test]
async fn delete_cancels_and_deletes_nothing() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    let answer = app.call(Role::Book, "DELETE", "/books/1").send().await;
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("etag")),
        (204, "", Some("\"2\""))
    );
    assert_eq!(app.events("Book", 1).await, ["Booked", "Bookcancelled"]);
}
