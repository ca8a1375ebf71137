//! The journey that a request belongs to: `X-Correlation-ID` and `traceparent`, in and out.
//!
//! The outermost layer of every route. It gives the request its correlation id (the client's, when that can be
//! used), hands it to handlers and to other roles, writes it into problems, echoes it on every answer, and
//! says one log line and two metrics about the request. The same id stands in the metadata of every event
//! that the request leads to.

use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use journal::{Actor, Trace};
use tracing::{Instrument, Span};

use crate::problem::{self, Problem, impossible};
use crate::state::Api;

/// The header that carries the journey's id.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// The header that carries the W3C trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How many characters a correlation id may have.
const ID_CHARS_MAX: usize = 128;

/// The status in log and metrics of a request whose client hung up before the answer, as proxies write it.
const CLIENT_GONE: u16 = 499;

/// The journey of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Correlation {
    pub(crate) id: String,
    pub(crate) traceparent: Option<String>,
}

impl Correlation {
    /// The client's ids where they can be used; `fresh` names the journey otherwise.
    fn of(headers: &HeaderMap, fresh: impl FnOnce() -> String) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        Self {
            id: text(CORRELATION_ID)
                .filter(|id| is_usable(id))
                .map_or_else(fresh, str::to_owned),
            traceparent: text(TRACEPARENT)
                .filter(|context| is_trace_context(context))
                .map(str::to_owned),
        }
    }

    /// What a command of this request writes into its events.
    pub(crate) fn trace(&self, actor: Actor) -> Trace {
        Trace {
            correlation_id: self.id.clone(),
            causation_id: None,
            traceparent: self.traceparent.clone(),
            actor,
            actor_id: None,
        }
    }

    fn write(&self, headers: &mut HeaderMap) {
        // Both were checked to be visible ASCII, which every header can hold.
        if let Ok(id) = HeaderValue::try_from(&self.id) {
            headers.insert(CORRELATION_ID, id);
        }
        if let Some(Ok(context)) = self.traceparent.as_ref().map(HeaderValue::try_from) {
            headers.insert(TRACEPARENT, context);
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Correlation {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| impossible("a request without a journey"))
    }
}

fn is_usable(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Version, trace, parent and flags in lower-case hex; ids of zeros only are none.
fn is_trace_context(text: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], [version, trace, parent, flags]
        if hex(version, 2) && version != "ff" && id(trace, 32) && id(parent, 16) && hex(flags, 2))
}

/// The layer.
pub(crate) async fn layer(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let fresh = || api.journal.random().uuid().to_string();
    let correlation = Correlation::of(request.headers(), fresh);
    let mut note = Note::begin(&request, &correlation);
    let instance = request.uri().path().to_owned();
    // For the role that this request may be handed on to.
    correlation.write(request.headers_mut());
    request.extensions_mut().insert(correlation.clone());

    let answer = next.run(request).instrument(note.span.clone()).await;

    let mut answer = problem::complete(answer, &instance, &correlation.id);
    correlation.write(answer.headers_mut());
    note.status = answer.status().as_u16();
    answer
}

/// What is said about a request when it is over, also when its client did not wait for the answer: one line
/// and two metrics. They name the route, never the path, so that there are few of them.
struct Note {
    method: Method,
    route: String,
    correlation_id: String,
    began: Instant,
    span: Span,
    status: u16,
}

impl Note {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long an answer took is measured, and nothing is decided by it"
    )]
    fn begin(request: &Request, correlation: &Correlation) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.map_or("unmatched", MatchedPath::as_str).to_owned();
        let method = request.method().clone();
        let correlation_id = correlation.id.clone();
        Self {
            span: tracing::info_span!("request", correlation_id, %method, route),
            method,
            route,
            correlation_id,
            began: Instant::now(),
            status: CLIENT_GONE,
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let latency_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let _in_span = self.span.enter();
        tracing::info!(
            method = %self.method,
            route = self.route,
            status = self.status,
            latency_ms,
            correlation_id = self.correlation_id,
            "request over"
        );
        let labels = [
            ("method", known(&self.method)),
            ("route", self.route.clone()),
            ("status", self.status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels).record(took);
    }
}

/// A method's name; all that HTTP does not define share one, so that clients cannot invent labels.
fn known(method: &Method) -> String {
    match method.as_str() {
        name @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => {
            name.to_owned()
        }
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(headers: &[(HeaderName, &str)]) -> Correlation {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect();
        Correlation::of(&headers, || "fresh".into())
    }

    #[test]
    fn the_clients_id_is_kept_when_it_is_visible_ascii_of_bounded_length() {
        let longest = "x".repeat(ID_CHARS_MAX);
        for id in ["a", "journey-1", "~!\"#", &longest] {
            assert_eq!(correlation(&[(CORRELATION_ID, id)]).id, id);
        }
        let too_long = "x".repeat(ID_CHARS_MAX + 1);
        for id in ["", "two words", "tab\there", "여정", &too_long] {
            assert_eq!(correlation(&[(CORRELATION_ID, id)]).id, "fresh", "{id:?}");
        }
        assert_eq!(correlation(&[]).id, "fresh");
    }

    #[test]
    fn a_trace_context_is_kept_as_it_came_or_not_at_all() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            correlation(&[(TRACEPARENT, good)]).traceparent.as_deref(),
            Some(good)
        );
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(
                correlation(&[(TRACEPARENT, bad)]).traceparent,
                None,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_invented_method_makes_no_label() {
        assert_eq!(known(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(known(&Method::PATCH), "PATCH");
    }
}
