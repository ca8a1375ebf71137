//! A payment role elsewhere, over HTTP: what each of its answers means.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::BookId;
use domain::ports::{PaymentDue, PendingReason, TakePayment, Taken};
use journal::runtime::Tokio;
use processes::remote::{RemoteError, RemotePayment};
use processes::settings::{BreakerSettings, PaymentSettings};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::world::{PRICE, World, beside, within};

/// A payment role that always says the same.
#[derive(Clone)]
struct Elsewhere {
    answer: Arc<dyn Fn() -> Response + Send + Sync>,
    asked: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    url: String,
}

impl Elsewhere {
    async fn saying(answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let role = Self {
            answer: Arc::new(answer),
            asked: Arc::default(),
            url: format!("http://{}/", listener.local_addr().unwrap()),
        };
        let router = Router::new()
            .route("/payments", post(Self::take))
            .with_state(role.clone());
        beside(async { axum::serve(listener, router).await });
        role
    }

    async fn take(
        State(role): State<Self>,
        headers: HeaderMap,
        body: axum::Json<Value>,
    ) -> Response {
        role.asked.lock().unwrap().push((headers, body.0));
        (role.answer)()
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn remote(world: &World, url: &str, settings: PaymentSettings) -> RemotePayment {
    // The first test that comes here installs it; the others find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    RemotePayment::new(
        url,
        Arc::clone(world.journal.clock()),
        settings,
        Arc::new(Tokio),
    )
    .unwrap()
}

fn due() -> PaymentDue {
    PaymentDue {
        bookid: BookId(7),
        charge_no: 1,
        spacename: "numberone".to_owned(),
        price: PRICE,
        correlation_id: "a journey".to_owned(),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    }
}

fn pending(reason: PendingReason, sent: bool) -> Taken {
    Taken::Pending { reason, sent }
}

/// What comes of an answer.
async fn taken(answer: impl Fn() -> Response + Send + Sync + 'static) -> Taken {
    let world = World::in_real_time().await;
    let role = Elsewhere::saying(answer).await;
    let remote = remote(&world, &role.url, PaymentSettings::default());
    within(remote.take(due())).await
}

fn answer(status: u16, position: Option<&str>, body: &Value) -> Response {
    let mut response = (
        StatusCode::from_u16(status).unwrap(),
        axum::Json(body.clone()),
    )
        .into_response();
    if let Some(position) = position {
        response
            .headers_mut()
            .insert("x-event-position", position.parse().unwrap());
    }
    response
}

#[tokio::test]
async fn each_answer_means_one_thing() {
    let paid = json!({"status": "success-pay", "bookid": 7});
    let declined =
        json!({"code": "card-declined", "detail": "the card was declined", "status": 402});
    let full = json!({"sent": false, "code": "bulkhead-full", "reason": "in whatever words"});
    let unreachable = pending(PendingReason::Unreachable, true);
    let table = [
        (
            answer(201, Some("9"), &paid),
            Taken::Approved { position: 9 },
        ),
        (
            answer(200, Some("9"), &paid),
            Taken::Approved { position: 9 },
        ),
        (
            answer(402, Some("9"), &declined),
            Taken::Declined {
                code: "card-declined".to_owned(),
                message: "the card was declined".to_owned(),
                position: 9,
            },
        ),
        (
            answer(202, None, &full),
            pending(PendingReason::BulkheadFull, false),
        ),
        (
            answer(202, None, &json!({"sent": true})),
            pending(PendingReason::Timeout, true),
        ),
        // Nothing is made up where something is missing.
        (
            answer(202, None, &json!({})),
            pending(PendingReason::Timeout, true),
        ),
        (answer(201, None, &paid), unreachable.clone()),
        (answer(201, Some("nine"), &paid), unreachable.clone()),
        (
            answer(201, Some("9"), &json!({"status": "pay-failed"})),
            unreachable.clone(),
        ),
        (answer(402, None, &declined), unreachable.clone()),
        (answer(404, None, &json!({})), unreachable.clone()),
        (answer(503, None, &json!({})), unreachable.clone()),
        (
            (StatusCode::CREATED, "no json").into_response(),
            unreachable,
        ),
    ];
    let world = World::in_real_time().await;
    let (answers, expected): (Vec<_>, Vec<_>) = table.into_iter().unzip();
    let answers = Mutex::new(answers.into_iter());
    let role = Elsewhere::saying(move || answers.lock().unwrap().next().unwrap()).await;
    let remote = remote(&world, &role.url, PaymentSettings::default());
    for (line, expected) in expected.into_iter().enumerate() {
        assert_eq!(within(remote.take(due())).await, expected, "line {line}");
    }
}

#[tokio::test]
async fn a_reason_is_understood_between_versions() {
    use PendingReason as R;
    let world = World::in_real_time().await;
    // What a role of today says, and what one says that is older than the code: these sentences stay.
    let said = [
        (
            R::BreakerOpen,
            "breaker-open",
            "the payment gateway is overloaded",
        ),
        (
            R::BulkheadFull,
            "bulkhead-full",
            "too many payments are in flight",
        ),
        (
            R::Timeout,
            "timeout",
            "the payment gateway did not answer in time",
        ),
        (
            R::Unreachable,
            "unreachable",
            "the payment gateway could not be reached",
        ),
        (
            R::NotRecorded,
            "not-recorded",
            "the outcome could not be recorded",
        ),
    ];
    assert_eq!(said.map(|(reason, ..)| reason), R::ALL);
    let bodies = said.into_iter().flat_map(|(reason, code, sentence)| {
        [
            (json!({"sent": true, "code": code}), reason),
            (json!({"sent": true, "reason": sentence}), reason),
            // A newer role may say why in a code that is not known here yet.
            (
                json!({"sent": true, "code": "of tomorrow", "reason": sentence}),
                reason,
            ),
        ]
    });
    let (bodies, expected): (Vec<_>, Vec<_>) = bodies.unzip();
    let left = Mutex::new(bodies.clone().into_iter());
    let role =
        Elsewhere::saying(move || answer(202, None, &left.lock().unwrap().next().unwrap())).await;
    let remote = remote(&world, &role.url, PaymentSettings::default());
    for (body, reason) in bodies.iter().zip(expected) {
        let taken = within(remote.take(due())).await;
        assert_eq!(taken, pending(reason, true), "{body}");
    }
}

#[tokio::test]
async fn the_journey_goes_along() {
    let world = World::in_real_time().await;
    let role = Elsewhere::saying(|| StatusCode::ACCEPTED.into_response()).await;
    within(remote(&world, &role.url, PaymentSettings::default()).take(due())).await;
    let asked = role.asked.lock().unwrap();
    let (headers, body) = &asked[0];
    assert_eq!(*body, json!({"bookid": 7}));
    assert_eq!(headers["x-correlation-id"], "a journey");
    assert_eq!(
        headers["traceparent"].to_str().ok(),
        due().traceparent.as_deref()
    );
}

#[tokio::test]
async fn what_no_header_can_hold_is_omitted() {
    let world = World::in_real_time().await;
    let role = Elsewhere::saying(|| StatusCode::ACCEPTED.into_response()).await;
    let due = PaymentDue {
        correlation_id: "two\nlines".to_owned(),
        ..due()
    };
    let taken = within(remote(&world, &role.url, PaymentSettings::default()).take(due)).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    assert!(
        !role.asked.lock().unwrap()[0]
            .0
            .contains_key("x-correlation-id")
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let taken = taken(|| (StatusCode::CREATED, "x".repeat(1_000_000)).into_response()).await;
    assert_eq!(taken, pending(PendingReason::Unreachable, true));
}

#[tokio::test]
async fn nobody_there_is_surely_not_sent_and_opens_the_breaker() {
    let world = World::in_real_time().await;
    // A port that was ours and is closed.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = PaymentSettings {
        breaker: BreakerSettings {
            min_calls: 2,
            ..BreakerSettings::default()
        },
        ..PaymentSettings::default()
    };
    let remote = remote(&world, &url, settings);
    for _ in 0..2 {
        assert_eq!(
            within(remote.take(due())).await,
            pending(PendingReason::Unreachable, false)
        );
    }
    assert_eq!(
        within(remote.take(due())).await,
        pending(PendingReason::BreakerOpen, false)
    );
}

#[tokio::test]
async fn a_role_that_says_pending_is_well() {
    let world = World::in_real_time().await;
    let role = Elsewhere::saying(|| StatusCode::ACCEPTED.into_response()).await;
    let settings = PaymentSettings {
        breaker: BreakerSettings {
            min_calls: 1,
            ..BreakerSettings::default()
        },
        ..PaymentSettings::default()
    };
    let remote = remote(&world, &role.url, settings);
    for _ in 0..3 {
        within(remote.take(due())).await;
    }
    assert_eq!(role.asked(), 3);
}

#[tokio::test]
async fn a_role_that_does_not_answer_may_have_taken_the_payment() {
    let world = World::in_real_time().await;
    // Accepts connections and never says anything.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = PaymentSettings {
        timeout_ms: 100,
        ..PaymentSettings::default()
    };
    let taken = within(remote(&world, &url, settings).take(due())).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    drop(listener);
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let world = World::in_real_time().await;
    let paid = || answer(201, Some("9"), &json!({"status": "success-pay"}));
    let other = Elsewhere::saying(paid).await;
    let location = format!("{}payments", other.url);
    let role = Elsewhere::saying(move || {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", location.clone())],
        )
            .into_response()
    })
    .await;
    let remote = remote(&world, &role.url, PaymentSettings::default());
    let taken = within(remote.take(due())).await;
    assert_eq!(taken, pending(PendingReason::Unreachable, true));
    assert_eq!((role.asked(), other.asked()), (1, 0));
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_carried_the_request() {
    let world = World::in_real_time().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let role = beside(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        // It reads the beginning of the request, and dies.
        connection.read_exact(&mut [0; 4]).await.unwrap();
    });
    let taken = within(remote(&world, &url, PaymentSettings::default()).take(due())).await;
    assert_eq!(taken, pending(PendingReason::Unreachable, true));
    within(role).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_once() {
    let world = World::in_real_time().await;
    let made = RemotePayment::new(
        "not an address",
        Arc::clone(world.journal.clock()),
        PaymentSettings::default(),
        Arc::new(Tokio),
    );
    assert!(matches!(made.err(), Some(RemoteError::Address(_))));
}
