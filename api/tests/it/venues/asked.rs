//! What is free at a venue, and what it costs.

use api::Role;
use serde_json::json;

use super::{at, is_shown, paid, seoul};
use crate::app::TestApp;

#[tokio::test]
async fn what_is_free_is_shown_as_the_clock_there_shows_it() {
    let app = paid().await;
    app.venue(seoul()).await;
    assert_eq!(app.book_at(&at("10:00"), &at("12:00")).await.status, 201);
    let day = "from=2031-12-01T00:00:00%2B09:00&to=2031-12-02T00:00:00%2B09:00";
    let window = |start: &str, end: &str| json!({"start": at(start), "end": at(end), "units": 1});
    let both = json!([window("09:00", "10:00"), window("12:00", "18:00")]);
    assert_eq!(app.windows(day).await, both);
    let long = json!([window("12:00", "18:00")]);
    assert_eq!(app.windows(&format!("{day}&duration=90")).await, long);
    let path = format!("/spaces/availability?spacename=numberone&{day}");
    let gateway = app.get(Role::Gateway, &path).await;
    assert_eq!(gateway.json()["timezone"], "Asia/Seoul");
    for (parameters, status, slug) in [
        (
            "from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numbertwo&from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z",
            404,
            "not-found",
        ),
        (
            "spacename=numberone&from=2031-12-01&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-02T00:00:00Z&to=2031-12-01T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-02T00:00:00Z&to=2032-12-01T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z&duration=0",
            400,
            "malformed-request",
        ),
    ] {
        let path = format!("/spaces/availability?{parameters}");
        app.get(Role::Space, &path).await.is_problem(status, slug);
    }
}

#[tokio::test]
async fn a_quote_is_what_a_booking_then_costs() {
    let app = paid().await;
    let mut venue = seoul();
    venue["rates"] =
        json!([{"from": "17:00", "price_per_hour": {"amount": 13_000, "currency": "KRW"}}]);
    app.venue(venue).await;
    let mut body = json!({"spacename": "numberone", "start": at("16:00"), "end": at("18:00")});
    let quote = app.post("/quotes", &body).await;
    assert_eq!(quote.status, 200, "{quote:?}");
    is_shown("71-quote", &quote);
    assert_eq!(app.count("events").await, 0);
    body["expected_amount"] = quote.json()["amount"].clone();
    let booked = app.post("/books", &body).await;
    assert_eq!(
        (booked.status, booked.json()["amount"].clone()),
        (201, json!(23_000))
    );
    let plain = app
        .post("/quotes", &json!({"spacename": "numbertwo"}))
        .await;
    assert_eq!(
        plain.json(),
        json!({"spacename": "numbertwo", "amount": 10_000, "currency": "KRW", "earns_points": 100})
    );
    for body in [
        json!({"spacename": "numberone", "start": at("10:00")}),
        json!({"spacename": "numberone", "start": at("20:00"), "end": at("21:00")}),
        json!({"spacename": "numbertwo", "start": at("10:00"), "end": at("11:00")}),
    ] {
        app.post("/quotes", &body)
            .await
            .is_problem(422, "validation-failed");
    }
}

#[tokio::test]
async fn a_price_that_changed_meanwhile_is_not_charged_and_one_that_was_agreed_stays() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let before = app.book_at(&at("10:00"), &at("11:00")).await;
    let mut dearer = seoul();
    dearer["price_per_hour"]["amount"] = json!(20_000);
    dearer["cancellation"] = json!({"grace_minutes": 0, "tiers": []});
    assert_eq!(app.put(&dearer).await.status, 200);
    let body = json!({
        "userid": 1, "spacename": "numberone", "start": at("12:00"), "end": at("13:00"), "expected_amount": 10_000,
    });
    let refused = app
        .post("/books", &body)
        .await
        .is_problem(409, "price-changed");
    assert_eq!(
        (&refused["amount"], &refused["currency"]),
        (&json!(20_000), &json!("KRW"))
    );
    let seeds = json!({"spacename": "numbertwo", "expected_amount": 1});
    app.post("/books", &seeds)
        .await
        .is_problem(409, "price-changed");
    // Neither is stored, and the slot is free.
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
    assert_eq!(app.book_at(&at("12:00"), &at("13:00")).await.status, 201);
    // The first one was made at the old price and under the old policy, and is cancelled under it.
    let id = before.bookid();
    app.settled(id, "BookConfirmed").await;
    let book = app.get(Role::Book, &format!("/books/{id}")).await;
    assert_eq!(book.json()["amount"], 10_000);
    let quote = app
        .get(Role::Book, &format!("/books/{id}/cancellation-quote"))
        .await
        .json();
    assert_eq!(
        (&quote["refund"]["amount"], &quote["percent"]),
        (&json!(10_000), &json!(100))
    );
}
