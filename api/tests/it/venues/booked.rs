//! Bookings for a time at a venue.

use api::Role;
use serde_json::{Value, json};

use super::{at, paid, seoul};
use crate::app::TestApp;

#[tokio::test]
async fn a_booking_for_a_time_says_so_wherever_it_is_shown() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let booked = app.book_at(&at("10:00"), &at("11:30")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let (start, end) = ("2031-12-01T01:00:00Z", "2031-12-01T02:30:00Z");
    let body = booked.json();
    assert_eq!((&body["start"], &body["end"]), (&json!(start), &json!(end)));
    assert_eq!(
        (&body["amount"], &body["phase"]),
        (&json!(15_000), &json!("paid"))
    );
    assert!(body["unit"].as_i64().unwrap() >= 1, "{body}");
    let (id, position) = (booked.bookid(), booked.position());
    app.settled(id, "BookConfirmed").await;
    let book = app
        .get_at(position, Role::Book, &format!("/books/{id}"))
        .await
        .json();
    assert_eq!(
        (&book["start"], &book["end"], &book["unit"]),
        (&json!(start), &json!(end), &body["unit"])
    );
    let page = app
        .get_at(position, Role::Mypage, &format!("/mypages/{id}"))
        .await
        .json();
    assert_eq!((&page["start"], &page["end"]), (&json!(start), &json!(end)));
    // Sent back as it is shown, it is a cancellation and nothing else.
    let mut back = book.clone();
    back["status"] = json!("cancel-booking");
    let put = async |body: &Value| {
        let call = app.call(Role::Book, "PUT", &format!("/books/{id}"));
        call.json(&body.to_string()).send().await
    };
    let mut moved = back.clone();
    moved["end"] = json!("2031-12-01T03:00:00Z");
    let errors = put(&moved).await.is_problem(422, "validation-failed")["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/end");
    assert_eq!(put(&back).await.status, 200);
}

#[tokio::test]
async fn what_a_venue_does_not_allow_is_said() {
    let app = paid().await;
    app.venue(seoul()).await;
    let bookings = app.count("events").await;
    for (start, end, errors) in [
        (
            at("08:00"),
            at("10:00"),
            json!([["/start", "venue-closed"]]),
        ),
        (at("10:10"), at("11:00"), json!([["/start", "off-grid"]])),
        (
            at("11:00"),
            at("10:00"),
            json!([["/end", "end-not-after-start"]]),
        ),
        (
            "2020-01-06T01:00:00Z".into(),
            "2020-01-06T02:00:00Z".into(),
            json!([["/start", "too-soon"]]),
        ),
        (
            "tomorrow".into(),
            at("10:00"),
            json!([["/start", "not-a-time"]]),
        ),
        (
            at("10:00"),
            "2031-12-01T11:00:00".into(),
            json!([["/end", "not-a-time"]]),
        ),
        (at("10:00"), String::new(), json!([["/end", "required"]])),
    ] {
        let answer = app
            .book_at(&start, &end)
            .await
            .is_problem(422, "validation-failed");
        let found = answer["errors"].as_array().unwrap().iter();
        let found: Value = found
            .map(|error| json!([error["pointer"], error["code"]]))
            .collect();
        assert_eq!(found, errors, "{start} {end}");
    }
    // A venue wants a time, unless it is said that it takes bookings as the seed knows them, too.
    let answer = app
        .book("numberone")
        .await
        .is_problem(422, "validation-failed");
    assert_eq!(answer["errors"][0]["code"], "required");
    let mut open_to_all = seoul();
    open_to_all["unscheduled"] = json!(true);
    assert_eq!(app.put(&open_to_all).await.status, 200);
    assert_eq!(app.book("numberone").await.status, 201);
    assert_eq!(app.count("events").await, bookings + 2);
    assert_eq!(app.count("slot_claims").await, 0);
}

