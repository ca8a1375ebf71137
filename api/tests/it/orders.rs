//! `POST /books`: what each outcome of the payment makes of it, and `POST /payments` beside it.

use api::Role;
use domain::book;
use domain::ports::{PendingReason, Taken};
use serde_json::json;

use crate::app::{Setup, TestApp, eventually, listen};
use crate::heard::Heard;
use crate::till::{Till, approved, declined, pending};

#[tokio::test]
async fn paid_is_201_and_speaks_of_the_last_event_of_the_payment() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    let answer = app.book("numberone").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:8081/books/1")
    );
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.position(), 4);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["phase"]),
        (&json!("booking"), &json!("paid"))
    );
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
    assert_eq!(app.events("Payment", 1).await, ["PaymentRequested"]);
    let asked = till.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].bookid.0, asked[0].charge_no, asked[0].price.minor),
        (1, 1, 10_000)
    );
    assert_eq!(asked[0].spacename, "numberone");
}

#[tokio::test]
async fn number_and_status_are_the_servers_to_give() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let body =
        r#"{"bookid":99,"payid":7,"spacename":"numberone","status":"success-register","amount":1}"#;
    let answer = app
        .call(Role::Book, "POST", "/books")
        .json(body)
        .send()
        .await;
    assert_eq!((answer.status, answer.bookid()), (201, 1));
    let body = answer.json();
    assert_eq!(
        (&body["bookid"], &body["status"], &body["amount"]),
        (&json!(1), &json!("booking"), &json!(10_000))
    );
    assert_eq!(app.count("events where aggregate_id <> '1'").await, 0);
}

#[tokio::test]
async fn declined_is_402_and_leaves_the_rest_to_the_saga() {
    let app = TestApp::paid_by(Till::answering(declined())).await;
    let answer = app.book("numberone").await;
    let problem = answer.is_problem(402, "payment-declined");
    assert_eq!(problem["code"], "card_declined");
    assert_eq!(problem["detail"], "the card was declined");
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:8081/books/1")
    );
    assert_eq!(
        (answer.position(), answer.header("etag")),
        (3, Some("\"1\""))
    );
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
}

#[tokio::test]
async fn not_known_is_202_after_the_booking_says_so_itself() {
    let app = TestApp::paid_by(Till::answering(pending())).await;
    let answer = app.book("numberone").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:8081/books/1")
    );
    assert_eq!(
        (answer.position(), answer.header("etag")),
        (3, Some("\"2\""))
    );
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["phase"]),
        (&json!("Timeout"), &json!("payment_pending"))
    );
    let deferral: serde_json::Value = sqlx::query_scalar(
        "select payload from events where event_type = 'PaymentDeferred' and position = 3",
    )
    .fetch_one(app.journal.pool())
    .await
    .unwrap();
    assert_eq!(deferral["sent"], true);
    assert_eq!(deferral["reason"], PendingReason::Timeout.to_string());
    let read = app.get(Role::Book, "/books/1?min_position=3").await;
    assert_eq!(read.json()["status"], "Timeout");
}

#[tokio::test]
async fn a_charge_that_was_never_sent_is_said_to_be_so() {
    let never_sent = Taken::Pending {
        reason: PendingReason::BreakerOpen,
        sent: false,
    };
    let app = TestApp::paid_by(Till::answering(never_sent)).await;
    assert_eq!(app.book("numberone").await.status, 202);
    assert_eq!(
        app.count("events where payload->>'sent' = 'false'").await,
        1
    );
}

#[tokio::test]
async fn a_booking_that_moved_on_while_its_customer_waited_says_where_it_is() {
    let till = Till::closed(pending());
    let app = TestApp::paid_by(till.clone()).await;
    let booked = app.book("numberone");
    let confirmed = async {
        eventually("the booking is at the till", async || {
            till.asked().len() == 1
        })
        .await;
        app.command(1, book::Command::Confirm).await;
        till.open(1);
    };
    let (answer, ()) = tokio::join!(booked, confirmed);
    assert_eq!((answer.status, answer.position()), (202, 3), "{answer:?}");
    assert_eq!(answer.json()["status"], "success-register");
    assert_eq!(app.events("Book", 1).await, ["Booked", "BookConfirmed"]);
}

