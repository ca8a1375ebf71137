//! What managers ask, over HTTP.

mod stuck;

use api::Role;
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::client::Answer;
use crate::golden::assert_golden;

/// Every question, with parameters that it answers.
const QUESTIONS: [&str; 7] = [
    "/manager/board?spacename=numberone&date=2031-12-01",
    "/manager/calendar?spacename=numberone&from=2031-12-01&to=2031-12-07",
    "/manager/preparation",
    "/manager/arrivals?date=2031-12-01",
    "/manager/stuck",
    "/manager/occupancy?spacename=numberone&from=2031-11-30&to=2031-12-02",
    "/manager/revenue?from=2031-11-30&to=2031-12-02",
];

/// A venue in Seoul with two units, that is open from nine to six on Mondays and until two in the morning on Tuesdays.
async fn venue() -> TestApp {
    let app = TestApp::start().await;
    let defined = app
        .venue(json!({
            "timezone": "Asia/Seoul", "units": 2, "price_per_hour": {"amount": 10_000, "currency": "KRW"},
            "opening_hours": {
                "monday": [{"from": "09:00", "to": "18:00"}],
                "tuesday": [{"from": "22:00", "to": "02:00"}],
            },
        }))
        .await;
    assert_eq!(defined.status, 201, "{defined:?}");
    app
}

async fn book(app: &TestApp, start: &str, end: &str) -> i64 {
    let booked = app.book_at(start, end).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let bookid = booked.bookid();
    app.settled(bookid, "BookConfirmed").await;
    bookid
}

async fn step(app: &TestApp, bookid: i64, step: &str) -> Answer {
    let path = format!("/spaces/{bookid}/{step}");
    let body = match step {
        "hand-over" => r#"{"by":"kim","method":"key"}"#,
        _ => r#"{"by":"kim"}"#,
    };
    let done = app.call(Role::Space, "POST", &path).json(body).send().await;
    assert_eq!(done.status, 200, "{step} {bookid}: {done:?}");
    done
}

/// A Monday: 1 is in use, 2 is being prepared, 3 is cancelled; and 4 runs over midnight on the Tuesday.
async fn a_day() -> (TestApp, i64) {
    let app = venue().await;
    book(
        &app,
        "2031-12-01T09:00:00+09:00",
        "2031-12-01T11:00:00+09:00",
    )
    .await;
    book(
        &app,
        "2031-12-01T10:00:00+09:00",
        "2031-12-01T12:00:00+09:00",
    )
    .await;
    book(
        &app,
        "2031-12-01T13:00:00+09:00",
        "2031-12-01T14:00:00+09:00",
    )
    .await;
    book(
        &app,
        "2031-12-02T23:30:00+09:00",
        "2031-12-03T01:00:00+09:00",
    )
    .await;
    assert_eq!(app.cancel(3).await.status, 200);
    app.settled(3, "BookClosed").await;
    for done in ["prepare", "ready", "hand-over", "check-in"] {
        step(&app, 1, done).await;
    }
    let last = step(&app, 2, "prepare").await.position();
    app.get_at(last, Role::Mypage, "/manager/board").await;
    (app, last)
}

fn ids(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let found = &answer.json()["_embedded"]["bookings"];
    let found = found.as_array().unwrap().iter();
    found
        .map(|booking| booking["bookid"].as_i64().unwrap())
        .collect()
}

async fn ask(app: &TestApp, path: &str) -> Answer {
    app.get(Role::Mypage, path).await
}

#[tokio::test]
async fn a_manager_sees_the_day() {
    let (app, _) = a_day().await;
    for path in QUESTIONS {
        let name = path.trim_start_matches("/manager/");
        let name = name.split('?').next().unwrap();
        let answer = ask(&app, path).await;
        assert_golden(&format!("80-manager-{name}"), &answer);
        // The gateway says the same, but for its own address.
        let through = app.get(Role::Gateway, path).await;
        let ours = answer.body.replace("localhost:8084", "localhost:8088");
        assert_eq!((through.status, through.body), (200, ours), "{path}");
    }
}

