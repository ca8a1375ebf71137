//! What an old node says of a booking that a newer one changed, while nodes are upgraded one after the other.

use api::Role;

use crate::app::{TestApp, WITHIN};
use crate::heard::Heard;

/// What a newer node would store: an event that this one has never heard of.
async fn changed_by_a_newer_node(app: &TestApp, aggregate_type: &str, id: i64) {
    sqlx::query(
        r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
           select $1, $2::text, 1 + count(*), 'SecretlyMoved', '4', '{"who": "nobody"}',
                  '{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system"}'
           from events where aggregate_type = $1 and aggregate_id = $2::text"#,
    )
    .bind(aggregate_type)
    .bind(id)
    .execute(app.journal.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_command_on_it_is_503_and_stores_nothing_and_others_go_on() {
    let heard = Heard::new();
    let app = TestApp::start().await;
    for id in [1, 2] {
        assert_eq!(app.book("numberone").await.status, 201);
        app.settled(id, "BookConfirmed").await;
    }
    changed_by_a_newer_node(&app, "Book", 1).await;
    let stored = app.count("events").await;
    let cancel = r#"{"status":"cancel-booking"}"#;
    for (method, body, key) in [
        ("PATCH", cancel, None),
        ("PATCH", cancel, Some("a key")),
        // The key's answer was not kept: tried again, it is worked on again.
        ("PATCH", cancel, Some("a key")),
        ("DELETE", "", None),
    ] {
        let call = app.call(Role::Gateway, method, "/books/1");
        let call = match key {
            Some(key) => call.header("idempotency-key", key),
            None => call,
        };
        let call = if body.is_empty() {
            call
        } else {
            call.json(body)
        };
        let answer = call.send().await;
        answer.is_problem(503, "newer-version-needed");
        assert_eq!(answer.header("retry-after"), Some("30"));
        for internal in ["SecretlyMoved", "nobody", "version \"4\""] {
            assert!(!answer.body.contains(internal), "{}", answer.body);
        }
    }
    assert_eq!(app.count("events").await, stored);
    assert_eq!(heard.metric("requests_for_newer_version_total"), 4);
    let why = [
        "a request was about what only a newer version can read",
        "SecretlyMoved",
    ];
    assert_eq!(heard.lines(&why), 4, "{}", heard.log());
    // It is still shown as far as this node can read it.
    assert_eq!(app.get(Role::Book, "/books/1").await.status, 200);

    assert_eq!(app.cancel(2).await.status, 200);
    local_postgres::testing::timeout(WITHIN, app.settled(2, "BookClosed"))
        .await
        .expect("another booking waits");
}

#[tokio::test]
async fn a_payment_that_a_newer_node_changed_is_not_charged_by_guessing() {
    let app = TestApp::start().await;
    assert_eq!(app.book("numberone").await.status, 201);
    app.settled(1, "BookConfirmed").await;
    changed_by_a_newer_node(&app, "Payment", 1).await;
    let charges = app.count("stub_gateway.charges").await;
    let answer = app
        .call(Role::Payment, "POST", "/payments")
        .json(r#"{"bookid":1}"#)
        .send()
        .await;
    answer.is_problem(503, "newer-version-needed");
    assert_eq!(app.count("stub_gateway.charges").await, charges);
}
