//! Clients that hang up, storage that is away or hangs, bodies that do not come.

use std::sync::Arc;
use std::time::Duration;

use api::{App, Role, Settings};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures::future::BoxFuture;
use journal::Journal;
use journal::runtime::{Runtime, SystemClock, SystemRandom, Tokio};
use projections::ReadModels;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{TestApp, eventually, listen, order};
use crate::client::Answer;
use crate::till::{Till, approved, pending};

/// Says when it is dropped.
struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_cut_its_booking_in_the_middle() {
    let till = Till::closed(pending());
    let app = TestApp::paid_by(till.clone()).await;
    // A router that says when the server has let go of a request.
    let (let_go, mut gone) = mpsc::unbounded_channel();
    let router = api::router(Role::Book, app.app.clone()).layer(from_fn(
        move |request: Request, next: Next| {
            let dropped = Dropped(let_go.clone());
            async move {
                let answer = next.run(request).await;
                drop(dropped);
                answer
            }
        },
    ));
    let address = listen(router, &app.stop).await;

    let body = order("numberone");
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /books HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    eventually("the booking is at the till", async || {
        till.asked().len() == 1
    })
    .await;
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
    drop(connection);
    gone.recv().await.unwrap();
    // The payment answers when nobody listens any more.
    till.open(1);
    eventually("the booking says that it waits", async || {
        app.events("Book", 1).await == ["Booked", "PaymentDeferred"]
    })
    .await;
}

/// The same application on another database.
fn on_database(app: &TestApp, url: &str) -> App {
    let pool = journal::schema::connect(url, 4).unwrap();
    let journal = Journal::new(pool, Arc::new(SystemClock), Arc::new(SystemRandom));
    // As long as customers wait in production: then an answer takes three seconds at most.
    let settings = Settings::default();
    App {
        settings,
        read_models: ReadModels::new(journal.clone()),
        journal,
        ..app.app.clone()
    }
}

/// What clients see while the storage does not do its part.
async fn assert_storage_unavailable(app: &TestApp, address: &str) {
    let call = |method: &str, path: &str| app.call_at(address, Role::Gateway, method, path);
    let began = local_postgres::testing::stopwatch();
    let all: Vec<BoxFuture<'_, Answer>> = vec![
        Box::pin(call("POST", "/books").json(&order("numberone")).send()),
        Box::pin(
            call("POST", "/books")
                .header("idempotency-key", "k")
                .json(&order("numberone"))
                .send(),
        ),
        Box::pin(
            call("PATCH", "/books/1")
                .json(r#"{"status":"cancel-booking"}"#)
                .send(),
        ),
        Box::pin(call("POST", "/payments").json(r#"{"bookid":1}"#).send()),
        Box::pin(call("GET", "/books").send()),
        Box::pin(call("GET", "/mypages/1?min_position=1").send()),
        Box::pin(call("GET", "/points/1").send()),
    ];
    for answer in futures::future::join_all(all).await {
        answer.is_problem(503, "storage-unavailable");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert!(
        began.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(call("GET", "/livez").send().await.status, 200);
    assert_eq!(call("GET", "/readyz").send().await.status, 503);
    assert_eq!(
        call("GET", "/actuator/health").send().await.body,
        r#"{"status":"DOWN"}"#
    );
    assert_eq!(
        call("GET", "/actuator/health/liveness").send().await.status,
        200
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_503_within_three_seconds() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    let away = on_database(&app, "postgresql://nobody@127.0.0.1:1/nothing");
    let address = listen(api::router(Role::Gateway, away), &app.stop).await;
    assert_storage_unavailable(&app, &address).await;
    assert!(till.asked().is_empty());
}

#[tokio::test]
async fn a_database_that_hangs_is_503_within_three_seconds() {
    let till = Till::answering(approved());
    let app = TestApp::paid_by(till.clone()).await;
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let hangs = on_database(
        &app,
        &format!("postgresql://nobody@127.0.0.1:{port}/nothing?sslmode=disable"),
    );
    let address = listen(api::router(Role::Gateway, hangs), &app.stop).await;
    assert_storage_unavailable(&app, &address).await;
    assert!(till.asked().is_empty());
}

/// A runtime whose time passes a hundred times as fast.
struct Hasty;

impl Runtime for Hasty {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Tokio.sleep(duration / 100)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_one_that_breaks_off_is_nothing() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let hasty = App {
        runtime: Arc::new(Hasty),
        ..app.app.clone()
    };
    let address = listen(api::router(Role::Book, hasty), &app.stop).await;
    let mut connection = TcpStream::connect(&address).await.unwrap();
    let head =
        "POST /books HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"spacename\"";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16 * 1024];
    let read = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("/problems/body-too-slow"), "{answer}");
    assert_eq!(app.count("events").await, 0);
}
