//! What nobody can use is refused, wherever it stands: the database is not asked what it could only fail at.

use api::Role;
use serde_json::json;

use crate::app::TestApp;
use crate::till::{Till, approved};

#[tokio::test]
async fn a_name_that_no_venue_can_have_is_nobodys() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let long = "x".repeat(256);
    for name in ["%00", "a%00b", "%1f", &long] {
        let path = format!("/venues/{name}");
        for (method, body, status) in [
            ("GET", None, 404),
            ("DELETE", None, 404),
            ("PUT", Some("{}"), 422),
        ] {
            let call = app.call(Role::Book, method, &path);
            let call = match body {
                Some(body) => call.json(body),
                None => call,
            };
            assert_eq!(call.send().await.status, status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_text_that_nothing_can_hold_is_not_looked_for() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let day = "from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z";
    let dates = "from=2031-12-01&to=2031-12-02";
    for (role, status, path) in [
        (
            Role::Space,
            400,
            format!("/spaces/availability?spacename=%00&{day}"),
        ),
        (Role::Mypage, 400, "/mypages?spacename=%00".into()),
        (Role::Mypage, 400, "/mypages?status=%00".into()),
        (Role::Mypage, 400, "/mypages?phase=a%00".into()),
        (
            Role::Mypage,
            400,
            format!("/mypages?phase={}", "x".repeat(256)),
        ),
        (Role::Mypage, 422, "/manager/board?spacename=%00".into()),
        (Role::Mypage, 422, "/manager/board?status=%00".into()),
        (
            Role::Mypage,
            422,
            format!("/manager/calendar?spacename=%00&{dates}"),
        ),
        (
            Role::Mypage,
            422,
            "/manager/preparation?spacename=%00".into(),
        ),
        (Role::Mypage, 422, "/manager/arrivals?spacename=%00".into()),
        (Role::Mypage, 422, "/manager/stuck?spacename=%00".into()),
        (
            Role::Mypage,
            422,
            format!("/manager/occupancy?spacename=%00&{dates}"),
        ),
        (
            Role::Mypage,
            422,
            format!("/manager/revenue?spacename=%00&{dates}"),
        ),
        // What orders a collection is a column or nothing.
        (Role::Book, 200, "/books?sort=%00".into()),
        (Role::Mypage, 200, "/mypages?sort=%00,desc".into()),
    ] {
        let answer = app.get(role, &path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_time_that_the_database_does_not_know_is_not_asked_for() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.venue(json!({})).await;
    let day = async |year: &str| {
        let path = format!(
            "/spaces/availability?spacename=numberone&from={year}-01-01T00:00:00Z&to={year}-01-02T00:00:00Z"
        );
        app.get(Role::Space, &path).await
    };
    for year in ["-005000", "-004713", "-009998"] {
        day(year).await.is_problem(400, "malformed-request");
    }
    for year in ["0000", "1970"] {
        assert_eq!(day(year).await.json()["windows"], json!([]));
    }
    // The year -9999, and the last moment before the year 0.
    for at in ["-377705023201000000", "-62167219200000001"] {
        for list in ["board", "stuck", "preparation", "arrivals"] {
            let path = format!("/manager/{list}?after=1.{at}.1");
            let answer = app
                .get(Role::Mypage, &path)
                .await
                .is_problem(422, "validation-failed");
            assert_eq!(answer["errors"][0]["pointer"], "/after");
        }
    }
}

#[tokio::test]
async fn a_reason_is_a_text_and_all_that_a_cancellation_may_say() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let bookid = app.book("numberone").await.bookid();
    let path = format!("/books/{bookid}/cancel");
    for (body, pointer, code) in [
        (json!({"reason": 5}), "/reason", "not-a-text"),
        (json!({"reson": "rain"}), "/reson", "unknown-field"),
    ] {
        let answer = app
            .post(&path, &body)
            .await
            .is_problem(422, "validation-failed");
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code))
        );
    }
    assert_eq!(
        app.post(&path, &json!({"reason": "rain"})).await.status,
        200
    );
}

