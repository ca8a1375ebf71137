//! Bounds on what one request may take: bytes, and time.
//!
//! A body is read whole before a handler sees it, so that a slow or endless one costs a handler nothing. Then
//! the clock runs: what is not answered when the wait that its kind is allowed (a customer's for the payment, a
//! reader's for the projection) and [`MARGIN`] are over is answered 503, whatever the handler waits for. A command that
//! was begun goes on to its end all the same (see [`crate::command`]).

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use journal::runtime::within;

use crate::position::WAIT_MAX;
use crate::problem::Problem;
use crate::state::Api;

/// How large a body may be, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_READ_MAX: Duration = Duration::from_secs(10);
/// What an answer may take beside that wait: the storage's share.
const MARGIN: Duration = Duration::from_millis(700);

/// Reads the body before anything else happens.
pub(crate) async fn whole_body(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match within(&*api.runtime, BODY_READ_MAX, read(&parts.headers, body)).await {
        Some(Ok(body)) => next.run(Request::from_parts(parts, body.into())).await,
        Some(Err(problem)) => problem.into_response(),
        None => Problem::TooSlow.into_response(),
    }
}

/// Answers in time.
pub(crate) async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    let wait_max = if request.method().is_safe() {
        WAIT_MAX
    } else {
        Duration::from_millis(api.settings.payment_timeout_ms)
    };
    let answer_max = wait_max + MARGIN;
    let answer = within(&*api.runtime, answer_max, next.run(request)).await;
    answer.unwrap_or_else(|| {
        tracing::warn!("an answer was not ready in time");
        Problem::StorageUnavailable.into_response()
    })
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = Problem::TooLarge {
        max_bytes: BODY_BYTES_MAX,
    };
    if announced(headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_large);
    }
    let mut whole = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::Malformed("the body broke off".into()))?;
        if whole.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
