//! A key is forgotten after a day: what then comes under it is a new request, whatever the old one was. Within the day it
//! is the old one, whoever runs it.

use api::Role;
use domain::{BookId, Money, payment};
use journal::{Actor, Request, Trace};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use crate::app::{TestApp, order};
use crate::client::Answer;
use crate::every_command::{Sample, effects, forget_the_answers, samples};
use crate::till::{Till, approved};

const KEY: &str = "k";
const REFUND: &str = r#"{"amount":1000,"reason":"rain"}"#;

impl TestApp {
    async fn a_day_passes(&self) {
        self.as_owner(
            "update idempotency_keys set created_at = created_at - interval '25 hours';
             alter table commands disable trigger user;
             update commands set recorded_at = recorded_at - interval '25 hours';
             alter table commands enable trigger user;
             alter table venue_changes disable trigger user;
             update venue_changes set changed_at = changed_at - interval '25 hours';
             alter table venue_changes enable trigger user",
        )
        .await;
    }

    async fn under_the_key(&self, role: Role, method: &str, path: &str, body: &str) -> Answer {
        let call = self.call(role, method, path).header("idempotency-key", KEY);
        call.json(body).send().await
    }

    /// A booking that is paid.
    async fn paid(&self) -> i64 {
        let bookid = self.book("numberone").await.bookid();
        self.pay(bookid).await;
        bookid
    }

    /// Gives a thousand back under the key, and says how often a thousand was given back.
    async fn refund_under_the_key(&self, bookid: i64) -> i64 {
        let path = format!("/payments/{bookid}/refunds");
        let refund = self.under_the_key(Role::Payment, "POST", &path, REFUND);
        let refund = refund.await;
        assert_eq!(refund.status, 202, "{refund:?}");
        assert_eq!(refund.header("idempotent-replayed"), None, "{refund:?}");
        let story = self.events("Payment", bookid).await;
        let refunds = story.iter().filter(|name| *name == "RefundRequested");
        i64::try_from(refunds.count()).unwrap()
    }
}

async fn a_shop() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

/// Sends a sample of every route, lets its key be forgotten, and sends another under the same key.
async fn again_elsewhere(
    forget: impl AsyncFn(&TestApp),
    is_sent: impl Fn(&Sample, &Sample) -> bool,
) {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    let (old, new) = (samples(&app).await, samples(&app).await);
    for (route, sample) in old.iter().enumerate() {
        let key = format!("route {route}");
        let answer = sample.send(&app, &key, &sample.body).await;
        assert!(answer.status < 300, "{answer:?}");
    }
    forget(&app).await;
    for (route, (old, sample)) in old.iter().zip(&new).enumerate() {
        if !is_sent(old, sample) {
            continue;
        }
        let (events, asked) = effects(&app, &till).await;
        let key = format!("route {route}");
        let answer = sample.send(&app, &key, &sample.body).await;
        assert!(answer.status < 300, "{answer:?}");
        assert_eq!(answer.header("idempotent-replayed"), None, "{answer:?}");
        let wanted = (events + sample.effect.0, asked + sample.effect.1);
        assert_eq!(effects(&app, &till).await, wanted, "{}", sample.key());
    }
}

#[tokio::test]
async fn a_key_and_body_of_the_day_before_have_their_effect_on_every_route() {
    again_elsewhere(TestApp::a_day_passes, |_, _| true).await;
}

/// What was stored under a key may be younger than the key: it was refused for a while, and sent again.
#[tokio::test]
async fn a_forgotten_key_and_its_body_have_their_effect_elsewhere_on_every_route() {
    let forget = async |app: &TestApp| app.as_owner("delete from idempotency_keys").await;
    again_elsewhere(forget, |old, new| old.path != new.path).await;
}

#[tokio::test]
async fn the_same_request_a_day_later_is_a_new_one_each_day() {
    let app = a_shop().await;
    let bookid = app.paid().await;
    for day in 1..=3 {
        assert_eq!(app.refund_under_the_key(bookid).await, day);
        // Its answer is lost, and it is the same request as long as the day lasts.
        forget_the_answers(&app).await;
        assert_eq!(app.refund_under_the_key(bookid).await, day);
        app.a_day_passes().await;
    }
}

