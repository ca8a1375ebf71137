//! One `Host`, as RFC 9112 (§3.2) asks: HTTP/1.1 without one, and anything with several, is answered 400. What is in
//! between may have read another one than we would, and links are made of it.

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// Lets through what says one host, or in HTTP/1.0 none.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter().count();
    let said = match hosts {
        0 if request.version() >= Version::HTTP_11 => "a request must say its Host",
        0 | 1 => return next.run(request).await,
        _ => "a request must say one Host only",
    };
    Problem::Malformed(said.to_owned()).into_response()
}
