//! What staff do at a space, over HTTP.

use api::Role;
use domain::BookId;
use domain::space::{self, Method};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::app::{TestApp, WITHIN, eventually};
use crate::client::Answer;
use crate::till::{Till, approved};

/// Every step in its order: its path, the phase that it leads to and the status that `/spaces` shows then.
const WAY: [(&str, &str, &str); 5] = [
    ("prepare", "preparing", "preparing"),
    ("ready", "ready", "ready"),
    ("hand-over", "handed_over", "delivered"),
    ("check-in", "in_use", "in-use"),
    ("check-out", "completed", "completed"),
];

/// What the saga asks for when a booking is paid.
pub(crate) fn register(bookid: i64) -> space::Command {
    space::Command::Register {
        bookid: BookId(bookid),
        approved_payid: BookId(bookid),
        userid: None,
        spacename: "numberone".to_owned(),
        slot: None,
        no_show_grace_minutes: None,
    }
}

pub(crate) fn hand_over(by: &str) -> space::Command {
    space::Command::HandOver {
        method: Method::Key,
        by: by.to_owned(),
    }
}

/// A booking whose space is registered, and nothing behind it that acts by itself.
async fn registered() -> TestApp {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    app.execute(domain::Command::Space(BookId(1), register(1)))
        .await;
    app
}

fn body(step: &str) -> &'static str {
    match step {
        "hand-over" => r#"{"by":"kim","method":"code"}"#,
        _ => r#"{"by":"kim"}"#,
    }
}

/// The host in the links is the port's own.
fn without_links(mut item: Value) -> Value {
    item.as_object_mut().unwrap().remove("_links");
    item
}

async fn take(app: &TestApp, role: Role, step: &str, body: &str) -> Answer {
    let path = format!("/spaces/1/{step}");
    app.call(role, "POST", &path).json(body).send().await
}

/// How far staff got by the steps before this one, on either port.
async fn at(app: &TestApp, step: &str) {
    for (before, ..) in WAY.iter().take_while(|(name, ..)| *name != step) {
        let done = take(app, Role::Space, before, body(before)).await;
        assert_eq!(done.status, 200, "{before}: {done:?}");
    }
}