#[tokio::test]
async fn without_the_rule_it_would_be_answered_and_not_done() {
    let app = a_shop().await;
    app.without_rule("idempotency_begin", "another day").await;
    let bookid = app.paid().await;
    assert_eq!(app.refund_under_the_key(bookid).await, 1);
    app.a_day_passes().await;
    assert_eq!(app.refund_under_the_key(bookid).await, 1);
}

#[tokio::test]
async fn a_venue_that_is_as_it_was_a_day_before_is_changed_to_that_again() {
    let app = a_shop().await;
    let put = async |body: &str| {
        app.under_the_key(Role::Book, "PUT", "/venues/numberone", body)
            .await
            .header("etag")
            .unwrap()
            .to_owned()
    };
    assert_eq!(put(r#"{"units":2}"#).await, "\"1\"");
    app.a_day_passes().await;
    assert_eq!(put(r#"{"units":3}"#).await, "\"2\"");
    app.a_day_passes().await;
    assert_eq!(put(r#"{"units":2}"#).await, "\"3\"");
}

/// Keys do not come along when a journal is moved; what was stored under them does, with its time.
#[tokio::test]
async fn a_request_of_this_day_is_known_where_its_key_is_not() {
    let app = a_shop().await;
    let book = async || {
        app.under_the_key(Role::Book, "POST", "/books", &order("numberone"))
            .await
            .bookid()
    };
    let bookid = book().await;
    app.as_owner("delete from idempotency_keys").await;
    assert_eq!(book().await, bookid);
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
}

/// The id that a process of the version before gave the refund.
fn id_of_the_version_before() -> Uuid {
    let namespace = Uuid::from_bytes(*b"spacerent/keys/1");
    let body = digest(&SHA256, REFUND.as_bytes());
    let parts = [b"anonymous", KEY.as_bytes(), body.as_ref()];
    Uuid::new_v5(&namespace, &parts.join(&0))
}

/// How the version before begins the refund.
async fn begun_by_the_version_before(app: &TestApp, bookid: i64) -> String {
    sqlx::query_scalar(
        "select outcome from idempotency_begin('anonymous', $1, 'POST', $2, $3, 15000)",
    )
    .bind(KEY)
    .bind(format!("/payments/{bookid}/refunds"))
    .bind(digest(&SHA256, REFUND.as_bytes()).as_ref())
    .fetch_one(app.journal.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn what_the_version_before_has_begun_is_taken_over_under_its_id() {
    let app = a_shop().await;
    let bookid = app.paid().await;
    assert_eq!(begun_by_the_version_before(&app, bookid).await, "begun");
    let refund = payment::Command::RefundPartially {
        amount: Money::krw(1_000),
        reason: "rain".to_owned(),
    };
    let trace = Trace {
        correlation_id: "a node that dies".to_owned(),
        causation_id: None,
        traceparent: None,
        actor: Actor::Manager,
        actor_id: None,
    };
    let refund = domain::Command::Payment(BookId(bookid), refund);
    let request = Request::one(id_of_the_version_before(), trace, refund);
    app.journal.execute_one(request).await.unwrap();
    forget_the_answers(&app).await;
    assert_eq!(app.refund_under_the_key(bookid).await, 1);
}

#[tokio::test]
async fn what_this_version_has_begun_is_not_taken_over_by_the_version_before() {
    let app = a_shop().await;
    let bookid = app.paid().await;
    assert_eq!(app.refund_under_the_key(bookid).await, 1);
    assert_eq!(begun_by_the_version_before(&app, bookid).await, "done");
    forget_the_answers(&app).await;
    assert_eq!(begun_by_the_version_before(&app, bookid).await, "busy");
    assert_eq!(app.refund_under_the_key(bookid).await, 1);
    // Without the rule it would run it, under an id of its own.
    app.without_rule("idempotency_begin", "same id").await;
    forget_the_answers(&app).await;
    assert_eq!(begun_by_the_version_before(&app, bookid).await, "begun");
}
