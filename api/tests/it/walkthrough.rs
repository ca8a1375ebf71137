//! The seed's own walk-through, request by request, each answer as a whole.

use api::Role;

use crate::app::TestApp;
use crate::golden::assert_golden;

#[tokio::test]
async fn the_seeds_walk_through() {
    let app = TestApp::start().await;

    assert_golden("01-post-books", &app.book("numberone").await);
    app.get_when(Role::Mypage, "/mypages/1", "Registered").await;
    let payment = app.get_when(Role::Payment, "/payments/1", "success-pay").await;
    assert_golden("02-get-payments-1", &payment);
    let space = app.get_when(Role::Space, "/spaces/1", "success-register").await;
    assert_golden("03-get-spaces-1", &space);
    app.get_when(Role::Book, "/books/1", "success-register").await;

    assert_golden("04-post-books-again", &app.book("numbertwo").await);
    app.get_when(Role::Book, "/books/2", "success-register").await;
    assert_golden("05-patch-books-2", &app.cancel(2).await);
    let payment = app.get_when(Role::Payment, "/payments/2", "cancel-pay").await;
    assert_eq!(payment.json()["refunded"], 10_000);
    let space = app.get_when(Role::Space, "/spaces/2", "cancel-register").await;
    assert_golden("06-get-spaces-2", &space);
    let book = app.get_when(Role::Book, "/books/2", "cancel-register").await;
    assert_golden("07-get-books-2", &book);
    let mypage = app.get_when(Role::Mypage, "/mypages/2", "cancel-register").await;
    assert_golden("08-get-mypages-2", &mypage);
    // Everything has happened: the phase has come to every projection.
    settled(&app).await;
    assert_golden("09-get-payments-2", &app.get(Role::Payment, "/payments/2").await);

    for (name, collection) in [
        ("10-gateway-books", "/books"),
        ("11-gateway-payments", "/payments"),
        ("12-gateway-spaces", "/spaces"),
        ("13-gateway-mypages", "/mypages"),
        ("14-gateway-trace-1", "/mypages/1/trace"),
        ("15-gateway-trace-2", "/mypages/2/trace"),
        ("16-gateway-points-1", "/points/1"),
    ] {
        assert_golden(name, &app.get(Role::Gateway, collection).await);
    }
    let ledger = app.get(Role::Payment, "/stub/ledger").await;
    assert_golden("17-stub-ledger", &ledger);
}

/// Waits until every projection has taken every event.
async fn settled(app: &TestApp) {
    let head = app.journal.head().await.unwrap();
    for (role, path) in [
        (Role::Book, "/books/2"),
        (Role::Payment, "/payments/2"),
        (Role::Space, "/spaces/2"),
        (Role::Mypage, "/mypages/2"),
        (Role::Mypage, "/points/1"),
    ] {
        let answer = app.get(role, &format!("{path}?min_position={head}")).await;
        assert_eq!((answer.status, answer.header("x-projection-lag")), (200, None), "{answer:?}");
    }
}

#[tokio::test]
async fn before_the_first_booking_every_collection_is_empty() {
    let app = TestApp::start().await;
    for (name, role, collection) in [
        ("20-no-books", Role::Book, "/books"),
        ("21-no-payments", Role::Payment, "/payments"),
        ("22-no-spaces", Role::Space, "/spaces"),
        ("23-no-mypages", Role::Mypage, "/mypages"),
    ] {
        assert_golden(name, &app.get(role, collection).await);
    }
    assert_golden("24-no-points", &app.get(Role::Mypage, "/points/1").await);
}

#[tokio::test]
async fn the_seeds_load_script_books_without_a_user() {
    let app = TestApp::start().await;
    // siege sends `userId`, which nobody knows, and numbers as strings.
    let body = r#"{"userId":"4", "bookid":"4", "spacename":"numberfour", "status":"booking" }"#;
    let answer = app
        .call(Role::Book, "POST", "/books")
        .header("content-type", "application/json")
        .body(body.as_bytes().to_vec())
        .send()
        .await;
    assert_golden("30-siege", &answer);
    let mypage = app.get_when(Role::Mypage, "/mypages/1", "Registered").await;
    assert_golden("31-siege-mypage", &mypage);
}

#[tokio::test]
async fn a_declined_card_ends_in_pay_failed_everywhere() {
    let app = TestApp::start().await;
    assert_golden("40-declined", &app.book("declined").await);
    app.get_when(Role::Book, "/books/1", "pay-failed").await;
    app.get_when(Role::Payment, "/payments/1", "pay-failed").await;
    app.get_when(Role::Mypage, "/mypages/1", "pay-failed").await;
    settled_decline(&app).await;
}

/// Nothing was registered, and nothing was charged.
async fn settled_decline(app: &TestApp) {
    let head = app.journal.head().await.unwrap();
    let space = app.get(Role::Space, &format!("/spaces/1?min_position={head}")).await;
    assert_eq!((space.status, space.body.as_str()), (404, ""));
    let ledger = app.get(Role::Payment, "/stub/ledger").await;
    assert_eq!(ledger.json()["charges"], serde_json::json!([]));
}

#[tokio::test]
async fn a_slow_gateway_ends_in_a_paid_booking_all_the_same() {
    let app = TestApp::start().await;
    let answer = app.book("braker").await;
    assert_golden("41-braker", &answer);
    assert!(app.events("Book", 1).await.contains(&"PaymentDeferred".to_owned()));
    app.get_when(Role::Book, "/books/1", "success-register").await;
    app.get_when(Role::Mypage, "/mypages/1", "Registered").await;
    let ledger = app.get(Role::Payment, "/stub/ledger").await.json();
    assert_eq!(ledger["charges"].as_array().unwrap().len(), 1, "{ledger}");
}
