//! What becomes of a booking with a time after it was made: moves, cancellations by the policy, points, refunds, and
//! who wins when two want different things of it at once.

use api::Role;
use domain::ports::Clock;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use journal::runtime::SystemClock;
use serde_json::{Value, json};

use crate::app::{TestApp, eventually};
use crate::client::Answer;

/// Whole hours from now, on the hour, so that no test depends on when it runs.
fn hours_ahead(hours: i64) -> Timestamp {
    let now = SystemClock.now().as_second();
    let hour = Timestamp::from_second(now - now % 3_600).unwrap();
    hour + SignedDuration::from_hours(hours)
}

fn span(from: i64, hours: i64) -> (String, String) {
    let (start, end) = (hours_ahead(from), hours_ahead(from + hours));
    (start.to_string(), end.to_string())
}

impl TestApp {
    /// A venue at 10,000 won an hour, and a booking of `hours` there, confirmed.
    async fn confirmed(&self, from: i64, hours: i64) -> i64 {
        self.venue(json!({"price_per_hour": {"amount": 10_000, "currency": "KRW"}, "units": 1}))
            .await;
        let (start, end) = span(from, hours);
        let booked = self.book_at(&start, &end).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let bookid = booked.bookid();
        self.settled(bookid, "BookConfirmed").await;
        bookid
    }

    async fn move_to(&self, bookid: i64, from: i64, hours: i64) -> Answer {
        let (start, end) = span(from, hours);
        let body = json!({"start": start, "end": end});
        self.post(&format!("/books/{bookid}/reschedule"), &body)
            .await
    }

    /// A number of a payment, as soon as it is that.
    async fn payment_has(&self, bookid: i64, field: &str, amount: i64) {
        let path = format!("/payments/{bookid}");
        eventually(&format!("{field} is {amount}"), async || {
            self.get(Role::Payment, &path).await.json()[field] == amount
        })
        .await;
    }

    async fn points_of(&self, userid: i64, points: i64) {
        let path = format!("/points/{userid}");
        eventually(&format!("user {userid} has {points} points"), async || {
            self.get(Role::Mypage, &path).await.json()["points"] == points
        })
        .await;
    }

    async fn to_staff(&self, bookid: i64, step: &str, body: Value) -> Answer {
        let path = format!("/spaces/{bookid}/{step}");
        let call = self.call(Role::Space, "POST", &path);
        call.json(&body.to_string()).send().await
    }

    async fn quote(&self, bookid: i64) -> Answer {
        let path = format!("/books/{bookid}/cancellation-quote");
        self.get(Role::Book, &path).await
    }

    async fn refund(&self, bookid: i64, amount: i64) -> Answer {
        let path = format!("/payments/{bookid}/refunds");
        let body = json!({"amount": amount, "reason": "broken heater"});
        let call = self.call(Role::Payment, "POST", &path);
        call.json(&body.to_string()).send().await
    }
}

#[tokio::test]
async fn a_move_takes_the_new_time_gives_the_old_one_back_and_charges_the_difference() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 1).await;
    let moved = app.move_to(bookid, 200, 2).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let (start, end) = span(200, 2);
    let shown = moved.json();
    assert_eq!(
        (&shown["start"], &shown["end"]),
        (&json!(start), &json!(end))
    );
    assert_eq!(
        (&shown["amount"], &shown["phase"]),
        (&json!(20_000), &json!("registered"))
    );
    app.payment_has(bookid, "captured", 20_000).await;
    let read = app
        .get_at(moved.position(), Role::Book, &format!("/books/{bookid}"))
        .await;
    assert_eq!(read.json()["start"], json!(start));
    assert_eq!(app.book_at(&start, &end).await.status, 409);
    let (start, end) = span(100, 1);
    assert_eq!(app.book_at(&start, &end).await.status, 201);
}

#[tokio::test]
async fn a_move_to_a_cheaper_time_gives_the_difference_back_and_its_points() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 3).await;
    assert_eq!(app.move_to(bookid, 101, 1).await.status, 200);
    app.payment_has(bookid, "refunded", 20_000).await;
    app.points_of(1, 100).await;
}

