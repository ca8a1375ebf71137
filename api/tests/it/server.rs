//! The accept loop: what it refuses, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use journal::runtime::{Runtime, Tokio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Serves; the receiver hears when serving has ended.
async fn serve(router: Router, stop: &CancellationToken) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (ended, end) = oneshot::channel();
    let serving = api::serve(listener, router, Arc::new(Tokio), stop.clone());
    Tokio.spawn(Box::pin(async move {
        serving.await;
        let _ = ended.send(());
    }));
    (address, end)
}

async fn request(address: &str, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

async fn rest(mut connection: TcpStream) -> String {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_takes_no_more() {
    let (arrived, mut at_work) = mpsc::unbounded_channel();
    let finish = Arc::new(tokio::sync::Semaphore::new(0));
    let finished = finish.clone();
    let router = Router::new().route(
        "/slow",
        get(move || async move {
            arrived.send(()).unwrap();
            drop(finished.acquire().await);
            "done"
        }),
    );
    let stop = CancellationToken::new();
    let (address, end) = serve(router, &stop).await;
    let slow = request(&address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    at_work.recv().await.unwrap();
    stop.cancel();
    // The listener is closed as soon as it hears of the stop.
    let refused = local_postgres::testing::timeout(Duration::from_secs(20), async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(refused.await.is_ok());
    finish.add_permits(1);
    let answer = rest(slow).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"),
        "{answer}"
    );
    end.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let (arrived, mut at_work) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/never",
        get(move || async move {
            arrived.send(()).unwrap();
            std::future::pending::<()>().await;
        }),
    );
    let stop = CancellationToken::new();
    let (address, end) = serve(router, &stop).await;
    let never = request(&address, "GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    at_work.recv().await.unwrap();
    stop.cancel();
    end.await.unwrap();
    assert_eq!(rest(never).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_head_is_let_go() {
    let stop = CancellationToken::new();
    let (address, _end) = serve(Router::new(), &stop).await;
    let slow = request(&address, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!rest(slow).await.contains("200"));
}

#[tokio::test]
async fn a_head_is_bounded_in_number_and_size() {
    let stop = CancellationToken::new();
    let (address, _end) = serve(Router::new().route("/", get(|| async { "fine" })), &stop).await;
    let with =
        |headers: &str| format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let answer = rest(request(&address, &with("")).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = rest(request(&address, &with(&many)).await).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let large = format!("x: {}\r\n", "y".repeat(20_000));
    let answer = rest(request(&address, &with(&large)).await).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
