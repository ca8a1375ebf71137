//! What becomes of a booking with a time after it was made: moves, cancellations by the policy, points, refunds, and
//! who wins when two want different things of it at once.

mod money;

use api::Role;
use domain::ports::Clock;
use domain::{BookId, Money, payment};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use journal::runtime::SystemClock;
use serde_json::{Value, json};

use crate::app::{TestApp, eventually};
use crate::client::Answer;
use crate::every_command::forget_the_answers;

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

    /// Charges for time past the end; the gateway declines.
    pub(crate) async fn declined_overtime(&self, bookid: i64, charge_no: u32) {
        let overtime = payment::Command::ChargeOvertime {
            amount: Money::krw(1_000),
        };
        let declined = payment::Command::RecordDecline {
            charge_no,
            code: "card_declined".to_owned(),
            message: "the card was declined".to_owned(),
        };
        for command in [overtime, declined] {
            self.execute(domain::Command::Payment(BookId(bookid), command))
                .await;
        }
    }

    async fn charge_again(&self, bookid: i64) -> Answer {
        let path = format!("/payments/{bookid}/charges");
        self.call(Role::Payment, "POST", &path).send().await
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
async fn a_move_whose_answer_was_lost_is_answered_though_it_would_be_refused_now() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 1).await;
    let (start, end) = span(200, 1);
    let body = json!({"start": start, "end": end}).to_string();
    let path = format!("/books/{bookid}/reschedule");
    let send = async || {
        let call = app.call(Role::Book, "POST", &path);
        call.header("idempotency-key", "k").json(&body).send().await
    };
    let moved = send().await;
    assert_eq!(moved.status, 200, "{moved:?}");
    // The answer is lost; then the venue is closed at all hours, and then it takes no bookings at all.
    let closed = json!({"spacename": "numberone", "opening_hours": {}});
    assert_eq!(app.put(&closed).await.status, 200);
    let retire = async || {
        let retire = app.call(Role::Book, "DELETE", "/venues/numberone");
        assert_eq!(retire.send().await.status, 204);
    };
    for is_retired in [false, true] {
        if is_retired {
            retire().await;
        }
        forget_the_answers(&app).await;
        let again = send().await;
        assert_eq!((again.status, &again.body), (200, &moved.body), "{again:?}");
    }
    let story = app.events("Book", bookid).await;
    let moves = story.iter().filter(|name| *name == "Rescheduled");
    assert_eq!(moves.count(), 1, "{story:?}");
    // Another move is refused, and that is an answer to keep.
    assert_eq!(app.move_to(bookid, 300, 1).await.status / 100, 4);
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

#[tokio::test]
async fn a_cheaper_time_gives_back_what_a_cancellation_would() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(30, 3).await;
    assert_eq!(app.move_to(bookid, 31, 1).await.status, 200);
    // Half of the difference, thirty hours ahead.
    app.payment_has(bookid, "refunded", 10_000).await;
    app.payment_has(bookid, "amount", 10_000).await;
    let quote = app.quote(bookid).await.json();
    assert_eq!(
        (&quote["percent"], &quote["points"]),
        (&json!(50), &json!(0))
    );
    assert_eq!(
        (&quote["refund"]["amount"], &quote["fee"]["amount"]),
        (&json!(5_000), &json!(15_000))
    );
}

#[tokio::test]
async fn a_booking_is_not_moved_into_another_currency() {
    let app = TestApp::start().await;
    let bookid = app.confirmed(100, 1).await;
    let euros = json!({"price_per_hour": {"amount": 1_000, "currency": "EUR"}, "units": 1});
    assert_eq!(app.put(&euros).await.status, 200);
    app.move_to(bookid, 200, 1)
        .await
        .is_problem(409, "other-currency");
}

#[tokio::test]
async fn what_is_not_there_has_a_body_where_the_seed_had_nothing() {
    let app = TestApp::start().await;
    app.move_to(999, 200, 1).await.is_problem(404, "not-found");
    app.quote(999).await.is_problem(404, "not-found");
    app.refund(999, 1).await.is_problem(404, "not-found");
    let ready = app.to_staff(999, "ready", json!({"by": "kim"})).await;
    ready.is_problem(404, "not-found");
    assert_eq!(app.get(Role::Book, "/books/999").await.body, "");
}