#[tokio::test]
async fn staff_lead_a_booking_to_its_end_and_every_step_is_in_the_trace() {
    let app = TestApp::start().await;
    app.book("numberone").await;
    app.settled(1, "BookConfirmed").await;
    let ports = [Role::Space, Role::Gateway].into_iter().cycle();
    let mut last = 0;
    for ((step, phase, status), (role, version)) in WAY.into_iter().zip(ports.zip(2..)) {
        let done = take(&app, role, step, body(step)).await;
        assert_eq!(done.status, 200, "{step}: {done:?}");
        let shown = done.json();
        assert_eq!(shown["phase"], phase, "{step}");
        assert_eq!(shown["status"], status, "{step}");
        assert_eq!(shown["userid"], 1, "{step}");
        assert_eq!(shown["spacename"], "numberone", "{step}");
        assert_eq!(done.header("etag"), Some(&*format!("\"{version}\"")));
        assert!(done.position() > last, "{step}");
        last = done.position();
        // The read model says the same, of the same version.
        let read = app.get_at(last, Role::Space, "/spaces/1").await;
        assert_eq!(without_links(read.json()), without_links(shown), "{step}");
        let tag = read.header("etag").unwrap();
        assert!(tag.starts_with(&format!("\"{version}-")), "{tag}");
    }
    app.settled(1, "BookClosed").await;
    let trace = app
        .get_at(last, Role::Mypage, "/mypages/1/trace")
        .await
        .json();
    let of_staff: Vec<_> = trace["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["actor"] == "manager")
        .collect();
    let told: Vec<_> = of_staff
        .iter()
        .map(|line| (&line["event"], &line["actor_id"], &line["note"]))
        .collect();
    let (kim, by_kim) = (json!("kim"), json!("by kim"));
    let events = [
        "PreparationStarted",
        "Prepared",
        "HandedOver",
        "CheckedIn",
        "CheckedOut",
    ]
    .map(Value::from);
    let wanted: Vec<_> = events.iter().map(|event| (event, &kim, &by_kim)).collect();
    assert_eq!(told, wanted);
    assert!(of_staff.iter().all(|line| line["at"].is_string()));
    let done = app.get(Role::Book, "/books/1").await.json();
    assert_eq!(done["status"], "completed");
}

#[tokio::test]
async fn a_step_that_was_taken_is_the_same_again_and_stores_nothing() {
    let app = registered().await;
    for (step, phase, _) in WAY {
        let first = take(&app, Role::Space, step, body(step)).await;
        let events = app.count("events").await;
        let again = take(&app, Role::Space, step, body(step)).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{step}");
        assert_eq!(again.json()["phase"], phase);
        assert_eq!(again.header("etag"), first.header("etag"), "{step}");
        assert_eq!(again.position(), first.position(), "{step}");
        assert_eq!(app.count("events").await, events, "{step}");
    }
}

#[tokio::test]
async fn a_step_out_of_order_says_where_the_space_is_and_what_can_be_done() {
    for (at_step, step, current, allowed) in [
        (
            "prepare",
            "hand-over",
            "registered",
            json!(["prepare", "ready", "no-show"]),
        ),
        (
            "ready",
            "check-in",
            "preparing",
            json!(["ready", "no-show"]),
        ),
        (
            "hand-over",
            "check-out",
            "ready",
            json!(["hand-over", "no-show"]),
        ),
        (
            "check-in",
            "check-out",
            "handed_over",
            json!(["check-in", "no-show"]),
        ),
        ("check-out", "no-show", "in_use", json!(["check-out"])),
        ("end", "check-in", "completed", json!([])),
    ] {
        let app = registered().await;
        at(&app, at_step).await;
        let events = app.count("events").await;
        let refused = take(&app, Role::Space, step, body(step)).await;
        let problem = refused.is_problem(409, "illegal-transition");
        assert_eq!(problem["current"], current, "{problem}");
        assert_eq!(problem["allowed"], allowed, "{problem}");
        assert_eq!(app.count("events").await, events);
    }
}

#[tokio::test]
async fn a_space_that_the_customer_has_is_not_prepared_any_more() {
    let app = registered().await;
    at(&app, "check-in").await;
    for step in ["prepare", "ready"] {
        let refused = take(&app, Role::Space, step, body(step)).await;
        refused.is_problem(409, "already-handed-over");
    }
}

#[tokio::test]
async fn a_space_whose_booking_is_cancelled_takes_no_step() {
    let app = registered().await;
    at(&app, "ready").await;
    assert_eq!(app.cancel(1).await.status, 200);
    for (step, ..) in WAY.iter().chain([&("no-show", "", "")]) {
        let refused = take(&app, Role::Space, step, body(step)).await;
        let problem = refused.is_problem(409, "illegal-transition");
        assert_eq!(problem["current"], "cancelling", "{step}");
        assert_eq!(problem["allowed"], json!([]), "{step}");
    }
}

#[tokio::test]
async fn what_is_not_registered_is_not_there() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    for (step, ..) in WAY {
        for number in ["1", "2", "x", "99999999999999999999"] {
            let path = format!("/spaces/{number}/{step}");
            let answer = app.call(Role::Space, "POST", &path).json(body(step));
            let answer = answer.send().await;
            answer.is_problem(404, "not-found");
        }
    }
    // A cancellation writes into the stream before anybody registers.
    app.cancel(1).await;
    assert_eq!(
        take(&app, Role::Space, "prepare", body("")).await.status,
        404
    );
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let app = registered().await;
    at(&app, "hand-over").await;
    let events = app.count("events").await;
    for (step, body, errors) in [
        ("check-in", r"{}", vec![("/by", "required")]),
        ("check-in", r#"{"by":" "}"#, vec![("/by", "required")]),
        ("check-in", r#"{"by":7}"#, vec![("/by", "not-a-text")]),
        ("check-in", r#"{"by":["kim"]}"#, vec![("/by", "not-a-text")]),
        (
            "check-in",
            r#"{"by":"kim","method":"key"}"#,
            vec![("/method", "unknown-field")],
        ),
        (
            "hand-over",
            r#"{"by":"kim"}"#,
            vec![("/method", "required")],
        ),
        (
            "hand-over",
            r#"{"by":"kim","method":"Key"}"#,
            vec![("/method", "unknown-value")],
        ),
        (
            "hand-over",
            r#"{"how":"key"}"#,
            vec![
                ("/how", "unknown-field"),
                ("/by", "required"),
                ("/method", "required"),
            ],
        ),
    ] {
        let refused = take(&app, Role::Space, step, body).await;
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
        assert_eq!(found, errors, "{body}");
    }
    for body in ["", "[]", "by=kim"] {
        let refused = take(&app, Role::Space, "hand-over", body).await;
        refused.is_problem(400, "malformed-request");
    }
    assert_eq!(app.count("events").await, events);
}

#[tokio::test]
async fn of_two_who_read_the_same_version_one_takes_the_step() {
    let app = registered().await;
    let send = |step: &'static str| {
        let path = format!("/spaces/1/{step}");
        let call = app.call(Role::Space, "POST", &path);
        call.header("if-match", "\"1\"").json(body(step)).send()
    };
    let answers = join_all([send("prepare"), send("ready"), send("no-show")]).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412], "{answers:?}");
    let late = answers.iter().find(|answer| answer.status == 412).unwrap();
    late.is_problem(412, "version-mismatch");
    assert_eq!(late.header("etag"), Some("\"2\""));
}

