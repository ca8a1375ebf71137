//! What is free at venues that are nearly full: every answer is bounded, says where it goes on, and leaves nothing out.

use api::Role;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::till::{Till, approved};

/// How many claims one question looks at.
const CLAIMS_MAX: i64 = journal::venues::CLAIMS_MAX;
/// How many windows one answer shows.
const WINDOWS_MAX: usize = 1_000;

/// A venue of two units. The first has so many bookings of a minute, one every two minutes from 2031-01-01 on; the second
/// has one that goes on for ten years.
async fn nearly_full(bookings: i64) -> TestApp {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    assert_eq!(app.venue(json!({"units": 2})).await.status, 201);
    app.as_owner(&format!(
        "insert into slot_claims (bookid, unit, during)
         select n, unit, tstzrange(at, at + interval '1 minute')
         from generate_series(0, {bookings} - 1) n,
              lateral (select timestamptz '2031-01-01T00:00:00Z' + n * interval '2 minutes' as at) times,
              (select min(unit) as unit from venue_units) units;
         insert into slot_claims (bookid, unit, during)
         select -1, max(unit), '[2030-01-01T00:00:00Z, 2040-01-01T00:00:00Z)' from venue_units;
         analyze slot_claims"
    ))
    .await;
    app
}

/// All windows, part by part, and how many parts.
async fn all(app: &TestApp, from: &str, to: &str, more: &str) -> (Vec<Value>, usize) {
    let mut path = format!("/spaces/availability?spacename=numberone&from={from}&to={to}{more}");
    let (mut windows, mut parts) = (vec![], 0);
    loop {
        let answer = app.get(Role::Space, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let part = answer.json();
        let found = part["windows"].as_array().unwrap();
        assert!(found.len() <= WINDOWS_MAX);
        windows.extend(found.clone());
        parts += 1;
        match part["_links"]["next"]["href"].as_str() {
            Some(next) => path = next.replace("http://localhost:8082", ""),
            None => return (windows, parts),
        }
    }
}

#[tokio::test]
async fn windows_are_shown_a_thousand_at_a_time_and_none_is_left_out() {
    let app = nearly_full(1_500).await;
    let (from, to) = ("2031-01-01T00:00:00Z", "2031-01-03T02:00:00Z");
    let (windows, parts) = all(&app, from, to, "").await;
    assert_eq!((windows.len(), parts), (1_500, 2));
    for (n, window) in windows.iter().enumerate() {
        let minute = format!("{:02}:{:02}", n * 2 / 60 % 24, n * 2 % 60 + 1);
        let start = window["start"].as_str().unwrap();
        assert!(start.contains(&minute), "{n}: {window}");
    }
}

#[tokio::test]
async fn what_is_taken_is_looked_at_in_bounded_parts() {
    let app = nearly_full(2 * CLAIMS_MAX).await;
    // It is full for 55 days; then there is time.
    let (from, to) = ("2031-01-01T00:00:00Z", "2031-04-01T00:00:00Z");
    let (windows, parts) = all(&app, from, to, "&duration=2").await;
    assert!((2..=5).contains(&parts), "{parts}");
    assert_eq!(
        windows.last().unwrap()["start"],
        "2031-02-25T13:19:00+00:00"
    );
    assert_eq!(windows.last().unwrap()["end"], "2031-04-01T00:00:00+00:00");
    // What reaches across the end of a part is shown in both, and nothing else is shown.
    assert!(windows.len() <= parts, "{windows:?}");
}

#[tokio::test]
async fn whoever_meets_a_full_venue_is_told_soon() {
    let app = nearly_full(2 * CLAIMS_MAX).await;
    let slot = async |start: &str, end: &str| {
        let answer = app.book_at(start, end).await.is_problem(409, "slot-taken");
        answer["alternatives"].as_array().unwrap().clone()
    };
    let near = slot("2031-01-20T00:00:00Z", "2031-01-20T00:01:00Z").await;
    assert_eq!(near.len(), 6, "{near:?}");
    assert_eq!(near[3]["start"], "2031-01-20T00:01:00Z");
    // Longer than another one is looked for.
    let long = slot("2031-01-20T00:00:00Z", "2031-12-20T00:00:00Z").await;
    assert!(long.is_empty(), "{long:?}");
}

#[tokio::test]
async fn a_quote_shows_a_thousand_lines_and_says_how_many_more_there_are() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let krw = |amount: i64| json!({"amount": amount, "currency": "KRW"});
    let rates = json!([
        {"from": "06:00", "to": "07:00", "price_per_hour": krw(2)},
        {"from": "18:00", "to": "19:00", "price_per_hour": krw(3)},
    ]);
    app.venue(json!({"price_per_hour": krw(1), "rates": rates}))
        .await;
    // Four parts a day, and one: the night goes on past midnight.
    let body = json!({"spacename": "numberone", "start": "2031-01-01T00:00:00Z", "end": "2032-01-01T00:00:00Z"});
    let quote = app.post("/quotes", &body).await.json();
    assert_eq!(quote["lines"].as_array().unwrap().len(), 1_000);
    assert_eq!(quote["more_lines"], 365 * 4 + 1 - 1_000);
    assert_eq!(quote["amount"], 365 * (22 + 2 + 3));
}
