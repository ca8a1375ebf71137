//! What went back, what is charged once more, and points.

use api::Role;
use futures::future::join_all;
use serde_json::json;

use crate::app::TestApp;
use crate::every_command::confirmed_for_a_time;
use crate::till::{Till, approved};

#[tokio::test]
async fn points_pay_and_are_not_spent_twice() {
    let app = TestApp::start().await;
    let bookid = app.book("numberone").await.bookid();
    app.settled(bookid, "BookConfirmed").await;
    app.points_of(1, 100).await;
    let with_points = json!({"userid": 1, "spacename": "numberone", "points": 40});
    let answers = join_all((0..10).map(|_| app.post("/books", &with_points))).await;
    let (paid, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    for answer in &refused {
        answer.is_problem(409, "points-not-covered");
    }
    // 100 points pay for two bookings at once; each of them earns 99 more, of which others may pay meanwhile.
    assert!((2..=8).contains(&paid.len()), "{}", paid.len());
    let each = i64::try_from(paid.len()).unwrap();
    app.points_of(1, 100 + each * (99 - 40)).await;
    let one = paid[0];
    assert_eq!(one.json()["amount"], 10_000);
    app.payment_has(one.bookid(), "captured", 9_960).await;
    app.post(
        "/books",
        &json!({"userid": 1, "spacename": "numberone", "points": 10_001}),
    )
    .await
    .is_problem(422, "validation-failed");
    app.post("/books", &json!({"spacename": "numberone", "points": 1}))
        .await
        .is_problem(422, "validation-failed");
}

#[tokio::test]
async fn points_that_paid_come_back_with_the_cancellation() {
    let app = TestApp::start().await;
    let first = app.book("numberone").await.bookid();
    app.settled(first, "BookConfirmed").await;
    app.points_of(1, 100).await;
    let body = json!({"userid": 1, "spacename": "numberone", "points": 100});
    let second = app.post("/books", &body).await.bookid();
    app.settled(second, "BookConfirmed").await;
    app.points_of(1, 99).await;
    assert_eq!(app.cancel(second).await.status, 200);
    app.payment_has(second, "refunded", 9_900).await;
    app.points_of(1, 100).await;
}

#[tokio::test]
async fn a_manager_gives_back_a_part_and_no_more_than_there_is() {
    let app = TestApp::start().await;
    let bookid = app.book("numberone").await.bookid();
    app.settled(bookid, "BookConfirmed").await;
    let refund = app.refund(bookid, 3_000).await;
    assert_eq!(refund.status, 202, "{refund:?}");
    assert_eq!(refund.json()["refundable"], 7_000);
    app.payment_has(bookid, "refunded", 3_000).await;
    app.points_of(1, 70).await;
    app.refund(bookid, 7_001)
        .await
        .is_problem(409, "not-refundable");
    for amount in [0, -5] {
        let refused = app.refund(bookid, amount).await;
        let errors = refused.is_problem(422, "validation-failed")["errors"].clone();
        assert_eq!(
            (&errors[0]["pointer"], &errors[0]["code"]),
            (&json!("/amount"), &json!("out-of-range"))
        );
    }
    let path = format!("/payments/{bookid}/refunds");
    for (field, value) in [("currency", json!("USD")), ("amuont", json!(1))] {
        let mut body = json!({"amount": 1, "reason": "rain"});
        body[field] = value;
        let refused = app
            .call(Role::Payment, "POST", &path)
            .json(&body.to_string());
        let refused = refused.send().await;
        let pointer = refused.is_problem(422, "validation-failed")["errors"][0]["pointer"].clone();
        assert_eq!(pointer, format!("/{field}"));
    }
    assert_eq!(app.refund(999, 1).await.status, 404);
}

#[tokio::test]
async fn what_the_terms_kept_of_a_cancelled_booking_is_said() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(30, 1).await;
    let path = format!("/books/{bookid}/cancel");
    assert_eq!(app.post(&path, &json!({})).await.status, 200);
    app.payment_has(bookid, "refunded", 5_000).await;
    let refused = app.refund(bookid, 1).await;
    let detail = refused.is_problem(409, "not-refundable")["detail"].clone();
    let said =
        "the booking was cancelled by its terms, which kept 5000; that cannot be given back here";
    assert_eq!(detail, said);
}

#[tokio::test]
async fn what_was_declined_is_charged_once_more_and_nothing_else_is() {
    // Nobody charges here, so what is asked for stays under way.
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let bookid = app.book("numberone").await.bookid();
    let charge = || app.charge_again(bookid);
    charge().await.is_problem(409, "nothing-outstanding");
    app.pay(bookid).await;
    charge().await.is_problem(409, "nothing-outstanding");
    app.declined_overtime(bookid, 2).await;
    for _ in 0..2 {
        let asked = charge().await;
        assert_eq!(asked.status, 202, "{asked:?}");
        assert_eq!(asked.json()["outstanding"], 0);
    }
    let story = app.events("Payment", bookid).await;
    let charges = story.iter().filter(|name| *name == "ChargeRequested");
    assert_eq!(charges.count(), 2, "{story:?}");
    assert_eq!(app.charge_again(999).await.status, 404);
}

#[tokio::test]
async fn what_was_declined_waits_for_a_charge_that_is_under_way() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let bookid = confirmed_for_a_time(&app).await;
    let body = json!({"start": "2099-01-02T10:00:00Z", "end": "2099-01-02T12:00:00Z"});
    let path = format!("/books/{bookid}/reschedule");
    assert_eq!(app.post(&path, &body).await.status, 200);
    app.declined_overtime(bookid, 3).await;
    app.charge_again(bookid)
        .await
        .is_problem(409, "payment-open");
}

#[tokio::test]
async fn what_is_over_is_not_charged_again() {
    let app = TestApp::start().await;
    let bookid = app.book("numberone").await.bookid();
    app.settled(bookid, "BookConfirmed").await;
    app.declined_overtime(bookid, 2).await;
    assert_eq!(app.cancel(bookid).await.status, 200);
    app.settled(bookid, "BookClosed").await;
    let events = app.count("events").await;
    app.charge_again(bookid)
        .await
        .is_problem(409, "nothing-outstanding");
    assert_eq!(app.count("events").await, events);
}

#[tokio::test]
async fn a_quote_knows_what_went_back_before() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(30, 1).await;
    assert_eq!(app.refund(bookid, 4_000).await.status, 202);
    app.payment_has(bookid, "refunded", 4_000).await;
    let quote = app.quote(bookid).await.json();
    assert_eq!(
        (&quote["refund"]["amount"], &quote["fee"]["amount"]),
        (&json!(3_000), &json!(3_000))
    );
    let path = format!("/books/{bookid}/cancel");
    assert_eq!(app.post(&path, &json!({})).await.status, 200);
    app.payment_has(bookid, "refunded", 7_000).await;
}

#[tokio::test]
async fn a_payment_that_went_back_is_not_shown_as_paid() {
    let app = TestApp::start().await;
    let bookid = app.book("numberone").await.bookid();
    app.settled(bookid, "BookConfirmed").await;
    assert_eq!(app.cancel(bookid).await.status, 200);
    app.payment_has(bookid, "refunded", 10_000).await;
    let body = json!({ "bookid": bookid }).to_string();
    let taken = app.call(Role::Payment, "POST", "/payments").json(&body);
    let taken = taken.send().await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let shown = taken.json();
    assert_eq!(
        (&shown["status"], &shown["refunded"]),
        (&json!("cancel-pay"), &json!(10_000))
    );
    assert_eq!(shown["refund_status"], "refunded");
}
