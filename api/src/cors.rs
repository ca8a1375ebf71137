//! Whose pages may call from a browser (CORS, as the Fetch standard has it), on every port.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, ETAG, LINK, LOCATION, ORIGIN, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::correlation::CORRELATION_ID;
use crate::forwarded::{Host, Scheme};
use crate::idempotency::REPLAYED;
use crate::position::{EVENT_POSITION, PROJECTION_LAG};

/// What a page may ask for.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// What a page may read of an answer, beside what every page may.
const EXPOSED: [HeaderName; 8] = [
    LOCATION,
    ETAG,
    RETRY_AFTER,
    LINK,
    CORRELATION_ID,
    REPLAYED,
    EVENT_POSITION,
    PROJECTION_LAG,
];

/// How long a browser may remember an answer to its question.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The hosts of this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Loopback,
    Exact(Origin),
}

/// Where a page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    host: String,
    /// As browsers write it: `https://app.example`, in lower case, without a port that goes without saying.
    whole: String,
}

impl Origins {
    /// Whether everybody's pages may call.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.0.contains(&Pattern::Any)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let origin = origin.to_str().ok().and_then(Origin::parse);
        origin.is_some_and(|origin| {
            self.0.iter().any(|pattern| match pattern {
                Pattern::Any => true,
                Pattern::Loopback => LOOPBACK.contains(&origin.host.as_str()),
                Pattern::Exact(allowed) => *allowed == origin,
            })
        })
    }
}

impl Default for Origins {
    /// Pages of this machine.
    fn default() -> Self {
        Self(vec![Pattern::Loopback])
    }
}

impl FromStr for Origins {
    type Err = String;

    /// Reads a list with commas: exact origins, `*`, and the word `loopback`.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim);
        let patterns = words.filter(|word| !word.is_empty()).map(|word| match word {
            "*" => Ok(Pattern::Any),
            "loopback" => Ok(Pattern::Loopback),
            word => Origin::parse(word).map(Pattern::Exact).ok_or_else(|| {
                format!(
                    "{word:?} is no origin: write https://host or http://host:port without a path, * or loopback"
                )
            }),
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|pattern| match pattern {
            Pattern::Any => "*".to_owned(),
            Pattern::Loopback => "loopback".to_owned(),
            Pattern::Exact(origin) => origin.whole.clone(),
        });
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, host) = text.split_once("://")?;
        let (scheme, host) = (Scheme::parse(scheme)?, Host::parse(host)?);
        let whole = format!("{}://{}", scheme.name(), host.authority(scheme));
        let host = host.name;
        Some(Self { host, whole })
    }
}

/// The rules. Credentials are never given to everybody: the settings refuse that, and so does this.
pub(crate) fn rules(origins: &Origins, allow_credentials: bool) -> CorsLayer {
    let allowed = origins.clone();
    let allow_origin = if origins.is_everybody() {
        AllowOrigin::any()
    } else {
        AllowOrigin::predicate(move |origin, _| allowed.allows(origin))
    };
    CorsLayer::new()
        .allow_origin(allow_origin)
        .allow_methods(METHODS)
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .allow_credentials(allow_credentials && !origins.is_everybody())
        .max_age(MAX_AGE)
        .vary([ORIGIN])
}

/// The layer. A request that names no origin is told nothing. The layer underneath takes every OPTIONS for a
/// browser's question; those that do not ask are answered by their route, like any other request.
pub(crate) async fn layer(
    State(rules): State<CorsLayer>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if !headers.contains_key(ORIGIN) {
        let mut answer = next.run(request).await;
        // A cache must not give it to somebody who names one.
        let origin = HeaderValue::from(ORIGIN);
        answer.headers_mut().append(VARY, origin);
        return answer;
    }
    let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let answered = if request.method() == Method::OPTIONS && !asks {
        *request.method_mut() = Method::GET;
        let plain = service_fn(move |mut request: Request| {
            *request.method_mut() = Method::OPTIONS;
            let next = next.clone();
            async move { Ok(next.run(request).await) }
        });
        rules.layer(plain).oneshot(request).await
    } else {
        rules.layer(next).oneshot(request).await
    };
    match answered {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// Takes from another role's answer what its layer said: this port's has the word.
pub(crate) fn unsay(headers: &mut HeaderMap) {
    let said = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let said: Vec<_> = headers.keys().filter(said).cloned().collect();
    for name in said {
        headers.remove(name);
    }
    let vary: Vec<_> = headers.get_all(VARY).iter().cloned().collect();
    headers.remove(VARY);
    for value in vary {
        if value != ORIGIN.as_str() {
            headers.append(VARY, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &str, origin: &str) -> bool {
        let origins: Origins = origins.parse().unwrap();
        origins.allows(&HeaderValue::from_str(origin).unwrap())
    }

    #[test]
    fn loopback_is_this_machine_on_any_port_and_nothing_that_looks_like_it() {
        for origin in [
            "http://localhost",
            "http://localhost:8080",
            "https://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
        ] {
            assert!(allows("loopback", origin), "{origin}");
        }
        for origin in [
            "null",
            "http://localhost.evil.example",
            "http://evil.example",
            "http://localhost@evil.example",
            "http://evil.example/localhost",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.2",
            "http://localhost:x",
            "http://localhost/",
            "ftp://localhost",
            "localhost",
            "",
        ] {
            assert!(!allows("loopback", origin), "{origin}");
        }
    }

    #[test]
    fn an_exact_origin_is_scheme_host_and_port() {
        let origins = "https://app.example, http://app.example:8080";
        for origin in ["https://app.example", "http://app.example:8080"] {
            assert!(allows(origins, origin), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "https://sub.app.example",
            "http://localhost:8080",
        ] {
            assert!(!allows(origins, origin), "{origin}");
        }
        assert!(allows("https://App.example:443", "https://app.example"));
        assert!(!allows("", "http://localhost"));
        assert!(allows("*", "https://evil.example"));
    }

    #[test]
    fn what_is_no_origin_is_refused_and_named() {
        for text in [
            "https://app.example/",
            "app.example",
            "https://",
            "https://*.app.example",
            "null",
            "Loopback",
            "https://user@app.example",
            "ws://app.example",
            "loopback, nonsense",
        ] {
            let refused = text.parse::<Origins>();
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
        let error = "a.example".parse::<Origins>().unwrap_err();
        assert!(error.starts_with("\"a.example\" is no origin"), "{error}");
    }

    #[test]
    fn origins_are_written_as_they_are_read() {
        let origins = "loopback,https://app.example,http://app.example:8080,*";
        assert_eq!(origins.parse::<Origins>().unwrap().to_string(), origins);
        assert_eq!("loopback".parse(), Ok(Origins::default()));
    }
}