#[tokio::test]
async fn too_many_waiting_payments_is_503_with_nothing_stored() {
    let heard = Heard::new();
    let till = Till::answering(approved());
    let mut setup = Setup {
        payment: Some(till.clone()),
        ..Setup::default()
    };
    setup.settings.payment_backlog_max = 2;
    let app = TestApp::with(setup).await;
    // What is charged later (overtime, say) turns nobody away.
    sqlx::query(
        "insert into jobs (kind, key, bookid, payload, due_at)
         select 'charge', format('charge:%s:%s', n, charge), n, '{}', now() + interval '1 hour'
         from generate_series(1, 3) n, generate_series(1, 2) charge",
    )
    .execute(app.journal.pool())
    .await
    .unwrap();
    let answer = app.book("numberone").await;
    answer.is_problem(503, "payment-overloaded");
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.header("x-event-position"), None);
    assert_eq!((app.count("events").await, till.asked().len()), (0, 0));
    let refused = "bookings_refused_total{reason=\"payment-overloaded\"}";
    assert_eq!(heard.metric(refused), 1);
    // One fewer is not more than two; and the refused one drew no number.
    sqlx::query("update jobs set state = 'done' where key = 'charge:1:1'")
        .execute(app.journal.pool())
        .await
        .unwrap();
    eventually("the count is taken again", async || {
        app.book("numberone").await.status == 201
    })
    .await;
    assert_eq!(app.count("events where aggregate_id = '1'").await, 2);
}

#[tokio::test]
async fn a_price_of_our_own_stands_on_the_booking() {
    let till = Till::answering(approved());
    let mut setup = Setup {
        payment: Some(till.clone()),
        ..Setup::default()
    };
    setup.settings.default_price = 15_000;
    let app = TestApp::with(setup).await;
    let answer = app.book("numberone").await.json();
    assert_eq!(
        (&answer["amount"], &answer["currency"]),
        (&json!(15_000), &json!("KRW"))
    );
    assert_eq!(till.asked()[0].price.minor, 15_000);
}

#[tokio::test]
async fn the_payment_role_takes_what_a_booking_intended_and_nothing_else() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    let pay = async |body: &str| {
        app.call(Role::Payment, "POST", "/payments")
            .json(body)
            .send()
            .await
    };
    pay(r#"{"bookid":1}"#)
        .await
        .is_problem(409, "no-such-booking");
    pay(r#"{"bookid":"x"}"#)
        .await
        .is_problem(422, "validation-failed");
    pay("{}").await.is_problem(422, "validation-failed");
    assert!(till.asked().is_empty());
    app.book("numberone").await;
    let answer = pay(r#"{"bookid":"1","status":"cancel-pay","amount":1}"#).await;
    assert_eq!((answer.status, answer.position()), (201, 4), "{answer:?}");
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:8083/payments/1")
    );
    assert_eq!(answer.json()["status"], "success-pay");
    let [first, second] = &till.asked()[..] else {
        panic!("{:?}", till.asked())
    };
    assert_eq!(
        (first.bookid, first.charge_no, first.price),
        (second.bookid, second.charge_no, second.price)
    );
}

#[tokio::test]
async fn the_payment_role_says_what_it_does_not_know() {
    let app = TestApp::paid_by(Till::answering(pending())).await;
    app.book("numberone").await;
    let answer = app
        .call(Role::Payment, "POST", "/payments")
        .json(r#"{"bookid":1}"#)
        .send()
        .await;
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({
            "sent": true,
            "code": "timeout",
            "reason": PendingReason::Timeout.to_string()
        })
    );
    let app = TestApp::paid_by(Till::answering(declined())).await;
    app.book("numberone").await;
    let answer = app
        .call(Role::Payment, "POST", "/payments")
        .json(r#"{"bookid":1}"#)
        .send()
        .await;
    assert_eq!(
        answer.is_problem(402, "payment-declined")["code"],
        "card_declined"
    );
    assert_eq!(answer.position(), 3);
}

#[tokio::test]
async fn a_payment_that_was_taken_is_answered_again_and_not_charged_again() {
    let app = TestApp::start().await;
    let booked = app.book("numberone").await;
    let again = app
        .call(Role::Payment, "POST", "/payments")
        .json(r#"{"bookid":1}"#)
        .send()
        .await;
    assert_eq!(
        (again.status, again.position()),
        (201, booked.position()),
        "{again:?}"
    );
    let ledger = app.get(Role::Payment, "/stub/ledger").await.json();
    assert_eq!(ledger["charges"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_stub_there_is_no_ledger() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let mut production = app.app.clone();
    production.ledger = None;
    let router = api::router(Role::Payment, production);
    let address = listen(router, &app.stop).await;
    let answer = app
        .call_at(&address, Role::Payment, "GET", "/stub/ledger")
        .send()
        .await;
    answer.is_problem(404, "not-found");
    assert_eq!(app.get(Role::Payment, "/stub/ledger").await.status, 200);
}