#[tokio::test]
async fn what_a_booking_without_a_time_earns_its_venue_says_where_there_is_one() {
    let app = paid().await;
    for (rate, earns) in [(None, 100), (Some(0), 0), (Some(250), 250)] {
        if let Some(rate) = rate {
            let open_to_all = json!({"unscheduled": true, "points_rate": rate});
            app.put(&open_to_all).await;
        }
        let here = json!({"spacename": "numberone"});
        let quote = app.post("/quotes", &here).await.json();
        assert_eq!(quote["earns_points"], earns, "{rate:?}");
        let bookid = app.book("numberone").await.bookid();
        app.pay(bookid).await;
        let earned = format!(
            "events where aggregate_id = '{bookid}' and event_type = 'PointsAccrued'
             and (payload ->> 'points')::bigint = {earns}"
        );
        assert_eq!(app.count(&earned).await, 1, "{rate:?}");
    }
}

#[tokio::test]
async fn of_a_hundred_for_one_slot_one_has_it_and_the_others_are_told_what_is_free() {
    let app = paid().await;
    app.venue(seoul()).await;
    let (start, end) = (at("10:00"), at("12:00"));
    let at_once = (0..100).map(|_| app.book_at(&start, &end));
    let answers = futures::future::join_all(at_once).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    // Mondays only: the ones before it are a week earlier.
    let expected = json!([
        {"start": "2031-11-24T03:00:00Z", "end": "2031-11-24T05:00:00Z"},
        {"start": "2031-11-24T05:00:00Z", "end": "2031-11-24T07:00:00Z"},
        {"start": "2031-11-24T07:00:00Z", "end": "2031-11-24T09:00:00Z"},
        {"start": "2031-12-01T03:00:00Z", "end": "2031-12-01T05:00:00Z"},
        {"start": "2031-12-01T05:00:00Z", "end": "2031-12-01T07:00:00Z"},
        {"start": "2031-12-01T07:00:00Z", "end": "2031-12-01T09:00:00Z"},
    ]);
    for answer in lost {
        let problem = answer.is_problem(409, "slot-taken");
        assert_eq!(problem["alternatives"], expected, "{problem}");
    }
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
    // What was offered can be had; what is beside it, too.
    assert_eq!(app.book_at(&at("12:00"), &at("14:00")).await.status, 201);
    assert_eq!(app.book_at(&at("09:00"), &at("10:00")).await.status, 201);
    app.book_at(&at("13:30"), &at("14:30"))
        .await
        .is_problem(409, "slot-taken");
}

#[tokio::test]
async fn three_units_are_three_bookings() {
    let app = paid().await;
    let mut venue = seoul();
    venue["units"] = json!(3);
    app.venue(venue).await;
    let (start, end) = (at("10:00"), at("12:00"));
    let at_once = (0..40).map(|_| app.book_at(&start, &end));
    let answers = futures::future::join_all(at_once).await;
    let won = answers.iter().filter(|answer| answer.status == 201);
    let mut units: Vec<_> = won
        .map(|answer| answer.json()["unit"].as_i64().unwrap())
        .collect();
    units.sort_unstable();
    assert_eq!(units, [1, 2, 3]);
    let lost = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!(lost, 37);
}

#[tokio::test]
async fn buffers_keep_bookings_apart() {
    let app = paid().await;
    let mut venue = seoul();
    venue["buffer_after_minutes"] = json!(30);
    app.venue(venue).await;
    assert_eq!(app.book_at(&at("10:00"), &at("11:00")).await.status, 201);
    app.book_at(&at("11:00"), &at("12:00"))
        .await
        .is_problem(409, "slot-taken");
    assert_eq!(app.book_at(&at("11:30"), &at("12:30")).await.status, 201);
    app.book_at(&at("09:00"), &at("10:00"))
        .await
        .is_problem(409, "slot-taken");
    assert_eq!(app.book_at(&at("09:00"), &at("09:30")).await.status, 201);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_answered_though_it_would_be_refused_now() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let body =
        json!({"spacename": "numberone", "start": at("10:00"), "end": at("11:00")}).to_string();
    let send = async || {
        let call = app.call(Role::Book, "POST", "/books");
        call.header("idempotency-key", "k").json(&body).send().await
    };
    let first = send().await;
    assert_eq!(first.status, 201, "{first:?}");
    // The answer is lost, and the venue closes.
    app.as_owner("update idempotency_keys set status = null, body = null, headers = null, locked_until = '-infinity'")
        .await;
    let mut closed = seoul();
    closed["opening_hours"] = json!({});
    assert_eq!(app.put(&closed).await.status, 200);
    let again = send().await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.json()["start"], first.json()["start"]);
    assert_eq!(again.bookid(), first.bookid());
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
}
