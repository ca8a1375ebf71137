//! What all commands have in common. The router is asked which there are, so that a new one is met here or fails.

use std::sync::Arc;

use api::Role;
use domain::BookId;
use domain::space::Command::{CheckIn, CompletePreparation, StartPreparation};

use crate::app::{ROLES, Setup, TestApp, listen, order};
use crate::client::Answer;
use crate::staff::{hand_over, register};
use crate::till::{Till, approved, pending};

const CANCEL: &str = r#"{"status":"cancel-booking"}"#;

/// A command of one route, about a booking that was made for it.
pub(crate) struct Sample {
    role: Role,
    method: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
    /// Events that it stores, and payments that it asks for.
    pub(crate) effect: (i64, usize),
}

impl Sample {
    /// What a route is asked for here. A route without a sample is a route that nobody has thought of.
    fn of(role: Role, method: &'static str, path: &str, bookid: i64) -> Self {
        let (body, effect) = match (method, path) {
            ("POST", "/books") => (order("numberone"), (2, 1)),
            // The booking, and what staff do for it.
            ("PUT" | "PATCH", "/books/{id}") => (CANCEL.to_owned(), (2, 0)),
            ("DELETE", "/books/{id}") => (String::new(), (2, 0)),
            ("POST", "/books/{id}/cancel") => (r#"{"reason":"rain"}"#.to_owned(), (2, 0)),
            ("POST", "/payments/{id}/refunds") => {
                (r#"{"amount":1000,"reason":"rain"}"#.to_owned(), (1, 0))
            }
            ("POST", "/books/{id}/reschedule") => (
                r#"{"start":"2099-01-02T10:00:00Z","end":"2099-01-02T11:00:00Z"}"#.to_owned(),
                (2, 0),
            ),
            ("POST", "/payments/{id}/charges") => (String::new(), (1, 0)),
            // Venues are no events, and a quote is nothing.
            ("POST", "/venues") => (format!(r#"{{"spacename":"venue-{bookid}"}}"#), (0, 0)),
            ("PUT", "/venues/{spacename}") => (r#"{"units":2}"#.to_owned(), (0, 0)),
            ("DELETE", "/venues/{spacename}") => (String::new(), (0, 0)),
            ("POST", "/quotes") => (r#"{"spacename":"numberone"}"#.to_owned(), (0, 0)),
            ("POST", "/spaces/{id}/hand-over") => {
                (r#"{"by":"kim","method":"key"}"#.to_owned(), (1, 0))
            }
            ("POST", step) if step.starts_with("/spaces/{id}/") => {
                (r#"{"by":"kim"}"#.to_owned(), (1, 0))
            }
            ("POST", "/payments") => (format!(r#"{{"bookid":{bookid}}}"#), (0, 1)),
            _ => panic!("{method} {path} is a new command: give it a sample here"),
        };
        Self {
            role,
            method,
            path: path
                .replace("{id}", &bookid.to_string())
                .replace("{spacename}", &format!("venue-{bookid}")),
            body,
            effect,
        }
    }

    pub(crate) async fn send(&self, app: &TestApp, key: &str, body: &str) -> Answer {
        app.call(self.role, self.method, &self.path)
            .header("idempotency-key", key)
            .json(body)
            .send()
            .await
    }

    pub(crate) fn key(&self) -> String {
        format!("\"{:?} {} {}\"", self.role, self.method, self.path)
    }
}

/// What must have happened at a space before staff can take the step of this path.
async fn get_there(app: &TestApp, path: &str, bookid: i64) {
    let by = || "kim".to_owned();
    let steps = [
        ("/spaces/{id}/prepare", register(bookid)),
        ("/spaces/{id}/ready", StartPreparation { by: by() }),
        ("/spaces/{id}/hand-over", CompletePreparation { by: by() }),
        ("/spaces/{id}/check-in", hand_over("kim")),
        ("/spaces/{id}/check-out", CheckIn { by: Some(by()) }),
    ];
    let before = match path {
        "/spaces/{id}/no-show" => 1,
        path => steps
            .iter()
            .position(|(step, _)| *step == path)
            .map_or(0, |place| place + 1),
    };
    for (_, command) in steps.into_iter().take(before) {
        app.execute(domain::Command::Space(BookId(bookid), command))
            .await;
    }
}

/// A booking of one of many units, for an hour of the day before that which the sample moves to.
pub(crate) async fn confirmed_for_a_time(app: &TestApp) -> i64 {
    let open_to_all = serde_json::json!({"units": 99, "unscheduled": true});
    app.venue(open_to_all).await;
    let (start, end) = ("2099-01-01T10:00:00Z", "2099-01-01T11:00:00Z");
    let bookid = app.book_at(start, end).await.bookid();
    app.pay(bookid).await;
    app.execute(domain::Command::Space(BookId(bookid), register(bookid)))
        .await;
    app.command(bookid, domain::book::Command::Confirm).await;
    bookid
}

/// A sample of every command of every port.
pub(crate) async fn samples(app: &TestApp) -> Vec<Sample> {
    let mut samples = vec![];
    for role in ROLES {
        for (method, path) in api::commands(role, app.app.clone()) {
            let bookid = if path.ends_with("/reschedule") {
                confirmed_for_a_time(app).await
            } else {
                app.book("numbertwo").await.bookid()
            };
            if path.starts_with("/payments/{id}/") {
                app.pay(bookid).await;
            }
            if path.ends_with("/charges") {
                app.declined_overtime(bookid, 2).await;
            }
            if method == "DELETE" && path.starts_with("/venues") {
                let body = format!(r#"{{"spacename":"venue-{bookid}"}}"#);
                let defined = app.call(Role::Book, "POST", "/venues").json(&body).send();
                assert_eq!(defined.await.status, 201);
            }
            get_there(app, &path, bookid).await;
            samples.push(Sample::of(role, method, &path, bookid));
        }
    }
    samples
}

/// What there is: events, and payments that were asked for.
pub(crate) async fn effects(app: &TestApp, till: &Till) -> (i64, usize) {
    (app.count("events").await, till.asked().len())
}

#[tokio::test]
async fn the_commands_are_these() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let routes = |role| api::commands(role, app.app.clone());
    let route = |method, path: &str| (method, path.to_owned());
    let books = [
        route("POST", "/books"),
        route("PUT", "/books/{id}"),
        route("PATCH", "/books/{id}"),
        route("DELETE", "/books/{id}"),
        route("POST", "/books/{id}/cancel"),
        route("POST", "/books/{id}/reschedule"),
        route("POST", "/quotes"),
        route("POST", "/venues"),
        route("PUT", "/venues/{spacename}"),
        route("DELETE", "/venues/{spacename}"),
    ];
    let payments = [
        route("POST", "/payments"),
        route("POST", "/payments/{id}/refunds"),
        route("POST", "/payments/{id}/charges"),
    ];
    assert_eq!(routes(Role::Book), books);
    assert_eq!(routes(Role::Payment), payments);
    let spaces = [
        "prepare",
        "ready",
        "hand-over",
        "check-in",
        "check-out",
        "no-show",
    ];
    let spaces = spaces.map(|step| route("POST", &format!("/spaces/{{id}}/{step}")));
    assert_eq!(routes(Role::Space), spaces);
    assert_eq!(routes(Role::Mypage), []);
    assert_eq!(
        routes(Role::Gateway),
        [&books[..], &spaces, &payments].concat()
    );
}

#[tokio::test]
async fn fifty_at_once_under_one_key_are_one_effect_and_one_answer_on_every_route() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    for sample in samples(&app).await {
        let (key, name) = (sample.key(), sample.key());
        let (events, asked) = effects(&app, &till).await;
        let at_once = (0..50).map(|_| sample.send(&app, &key, &sample.body));
        let answers = futures::future::join_all(at_once).await;
        let (done, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status < 300);
        let first: Vec<_> = done
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_none())
            .collect();
        assert_eq!(first.len(), 1, "{name}: {answers:?}");
        for answer in &busy {
            answer.is_problem(409, "idempotency-key-in-progress");
            assert_eq!(answer.header("retry-after"), Some("1"), "{name}");
        }
        let again = sample.send(&app, &key, &sample.body).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{name}");
        for answer in done.iter().chain([&&again]) {
            let shown = (answer.status, &answer.body, answer.header("etag"));
            let wanted = (first[0].status, &first[0].body, first[0].header("etag"));
            assert_eq!(shown, wanted, "{name}");
        }
        let wanted = (events + sample.effect.0, asked + sample.effect.1);
        assert_eq!(effects(&app, &till).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn another_body_under_the_key_is_refused_on_every_route() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    for sample in samples(&app).await {
        let name = sample.key();
        assert!(sample.send(&app, &name, &sample.body).await.status < 300);
        let before = effects(&app, &till).await;
        let other = format!("{} ", sample.body);
        sample
            .send(&app, &name, &other)
            .await
            .is_problem(422, "idempotency-key-reused");
        assert_eq!(effects(&app, &till).await, before, "{name}");
    }
}

/// As if the process had died after the effect, before it could keep the answer.
pub(crate) async fn forget_the_answers(app: &TestApp) {
    sqlx::query(
        "update idempotency_keys set status = null, headers = null, body = null,
                locked_until = clock_timestamp() - interval '1 second'",
    )
    .execute(app.journal.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn an_answer_that_was_never_kept_is_given_without_a_second_effect_on_every_route() {
    let till = Till::answering(pending());
    let app = TestApp::paid_by(till.clone()).await;
    for sample in samples(&app).await {
        let name = sample.key();
        let first = sample.send(&app, &name, &sample.body).await;
        let events = app.count("events").await;
        forget_the_answers(&app).await;
        let again = sample.send(&app, &name, &sample.body).await;
        assert_eq!(again.header("idempotent-replayed"), None, "{name}");
        assert_eq!(
            (again.status, again.header("location")),
            (first.status, first.header("location")),
            "{name}"
        );
        assert_eq!(app.count("events").await, events, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_was_never_kept_is_made_of_what_the_booking_is_by_now() {
    let app = TestApp::start().await;
    let send = async |method: &str, path: &str, body: &str| {
        let call = app.call(Role::Book, method, path);
        let key = format!("\"{method} {path}\"");
        call.header("idempotency-key", &key).json(body).send().await
    };
    let booked = send("POST", "/books", &order("numberone")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    app.settled(1, "BookConfirmed").await;
    forget_the_answers(&app).await;
    let again = send("POST", "/books", &order("numberone")).await;
    assert_eq!((again.status, again.bookid()), (201, 1), "{again:?}");
    assert_eq!(again.json()["status"], "success-register", "{again:?}");
    assert!(again.position() > booked.position(), "{again:?}");
    assert_eq!(again.header("etag"), Some("\"2\""), "{again:?}");

    let cancelled = send("PATCH", "/books/1", CANCEL).await;
    assert_eq!(cancelled.json()["status"], "cancel-booking");
    app.settled(1, "BookClosed").await;
    let events = app.count("events").await;
    forget_the_answers(&app).await;
    for (method, path, body) in [
        ("PATCH", "/books/1", CANCEL),
        ("POST", "/books", &order("numberone")),
    ] {
        let again = send(method, path, body).await;
        assert_eq!(again.json()["status"], "cancel-register", "{again:?}");
        assert!(again.position() > cancelled.position(), "{again:?}");
    }
    assert_eq!(app.count("events").await, events);
    assert_eq!(app.count("stub_gateway.charges").await, 1);
}

/// A booking, and a router for which changes must say what they change.
async fn demanding() -> (TestApp, Arc<Till>) {
    let till = Till::answering(approved());
    let mut setup = Setup {
        payment: Some(till.clone()),
        ..Setup::default()
    };
    setup.settings.require_if_match = true;
    (TestApp::with(setup).await, till)
}

#[tokio::test]
async fn a_change_without_if_match_is_428_where_that_is_demanded() {
    let (app, _till) = demanding().await;
    // A booking that is made changes none, and a payment is no change of a booking.
    for method in ["PUT", "PATCH", "DELETE"] {
        let path = format!("/books/{}", app.book("numberone").await.bookid());
        let send = async |tag: Option<&str>| {
            let call = app.call(Role::Book, method, &path);
            let call = match tag {
                Some(tag) => call.header("if-match", tag),
                None => call,
            };
            call.json(CANCEL).send().await
        };
        let events = app.count("events").await;
        let refused = send(None).await;
        refused.is_problem(428, "if-match-required");
        send(Some("\"2\""))
            .await
            .is_problem(412, "version-mismatch");
        assert_eq!(app.count("events").await, events, "{method}");
        let done = send(Some("\"1\"")).await;
        assert!((200..300).contains(&done.status), "{done:?}");
        // "Any version" is an answer to the question, too.
        let done = send(Some("*")).await;
        assert!((200..300).contains(&done.status), "{done:?}");
    }
}

#[tokio::test]
async fn every_change_of_one_resource_is_428_without_if_match_and_nothing_else_is() {
    let (app, _till) = demanding().await;
    for role in ROLES {
        for (method, path) in api::commands(role, app.app.clone()) {
            let sample = Sample::of(role, method, &path, 1);
            let key = sample.key();
            let answer = sample.send(&app, &key, &sample.body).await;
            // What is not there is not asked for its version first: the version must be said in any case.
            assert_eq!(
                answer.status == 428,
                path.contains('{'),
                "{key}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_with_428_does_not_use_up_a_key() {
    let (app, _till) = demanding().await;
    app.book("numberone").await;
    let call = || {
        let call = app.call(Role::Book, "DELETE", "/books/1");
        call.header("idempotency-key", "k")
    };
    call().send().await.is_problem(428, "if-match-required");
    let done = call().header("if-match", "\"1\"").send().await;
    assert_eq!(done.status, 204, "{done:?}");
}

#[tokio::test]
async fn by_default_no_change_needs_an_if_match() {
    let (demanding, _till) = demanding().await;
    demanding.book("numberone").await;
    let mut lenient = demanding.app.clone();
    lenient.settings.require_if_match = api::Settings::default().require_if_match;
    let address = listen(api::router(Role::Book, lenient), &demanding.stop).await;
    let call = demanding.call_at(&address, Role::Book, "DELETE", "/books/1");
    assert_eq!(call.send().await.status, 204);
}