#[tokio::test]
async fn lists_hold_whom_they_are_about() {
    let (app, _) = a_day().await;
    for (path, wanted) in [
        ("/manager/board?date=2031-12-01", vec![1, 2, 3]),
        ("/manager/board?date=2031-12-01&phase=cancelled", vec![3]),
        ("/manager/board?date=2031-12-01&status=in-use", vec![1]),
        (
            "/manager/board?date=2031-12-01&refund_status=refunded",
            vec![3],
        ),
        (
            "/manager/board?date=2031-12-01&payment_status=paid",
            vec![1, 2, 3],
        ),
        ("/manager/board?date=2031-12-01&userid=1", vec![1, 2, 3]),
        ("/manager/board?date=2031-12-01&userid=2", vec![]),
        ("/manager/board?date=2031-12-01&spacename=numbertwo", vec![]),
        // By the clock of Seoul it begins on the second and ends on the third; by UTC it is on the second alone.
        ("/manager/board?date=2031-12-02", vec![4]),
        ("/manager/board?date=2031-12-03", vec![4]),
        ("/manager/board?date=2031-12-04", vec![]),
        (
            "/manager/calendar?spacename=numberone&from=2031-12-03&to=2031-12-31",
            vec![4],
        ),
        (
            "/manager/calendar?spacename=numberone&from=2031-12-01&to=2031-12-31",
            vec![1, 2, 3, 4],
        ),
        ("/manager/preparation", vec![2, 4]),
        ("/manager/preparation?phase=registered", vec![4]),
        ("/manager/preparation?spacename=numbertwo", vec![]),
        ("/manager/arrivals?date=2031-12-01", vec![2]),
        ("/manager/arrivals?date=2031-12-02", vec![4]),
        ("/manager/arrivals?date=2031-12-03", vec![]),
        ("/manager/stuck?older_than_minutes=0", vec![]),
    ] {
        assert_eq!(ids(&ask(&app, path).await), wanted, "{path}");
    }
}

