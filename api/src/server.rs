//! Serves a router on a listener, until told to stop.
//!
//! An accept loop of our own, because axum's sets no timer and so no limit on how long a client may take to
//! say what it wants. Connections are counted; a full house waits in the listener's queue. A stop closes the
//! listener, lets requests that are under way end, and cuts what is left after [`DRAIN_MAX`].

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use journal::runtime::Runtime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How many connections one listener holds at a time.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a client may take to send a request's head; also how long an idle connection is kept.
const HEAD_READ_MAX: Duration = Duration::from_secs(30);
/// How many headers a request may have.
const HEADERS_MAX: usize = 100;
/// How large a request's head may be, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a stop waits for requests under way: longer than any answer may take.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be taken, for want of file descriptors above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stop`; returns when every connection has ended.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    // Dropped when this function ends, however it ends: then nothing is left running.
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    while let Some(Caller {
        stream,
        peer,
        place,
    }) = next_connection(&listener, &places, &*runtime, &stop).await
    {
        // Whether a request comes from a proxy is seen by the other end of its connection.
        let service = router
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                request
            });
        let service = TowerToHyperService::new(service);
        let connection = graceful.watch(protocol().serve_connection(TokioIo::new(stream), service));
        let cut = cut.clone();
        let task = async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                // How a connection ends is the client's affair.
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke off");
                },
            }
            drop(place);
        };
        runtime.spawn(task.boxed());
    }
    drop(listener);
    tokio::select! {
        biased;
        () = graceful.shutdown() => {}
        () = runtime.sleep(DRAIN_MAX) => tracing::warn!("connections were cut at the end of the drain"),
    }
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    protocol
}

/// A connection.
struct Caller {
    stream: TcpStream,
    /// Who is at the other end.
    peer: SocketAddr,
    /// Its place in the house.
    place: OwnedSemaphorePermit,
}

/// The next connection; none once told to stop.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    runtime: &dyn Runtime,
    stop: &CancellationToken,
) -> Option<Caller> {
    let accept = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers should not wait for a full packet.
                    let _ = stream.set_nodelay(true);
                    return Some(Caller {
                        stream,
                        peer,
                        place,
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken");
                    runtime.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        connection = accept => connection,
    }
}

/// Whether only the connection that was to be taken is gone.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
