//! The journey: in, out, and on every event that it led to.

use api::Role;

use crate::app::{TestApp, eventually};
use crate::till::{Till, approved, pending};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn every_answer_carries_the_journey_that_the_client_named() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for (role, method, path) in [
        (Role::Book, "POST", "/books"),
        (Role::Book, "GET", "/books"),
        (Role::Book, "GET", "/books/99"),
        (Role::Mypage, "DELETE", "/mypages"),
        (Role::Gateway, "GET", "/nothing"),
        (Role::Space, "GET", "/livez"),
    ] {
        let call = app
            .call(role, method, path)
            .header("x-correlation-id", "journey-1");
        let answer = call
            .header("traceparent", TRACEPARENT)
            .json("{")
            .send()
            .await;
        assert_eq!(
            answer.header("x-correlation-id"),
            Some("journey-1"),
            "{method} {path}"
        );
        assert_eq!(
            answer.header("traceparent"),
            Some(TRACEPARENT),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_used_is_replaced() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let too_long = "x".repeat(129);
    for name in ["two words", "", &too_long] {
        let call = app
            .call(Role::Book, "GET", "/books")
            .header("x-correlation-id", name);
        let answer = call.header("traceparent", "nonsense").send().await;
        let replaced = answer.header("x-correlation-id").unwrap();
        assert_eq!(replaced.len(), 36, "{replaced}");
        assert_eq!(answer.header("traceparent"), None);
    }
    let [first, second] = [
        app.get(Role::Book, "/books").await,
        app.get(Role::Book, "/books").await,
    ];
    assert_ne!(
        first.header("x-correlation-id"),
        second.header("x-correlation-id")
    );
}

#[tokio::test]
async fn every_event_of_the_booking_belongs_to_the_journey() {
    let app = TestApp::start().await;
    let call = app
        .call(Role::Book, "POST", "/books")
        .header("x-correlation-id", "journey-1");
    let call = call.header("traceparent", TRACEPARENT);
    assert_eq!(
        call.json(r#"{"userid":1,"spacename":"numberone"}"#)
            .send()
            .await
            .status,
        201
    );
    eventually("the booking is confirmed", async || {
        app.events("Book", 1).await.len() == 2
    })
    .await;
    let journeys: Vec<(String, String, Option<String>, String)> = sqlx::query_as(
        "select event_type, metadata->>'correlation_id', metadata->>'traceparent', metadata->>'actor_type'
         from events order by position",
    )
    .fetch_all(app.journal.pool())
    .await
    .unwrap();
    assert_eq!(journeys.len(), 6, "{journeys:?}");
    for (event, correlation_id, traceparent, actor) in journeys {
        assert_eq!(correlation_id, "journey-1", "{event}");
        assert_eq!(traceparent.as_deref(), Some(TRACEPARENT), "{event}");
        let asked_for = ["Booked", "PaymentRequested"].contains(&event.as_str());
        assert_eq!(
            actor,
            if asked_for { "customer" } else { "system" },
            "{event}"
        );
    }
}

#[tokio::test]
async fn what_we_add_to_a_booking_is_ours() {
    let till = Till::answering(pending());
    let app = TestApp::paid_by(till.clone()).await;
    let call = app
        .call(Role::Book, "POST", "/books")
        .header("x-correlation-id", "journey-2");
    assert_eq!(
        call.json(r#"{"spacename":"numberone"}"#)
            .send()
            .await
            .status,
        202
    );
    let actor: (String, String) = sqlx::query_as(
        "select metadata->>'actor_type', metadata->>'correlation_id' from events
         where event_type = 'PaymentDeferred'",
    )
    .fetch_one(app.journal.pool())
    .await
    .unwrap();
    assert_eq!(actor, ("system".to_owned(), "journey-2".to_owned()));
    assert_eq!(till.asked()[0].correlation_id, "journey-2");
}
