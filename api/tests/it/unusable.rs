//! What nobody can use is refused, wherever it stands: the database is not asked what it could only fail at.

use api::Role;
use serde_json::json;

use crate::app::TestApp;
use crate::till::{Till, approved};

/// Times that the program knows and the database does not.
const YEARS: [&str; 3] = ["-005000", "-004713", "-009998"];

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
    for year in YEARS {
        let path = format!(
            "/spaces/availability?spacename=numberone&from={year}-01-01T00:00:00Z&to={year}-01-02T00:00:00Z"
        );
        let answer = app.get(Role::Space, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["windows"], json!([]));
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
