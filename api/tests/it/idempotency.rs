//! `Idempotency-Key`: once, whatever the client, the network or the process does.

use api::Role;
use domain::ports::{PendingReason, Taken};
use serde_json::json;

use crate::app::{Setup, TestApp, eventually, listen, order, spawn};
use crate::client::{Answer, Call};
use crate::heard::Heard;
use crate::till::{Till, approved, declined, pending};

const KEY: &str = "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"";

fn keyed(app: &TestApp, key: &str, body: &str) -> Call {
    app.call(Role::Book, "POST", "/books")
        .header("idempotency-key", key)
        .json(body)
}

async fn book(app: &TestApp, key: &str) -> Answer {
    keyed(app, key, &order("numberone")).send().await
}

/// That the second answer is the first one again.
#[track_caller]
fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!(first.header("idempotent-replayed"), None, "{first:?}");
    assert_eq!(
        again.header("idempotent-replayed"),
        Some("true"),
        "{again:?}"
    );
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    for header in [
        "content-type",
        "location",
        "etag",
        "x-event-position",
        "retry-after",
    ] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
}

#[tokio::test]
async fn each_lasting_outcome_is_answered_again_and_not_done_again() {
    for outcome in [approved(), declined(), pending()] {
        let till = Till::answering(outcome);
        let app = TestApp::paid_by(till.clone()).await;
        let first = book(&app, KEY).await;
        let events = app.count("events").await;
        assert_replayed(&first, &book(&app, KEY).await);
        // The bare form is the same key.
        assert_replayed(&first, &book(&app, KEY.trim_matches('"')).await);
        assert_eq!((app.count("events").await, till.asked().len()), (events, 1));
    }
}

#[tokio::test]
async fn the_answer_is_the_first_ones_also_when_the_booking_has_moved_on() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let booked = book(&app, KEY).await;
    let cancel = || {
        let call = app
            .call(Role::Book, "PATCH", "/books/1")
            .header("idempotency-key", "cancel-1");
        call.json(r#"{"status":"cancel-booking"}"#).send()
    };
    let cancelled = cancel().await;
    assert_eq!(cancelled.status, 200);
    assert_replayed(&booked, &book(&app, KEY).await);
    assert_replayed(&cancelled, &cancel().await);
}

#[tokio::test]
async fn every_command_route_takes_a_key() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.book("numberone").await;
    app.book("numbertwo").await;
    let cancel = r#"{"status":"cancel-booking"}"#;
    for (role, method, path, body) in [
        (Role::Payment, "POST", "/payments", r#"{"bookid":1}"#),
        (Role::Book, "PUT", "/books/1", cancel),
        (Role::Book, "DELETE", "/books/2", ""),
        (Role::Book, "PATCH", "/books/1", cancel),
    ] {
        let send = || {
            let key = format!("{method} {path}");
            app.call(role, method, path)
                .header("idempotency-key", &format!("\"{key}\""))
                .json(body)
                .send()
        };
        assert_replayed(&send().await, &send().await);
    }
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    book(&app, KEY).await;
    let other_body = keyed(&app, KEY, &order("numbertwo")).send().await;
    other_body.is_problem(422, "idempotency-key-reused");
    let call = app
        .call(Role::Book, "PATCH", "/books/1")
        .header("idempotency-key", KEY);
    let other_path = call.json(r#"{"status":"cancel-booking"}"#).send().await;
    other_path.is_problem(422, "idempotency-key-reused");
    assert_eq!(app.count("events").await, 2);
}

#[tokio::test]
async fn a_request_that_is_being_worked_on_is_not_begun_again() {
    let till = Till::closed(approved());
    let app = TestApp::paid_by(till.clone()).await;
    let first = keyed(&app, KEY, &order("numberone")).send();
    let second = async {
        eventually("the first is at the till", async || till.asked().len() == 1).await;
        let busy = book(&app, KEY).await;
        busy.is_problem(409, "idempotency-key-in-progress");
        assert_eq!(busy.header("retry-after"), Some("1"));
        keyed(&app, KEY, &order("numbertwo"))
            .send()
            .await
            .is_problem(422, "idempotency-key-reused");
        till.open(1);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status, 201);
    assert_replayed(&first, &book(&app, KEY).await);
    assert_eq!(till.asked().len(), 1);
}

#[tokio::test]
async fn without_the_lock_it_would_be_begun_again() {
    let till = Till::closed(approved());
    let app = TestApp::paid_by(till.clone()).await;
    app.without_rule("idempotency_begin", "lock").await;
    let first = keyed(&app, KEY, &order("numberone")).send();
    let second = async {
        eventually("the first is at the till", async || till.asked().len() == 1).await;
        let second = keyed(&app, KEY, &order("numberone")).send().await;
        till.open(1);
        second
    };
    let (first, second) = tokio::join!(first, second);
    // Begun, not turned away; that it does not charge beside the first is not the lock's doing.
    assert_eq!((first.status, second.status), (201, 202));
    assert_eq!(till.asked().len(), 1);
}

/// A request in progress whose process died, and another request under its key.
async fn another_request_takes_over(app: &TestApp) -> Answer {
    book(app, KEY).await;
    forget_the_answer(app).await;
    keyed(app, KEY, &order("numbertwo")).send().await
}

#[tokio::test]
async fn another_request_cannot_take_over_either() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let refused = another_request_takes_over(&app).await;
    refused.is_problem(422, "idempotency-key-reused");

    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.without_rule("idempotency_begin", "same request").await;
    // It asked for number two, and is told of what the first one booked.
    let answer = another_request_takes_over(&app).await;
    assert_eq!((answer.status, answer.bookid()), (202, 1), "{answer:?}");
    assert_eq!(answer.json()["spacename"], "numberone");
}

