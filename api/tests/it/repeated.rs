//! A request whose answer was lost is sent again: what it did is asked for before any rule that it might break by now.
//! Moves and bookings for a time are beside the other tests of these.

use api::Role;
use serde_json::json;

use crate::app::{TestApp, listen, order};
use crate::client::Answer;
use crate::every_command::forget_the_answers;
use crate::till::{Till, approved};

const KEY: &str = "k";

async fn book(app: &TestApp, address: &str, key: &str) -> Answer {
    let call = app.call_at(address, Role::Book, "POST", "/books");
    let call = call.header("idempotency-key", key);
    call.json(&order("numberone")).send().await
}

#[tokio::test]
async fn a_booking_that_was_stored_is_not_turned_away_for_the_backlog() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let booked = book(&app, app.address(Role::Book), KEY).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    forget_the_answers(&app).await;
    let mut crowded = app.app.clone();
    crowded.settings.payment_backlog_max = -1;
    let address = listen(api::router(Role::Book, crowded), &app.stop).await;
    let answer = book(&app, &address, KEY).await;
    assert_eq!((answer.status, answer.bookid()), (202, 1), "{answer:?}");
    book(&app, &address, "another")
        .await
        .is_problem(503, "payment-overloaded");
}

#[tokio::test]
async fn a_patch_that_was_stored_is_not_held_against_what_it_changed() {
    let app = TestApp::start().await;
    app.book("numberone").await;
    app.settled(1, "BookConfirmed").await;
    let patch = json!([
        {"op": "test", "path": "/status", "value": "success-register"},
        {"op": "replace", "path": "/status", "value": "cancel-booking"},
    ]);
    let cancel = async |key: &str| {
        let call = app.call(Role::Book, "PATCH", "/books/1");
        let call = call.header("idempotency-key", key);
        let call = call.header("content-type", "application/json-patch+json");
        call.body(patch.to_string().into_bytes()).send().await
    };
    assert_eq!(cancel(KEY).await.status, 200);
    forget_the_answers(&app).await;
    let again = cancel(KEY).await;
    assert_eq!(again.status, 200, "{again:?}");
    cancel("another")
        .await
        .is_problem(409, "patch-does-not-fit");
    let cancelled = "events where event_type = 'Bookcancelled'";
    assert_eq!(app.count(cancelled).await, 1);
}