#[tokio::test]
async fn of_a_hand_over_and_a_cancellation_at_once_one_wins() {
    for _ in 0..8 {
        let app = registered().await;
        at(&app, "hand-over").await;
        let (handed, cancelled) = tokio::join!(
            take(&app, Role::Space, "hand-over", body("hand-over")),
            app.cancel(1)
        );
        match (handed.status, cancelled.status) {
            (200, 409) => {
                cancelled.is_problem(409, "already-handed-over");
            }
            (409, 200) => {
                handed.is_problem(409, "illegal-transition");
            }
            _ => panic!("{handed:?} {cancelled:?}"),
        }
    }
}

#[tokio::test]
async fn everybody_who_waits_sees_a_no_show() {
    let app = TestApp::start().await;
    app.book("numberone").await;
    app.settled(1, "BookConfirmed").await;
    let done = take(&app, Role::Space, "no-show", body("no-show")).await;
    assert_eq!(
        (done.status, done.json()["status"].as_str()),
        (200, Some("no-show"))
    );
    let wait = local_postgres::testing::timeout(WITHIN, app.settled(1, "BookClosed"));
    wait.await.unwrap();
    eventually("the page", async || {
        let page = app.get(Role::Mypage, "/mypages/1").await.json();
        page["status"] == "no-show" && page["phase"] == "no_show"
    })
    .await;
}

#[tokio::test]
async fn a_step_that_came_too_early_is_taken_when_it_is_asked_for_again_under_its_key() {
    let app = TestApp::start().await;
    let prepare = async || {
        let call = app.call(Role::Space, "POST", "/spaces/1/prepare");
        let call = call.header("idempotency-key", "\"early\"");
        call.json(body("prepare")).send().await
    };
    prepare().await.is_problem(404, "not-found");
    app.book("numberone").await;
    app.settled(1, "BookConfirmed").await;
    let taken = prepare().await;
    assert_eq!(taken.status, 200, "{taken:?}");
}