#[tokio::test]
async fn a_time_is_written_in_one_way_wherever_it_stands() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.venue(json!({})).await;
    let end = "2031-12-02T10:00:00Z";
    for start in [
        "2031-12-01T10:00:00+25:00",
        "20311201T100000+0900",
        "2031-12-01T23+09",
        "2031-12-01T10:00:00+09:00[Asia/Seoul]",
        "2031-12-01T10:00:60Z",
    ] {
        let answer = app
            .book_at(start, end)
            .await
            .is_problem(422, "validation-failed");
        assert_eq!(answer["errors"][0]["code"], "not-a-time", "{start}");
        let start = start.replace('+', "%2B");
        let path = format!("/spaces/availability?spacename=numberone&from={start}&to={end}");
        app.get(Role::Space, &path)
            .await
            .is_problem(400, "malformed-request");
    }
    // A blank is what becomes of a `+` that was not escaped.
    let path =
        format!("/spaces/availability?spacename=numberone&from=2031-12-01T10:00:00+09:00&to={end}");
    assert_eq!(app.get(Role::Space, &path).await.status, 200);
}

#[tokio::test]
async fn what_is_shorter_than_a_minute_is_no_booking() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.venue(json!({})).await;
    let (start, end) = ("2031-12-01T10:00:00Z", "2031-12-01T10:00:00.1Z");
    let body = json!({"spacename": "numberone", "start": start, "end": end});
    for path in ["/books", "/quotes"] {
        let answer = app
            .post(path, &body)
            .await
            .is_problem(422, "validation-failed");
        assert_eq!(answer["errors"][0]["code"], "too-short", "{path}");
    }
    assert_eq!(app.count("slot_claims").await, 0);
}

#[tokio::test]
async fn what_costs_more_than_can_be_added_up_is_not_booked() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let price = json!({"amount": 1_000_000_000, "currency": "KRW"});
    app.venue(json!({"price_per_hour": price})).await;
    let (start, end) = ("2031-12-01T00:00:00Z", "2031-12-02T16:01:00Z");
    let body = json!({"userid": 1, "spacename": "numberone", "start": start, "end": end});
    for path in ["/books", "/quotes"] {
        let answer = app
            .post(path, &body)
            .await
            .is_problem(422, "validation-failed");
        assert_eq!(answer["errors"][0]["code"], "price-out-of-range", "{path}");
    }
    let dearer = json!({"spacename": "dear", "price_per_hour": {"amount": 1_000_000_001, "currency": "KRW"}});
    app.post("/venues", &dearer)
        .await
        .is_problem(422, "validation-failed");
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_or_that_stands_there_twice_is_a_mistake() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.venue(json!({})).await;
    let day = "from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z";
    for more in ["colour=red", "spacename=numbertwo"] {
        let path = format!("/spaces/availability?spacename=numberone&{day}&{more}");
        app.get(Role::Space, &path)
            .await
            .is_problem(400, "malformed-request");
    }
    for (parameters, pointer, code) in [
        ("size=1&size=x", "/size", "twice"),
        ("date=2031-12-01&date=foo", "/date", "twice"),
        ("min_position=x", "/min_position", "not-a-number"),
        ("colour=red&colour=blue", "/colour", "unknown-parameter"),
    ] {
        let path = format!("/manager/board?{parameters}");
        let answer = app
            .get(Role::Mypage, &path)
            .await
            .is_problem(422, "validation-failed");
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{path}");
        assert_eq!(
            (&errors[0]["pointer"], &errors[0]["code"]),
            (&json!(pointer), &json!(code))
        );
    }
}

#[tokio::test]
async fn who_waits_for_what_is_not_written_yet_is_told_that_something_is_missing() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let answer = app
        .get(Role::Book, "/books?min_position=9223372036854775807")
        .await;
    assert_eq!(
        (answer.status, answer.header("x-projection-lag")),
        (200, Some("1")),
        "{answer:?}"
    );
}