#[tokio::test]
async fn a_move_to_a_taken_time_changes_nothing_and_says_what_is_free() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 1).await;
    let (start, end) = span(200, 1);
    let other = app.book_at(&start, &end).await;
    app.settled(other.bookid(), "BookConfirmed").await;
    let before = app.count("events").await;
    let refused = app
        .move_to(bookid, 200, 1)
        .await
        .is_problem(409, "slot-taken");
    assert!(!refused["alternatives"].as_array().unwrap().is_empty());
    assert_eq!(app.count("events").await, before);
    let (start, end) = span(100, 1);
    assert_eq!(app.book_at(&start, &end).await.status, 409);
}

#[tokio::test]
async fn moves_to_one_time_at_once_are_one_move_and_one_charge() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 1).await;
    let moves = join_all((0..10).map(|_| app.move_to(bookid, 200, 2))).await;
    for moved in &moves {
        assert_eq!(moved.status, 200, "{moved:?}");
    }
    app.payment_has(bookid, "captured", 20_000).await;
    let story = app.events("Payment", bookid).await;
    let charges = story.iter().filter(|name| *name == "ChargeRequested");
    assert_eq!(charges.count(), 1, "{story:?}");
    assert_eq!(app.count("slot_claims").await, 1);
}

#[tokio::test]
async fn what_cannot_be_moved_says_so() {
    let app = TestApp::start().await;
    let unscheduled = app.book("numbertwo").await.bookid();
    app.move_to(unscheduled, 200, 1)
        .await
        .is_problem(409, "unscheduled");
    let bookid = app.confirmed(100, 1).await;
    let path = format!("/books/{bookid}/reschedule");
    app.post(&path, &json!({"start": "soon"}))
        .await
        .is_problem(422, "validation-failed");
    assert_eq!(app.move_to(999, 200, 1).await.status, 404);
    for (step, body) in [
        ("ready", json!({"by": "kim"})),
        ("hand-over", json!({"by": "kim", "method": "key"})),
    ] {
        assert!(app.to_staff(bookid, step, body).await.status < 300);
    }
    app.move_to(bookid, 200, 1)
        .await
        .is_problem(409, "already-handed-over");
}

#[tokio::test]
async fn a_quote_says_what_a_cancellation_then_does() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(30, 1).await;
    let quote = app.quote(bookid).await.json();
    assert_eq!(quote["percent"], 50);
    assert_eq!(quote["refund"], json!({"amount": 5_000, "currency": "KRW"}));
    assert_eq!(quote["fee"]["amount"], 5_000);
    let path = format!("/books/{bookid}/cancel");
    let cancelled = app.post(&path, &json!({"reason": "rain"})).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    app.payment_has(bookid, "refunded", 5_000).await;
    app.points_of(1, 50).await;
    app.quote(bookid)
        .await
        .is_problem(409, "illegal-transition");
    assert_eq!(app.quote(999).await.status, 404);
    let (start, end) = span(30, 1);
    assert_eq!(app.book_at(&start, &end).await.status, 201);
}

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
    assert_eq!(app.refund(999, 1).await.status, 404);
}

#[tokio::test]
async fn a_cancellation_and_a_hand_over_at_once_have_one_winner() {
    let app = TestApp::start().await;
    for _ in 0..12 {
        let bookid = app.book("numberone").await.bookid();
        app.settled(bookid, "BookConfirmed").await;
        let ready = app.to_staff(bookid, "ready", json!({"by": "kim"})).await;
        assert!(ready.status < 300, "{ready:?}");
        let hand_over = json!({"by": "kim", "method": "key"});
        let (cancelled, handed_over) = futures::join!(
            app.cancel(bookid),
            app.to_staff(bookid, "hand-over", hand_over)
        );
        let won = (cancelled.status < 300, handed_over.status < 300);
        assert!(won.0 != won.1, "{cancelled:?} {handed_over:?}");
        if won.0 {
            handed_over.is_problem(409, "illegal-transition");
        } else {
            cancelled.is_problem(409, "already-handed-over");
        }
        let story = app.events("Space", bookid).await;
        let both = ["FulfilmentStopped", "HandedOver"];
        let happened = both
            .iter()
            .filter(|name| story.iter().any(|it| it == *name));
        assert_eq!(happened.count(), 1, "{story:?}");
    }
}
