//! The seed's own walk-through, request by request, each answer as a whole.

use api::Role;

use serde_json::json;

use crate::app::{Setup, TestApp};
use crate::golden::assert_golden;

#[tokio::test]
async fn the_seeds_walk_through() {
    let app = TestApp::start().await;

    assert_golden("01-post-books", &app.book("numberone").await);
    app.settled(1, "BookConfirmed").await;
    assert_golden(
        "02-get-payments-1",
        &app.get(Role::Payment, "/payments/1").await,
    );
    assert_golden("03-get-spaces-1", &app.get(Role::Space, "/spaces/1").await);
    assert_golden("04-get-books", &app.get(Role::Book, "/books").await);
    assert_golden("05-get-mypages", &app.get(Role::Mypage, "/mypages").await);

    assert_golden("06-post-books-again", &app.book("numbertwo").await);
    app.settled(2, "BookConfirmed").await;
    assert_golden("07-patch-books-2", &app.cancel(2).await);
    app.settled(2, "BookClosed").await;
    assert_golden(
        "08-get-payments-2",
        &app.get(Role::Payment, "/payments/2").await,
    );
    assert_golden("09-get-spaces-2", &app.get(Role::Space, "/spaces/2").await);
    assert_golden("10-get-books-2", &app.get(Role::Book, "/books/2").await);
    assert_golden(
        "11-get-mypages-2",
        &app.get(Role::Mypage, "/mypages/2").await,
    );

    for (name, path) in [
        ("12-gateway-books", "/books"),
        ("13-gateway-payments", "/payments"),
        ("14-gateway-spaces", "/spaces"),
        ("15-gateway-mypages", "/mypages"),
        ("16-gateway-trace-1", "/mypages/1/trace"),
        ("17-gateway-trace-2", "/mypages/2/trace"),
        ("18-gateway-points-1", "/points/1"),
    ] {
        assert_golden(name, &app.get(Role::Gateway, path).await);
    }
    let ledger = app.get(Role::Payment, "/stub/ledger").await;
    assert_golden("19-stub-ledger", &ledger);
}

#[tokio::test]
async fn each_resource_comes_to_the_seeds_status_by_itself() {
    let app = TestApp::start().await;
    app.book("numberone").await;
    for (role, path, status) in [
        (Role::Payment, "/payments/1", "success-pay"),
        (Role::Space, "/spaces/1", "success-register"),
        (Role::Book, "/books/1", "success-register"),
        (Role::Mypage, "/mypages/1", "Registered"),
    ] {
        app.get_when(role, path, status).await;
    }
    app.cancel(1).await;
    for (role, path, status) in [
        (Role::Payment, "/payments/1", "cancel-pay"),
        (Role::Space, "/spaces/1", "cancel-register"),
        (Role::Book, "/books/1", "cancel-register"),
        (Role::Mypage, "/mypages/1", "cancel-register"),
    ] {
        app.get_when(role, path, status).await;
    }
    let head = app.journal.head().await.unwrap();
    let points = app
        .get(Role::Mypage, &format!("/points/1?min_position={head}"))
        .await;
    assert_eq!(points.json()["points"], 0);
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
    app.settled(1, "BookRejected").await;
    for (role, path) in [
        (Role::Book, "/books/1"),
        (Role::Payment, "/payments/1"),
        (Role::Mypage, "/mypages/1"),
    ] {
        let answer = app.get(role, path).await.json();
        assert_eq!(
            (&answer["status"], &answer["phase"]),
            (&json!("pay-failed"), &json!("payment_failed"))
        );
    }
    let space = app.get(Role::Space, "/spaces/1").await;
    assert_eq!((space.status, space.body.as_str()), (404, ""));
    let ledger = app.get(Role::Payment, "/stub/ledger").await;
    assert_eq!(ledger.json()["charges"], json!([]));
}

#[tokio::test]
async fn a_slow_gateway_ends_in_a_paid_booking_all_the_same() {
    let mut setup = Setup::default();
    setup.settings.payment_timeout_ms = 2_000;
    let app = TestApp::with(setup).await;
    assert_golden("41-braker", &app.book("braker").await);
    app.get_when(Role::Book, "/books/1", "success-register")
        .await;
    app.get_when(Role::Mypage, "/mypages/1", "Registered").await;
    assert_eq!(
        app.events("Book", 1).await[..2],
        ["Booked", "PaymentDeferred"]
    );
    let ledger = app.get(Role::Payment, "/stub/ledger").await.json();
    assert_eq!(ledger["charges"].as_array().unwrap().len(), 1, "{ledger}");
}