#[tokio::test]
async fn fifty_equal_requests_at_once_are_one_booking_and_one_charge() {
    let app = TestApp::start().await;
    let at_once = (0..50).map(|_| book(&app, KEY));
    let answers = futures::future::join_all(at_once).await;
    let (done, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    let fresh = done
        .iter()
        .filter(|answer| answer.header("idempotent-replayed").is_none());
    assert_eq!(fresh.count(), 1, "{done:?}");
    for answer in &busy {
        answer.is_problem(409, "idempotency-key-in-progress");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for _ in busy {
        // The one that was at work has been answered.
        let again = book(&app, KEY).await;
        assert_eq!((again.status, &again.body), (201, &done[0].body));
    }
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
    assert_eq!(app.count("stub_gateway.charges").await, 1);
}

#[tokio::test]
async fn what_may_go_better_next_time_is_not_kept() {
    let heard = Heard::new();
    let mut setup = Setup {
        payment: Some(Till::answering(approved())),
        ..Setup::default()
    };
    setup.settings.payment_backlog_max = -1;
    let app = TestApp::with(setup).await;
    book(&app, KEY).await.is_problem(503, "payment-overloaded");
    // The same key, to a router that has room.
    let mut roomy = app.app.clone();
    roomy.settings.payment_backlog_max = 10;
    let address = listen(api::router(Role::Book, roomy), &app.stop).await;
    let call = app
        .call_at(&address, Role::Book, "POST", "/books")
        .header("idempotency-key", KEY);
    let answer = call.json(&order("numberone")).send().await;
    assert_eq!(
        (answer.status, answer.header("idempotent-replayed")),
        (201, None),
        "{answer:?}"
    );
    was_run_again(&app, &heard).await;
}

/// That a request was run again under its key, once: a row, a metric, a line of the log.
async fn was_run_again(app: &TestApp, heard: &Heard) {
    assert_eq!(app.count("idempotency_keys where attempt = 2").await, 1);
    assert_eq!(heard.metric("idempotency_keys_run_again_total"), 1);
    let line = ["is run again under its key", "path=\"/books\"", "attempt=2"];
    assert_eq!(heard.lines(&line), 1, "{}", heard.log());
}

/// Takes the lock of every request in progress away, as time would.
async fn run_out(app: &TestApp) {
    sqlx::query("update idempotency_keys set locked_until = now() - interval '1 second' where status is null")
        .execute(app.journal.pool())
        .await
        .unwrap();
}

/// As if the process had died before it could keep the answer, some time ago.
async fn forget_the_answer(app: &TestApp) {
    sqlx::query("update idempotency_keys set status = null, headers = null, body = null")
        .execute(app.journal.pool())
        .await
        .unwrap();
    run_out(app).await;
}

/// A second process on the same database.
async fn another(app: &TestApp, till: &std::sync::Arc<Till>) -> String {
    let mut second = app.app.clone();
    second.payment = till.clone();
    listen(api::router(Role::Book, second), &app.stop).await
}

async fn book_at(app: &TestApp, address: &str) -> Answer {
    let call = app
        .call_at(address, Role::Book, "POST", "/books")
        .header("idempotency-key", KEY);
    call.json(&order("numberone")).send().await
}

#[tokio::test]
async fn a_process_that_died_after_storing_is_taken_over_with_the_same_booking() {
    // It hangs at the till for ever, which is as good as dead.
    let (dead, alive) = (Till::closed(approved()), Till::answering(approved()));
    let app = TestApp::paid_by(dead.clone()).await;
    let first = keyed(&app, KEY, &order("numberone"));
    spawn(async move { drop(first.try_send().await) });
    eventually("the booking is stored", async || dead.asked().len() == 1).await;
    let address = another(&app, &alive).await;
    book_at(&app, &address)
        .await
        .is_problem(409, "idempotency-key-in-progress");

    run_out(&app).await;
    let answer = book_at(&app, &address).await;
    assert_eq!((answer.status, answer.bookid()), (202, 1), "{answer:?}");
    assert_eq!(answer.header("idempotent-replayed"), None);
    // The first may yet charge: the second does not beside it, and leaves it to the background to find out.
    assert_eq!(alive.asked().len(), 0);
    assert_eq!(app.events("Book", 1).await, ["Booked", "PaymentDeferred"]);
    assert_replayed(&answer, &book_at(&app, &address).await);
}

#[tokio::test]
async fn a_process_that_died_after_deferring_gives_the_same_202() {
    let heard = Heard::new();
    let till = Till::answering(pending());
    let app = TestApp::paid_by(till.clone()).await;
    let first = book(&app, KEY).await;
    forget_the_answer(&app).await;
    let again = book(&app, KEY).await;
    assert_eq!(
        (again.status, &again.body, again.position()),
        (202, &first.body, first.position())
    );
    was_run_again(&app, &heard).await;
    assert_eq!(app.events("Book", 1).await, ["Booked", "PaymentDeferred"]);
}

#[tokio::test]
async fn a_process_that_died_before_storing_is_taken_over_with_a_new_booking() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    book(&app, "\"to learn the fingerprint\"").await;
    sqlx::query(
        "insert into idempotency_keys (principal, key, method, path, fingerprint, locked_until)
         select principal, $1, method, path, fingerprint, now() - interval '1 second' from idempotency_keys",
    )
    .bind(KEY.trim_matches('"'))
    .execute(app.journal.pool())
    .await
    .unwrap();
    let answer = book(&app, KEY).await;
    assert_eq!((answer.status, answer.bookid()), (201, 2), "{answer:?}");
}

#[tokio::test]
async fn who_comes_back_after_being_taken_over_changes_nothing() {
    let (slow, other) = (Till::closed(pending()), Till::closed(approved()));
    let app = TestApp::paid_by(slow.clone()).await;
    let address = another(&app, &other).await;
    let taken_over = async {
        eventually("the first is at its till", async || slow.asked().len() == 1).await;
        run_out(&app).await;
        let second = book_at(&app, &address).await;
        slow.open(1);
        second
    };
    let first = keyed(&app, KEY, &order("numberone")).send();
    let (first, second) = tokio::join!(first, taken_over);
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(other.asked().len(), 0);
    assert_eq!(app.events("Book", 1).await, ["Booked", "PaymentDeferred"]);
    assert_replayed(&second, &book_at(&app, &address).await);
}

#[tokio::test]
async fn after_a_day_a_key_is_forgotten_and_its_row_swept() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for key in ["one", "two", "three", "four"] {
        book(&app, key).await;
    }
    sqlx::query("update idempotency_keys set created_at = now() - interval '25 hours'")
        .execute(app.journal.pool())
        .await
        .unwrap();
    // Another body under an old key is another booking.
    let answer = keyed(&app, "one", &order("numbertwo")).send().await;
    assert_eq!((answer.status, answer.bookid()), (201, 5), "{answer:?}");
    assert!(app.count("idempotency_keys").await <= 3);
    book(&app, "five").await;
    assert_eq!(
        app.count("idempotency_keys where created_at < now() - interval '24 hours'")
            .await,
        0
    );
}

#[tokio::test]
async fn what_is_no_key_is_400_and_does_nothing() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let too_long = "k".repeat(256);
    for key in ["", "\"\"", "\"open", &too_long] {
        book(&app, key).await.is_problem(400, "malformed-request");
    }
    assert_eq!(app.count("events").await, 0);
}

#[tokio::test]
async fn a_conflict_is_not_kept_because_it_may_pass() {
    let never_sent = Taken::Pending {
        reason: PendingReason::BreakerOpen,
        sent: false,
    };
    let app = TestApp::paid_by(Till::answering(never_sent)).await;
    let pay = || {
        let call = app
            .call(Role::Payment, "POST", "/payments")
            .header("idempotency-key", KEY);
        call.json(r#"{"bookid":1}"#).send()
    };
    pay().await.is_problem(409, "no-such-booking");
    app.book("numberone").await;
    let answer = pay().await;
    assert_eq!(
        (answer.status, &answer.json()["sent"]),
        (202, &json!(false))
    );
}