#[tokio::test]
async fn parts_lead_from_one_to_the_next_and_leave_nothing_out() {
    let (app, _) = a_day().await;
    for list in [
        "/manager/calendar?spacename=numberone&from=2031-12-01&to=2031-12-31",
        "/manager/board?date=2031-12-01",
        "/manager/preparation?",
    ] {
        let whole = ids(&ask(&app, list).await);
        for size in 1..=4 {
            let (mut found, mut path) = (vec![], format!("{list}&size={size}"));
            loop {
                let part = ask(&app, &path).await;
                let here = ids(&part);
                assert!(here.len() <= size, "{path}");
                found.extend(here);
                match part.json()["_links"]["next"]["href"].as_str() {
                    Some(next) => {
                        path = next.replace("http://localhost:8084", "");
                    }
                    None => break,
                }
            }
            assert_eq!(found, whole, "{list} {size}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_names_the_parameter() {
    let app = TestApp::paid_by(crate::till::Till::answering(crate::till::approved())).await;
    for (path, errors) in [
        (
            "/manager/board?colour=red",
            vec![("/colour", "unknown-parameter")],
        ),
        ("/manager/board?date=today", vec![("/date", "not-a-date")]),
        (
            "/manager/board?date=2031-02-30",
            vec![("/date", "not-a-date")],
        ),
        (
            "/manager/board?phase=lost",
            vec![("/phase", "unknown-value")],
        ),
        ("/manager/board?size=0", vec![("/size", "not-a-number")]),
        ("/manager/board?after=7", vec![("/after", "not-a-place")]),
        (
            "/manager/calendar?from=2031-12-02&to=2031-12-01",
            vec![("/spacename", "required"), ("/to", "before-from")],
        ),
        (
            "/manager/preparation?date=2031-12-01",
            vec![("/date", "unknown-parameter")],
        ),
        (
            "/manager/arrivals?status=ready",
            vec![("/status", "unknown-parameter")],
        ),
        (
            "/manager/stuck?older_than_minutes=-1",
            vec![("/older_than_minutes", "not-a-number")],
        ),
        (
            "/manager/occupancy",
            vec![
                ("/spacename", "required"),
                ("/from", "required"),
                ("/to", "required"),
            ],
        ),
        (
            "/manager/revenue?from=2031-01-01&to=2032-12-01",
            vec![("/to", "too-far")],
        ),
        (
            "/manager/board?min_position=x",
            vec![("/min_position", "not-a-number")],
        ),
        (
            "/points/1/ledger?size=many",
            vec![("/size", "not-a-number")],
        ),
    ] {
        let refused = ask(&app, path).await;
        let problem = refused.is_problem(422, "validation-failed");
        let found: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                (
                    error["pointer"].as_str().unwrap(),
                    error["code"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(found, errors, "{path}");
    }
    app.call(Role::Mypage, "POST", "/manager/board")
        .json("{}")
        .send()
        .await
        .is_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn an_answer_says_when_it_is_behind() {
    let app = TestApp::paid_by(crate::till::Till::answering(crate::till::approved())).await;
    let held = app.hold_the_feed().await;
    let position = app.book("numberone").await.position();
    for path in QUESTIONS {
        let mark = if path.contains('?') { '&' } else { '?' };
        let answer = ask(&app, &format!("{path}{mark}min_position={position}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("x-projection-lag").is_some(), "{path}");
    }
    drop(held);
}

#[tokio::test]
async fn occupancy_splits_a_booking_at_midnight_and_knows_the_hours() {
    let (app, _) = a_day().await;
    let path = "/manager/occupancy?spacename=numberone&from=2031-12-01&to=2031-12-03";
    let days = ask(&app, path).await.json()["days"].clone();
    let day = |date: &str, bookings: i64, booked: i64, open: i64, percent: i64| {
        json!({
            "date": date, "bookings": bookings, "booked_minutes": booked, "no_shows": 0,
            "open_minutes": open, "percent": percent,
        })
    };
    // Two units: nine hours on Monday; from ten to midnight on Tuesday, and the two hours behind it on Wednesday.
    let wanted = json!([
        day("2031-12-01", 2, 240, 1_080, 22),
        day("2031-12-02", 1, 30, 240, 13),
        day("2031-12-03", 1, 60, 240, 25),
    ]);
    assert_eq!(days, wanted);
}

#[tokio::test]
async fn a_ledger_is_read_part_by_part() {
    let (app, _) = a_day().await;
    let whole = ask(&app, "/points/1/ledger").await;
    let lines = whole.json()["_embedded"]["lines"].clone();
    let told: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["points"].as_i64().unwrap(),
                line["payid"].as_i64().unwrap(),
            )
        })
        .collect();
    let wanted = [
        ("accrued", 200, 1),
        ("accrued", 200, 2),
        ("accrued", 100, 3),
        ("accrued", 150, 4),
        ("clawed_back", -100, 3),
    ];
    assert_eq!(told, wanted);
    let (mut found, mut path) = (vec![], "/points/1/ledger?size=2".to_owned());
    loop {
        let part = app.get(Role::Gateway, &path).await.json();
        found.extend(part["_embedded"]["lines"].as_array().unwrap().clone());
        match part["_links"]["next"]["href"].as_str() {
            Some(next) => path = next.replace("http://localhost:8088", ""),
            None => break,
        }
    }
    assert_eq!(Value::Array(found), lines);
    let balance = ask(&app, "/points/1").await.json();
    assert_eq!(balance["points"], 550);
    let nobody = ask(&app, "/points/99/ledger").await.json();
    assert_eq!(nobody["_embedded"]["lines"], json!([]));
}
