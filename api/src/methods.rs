//! The methods that a path takes: the one place that knows them. `OPTIONS` and every refusal are made of the same
//! list, so that `Allow` cannot say two things.

use std::convert::Infallible;

use axum::handler::Handler;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use crate::media;
use crate::problem::Problem;
use crate::state::Api;

/// Which media types a PATCH may have (RFC 5789).
pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Which media types a POST may have (Linked Data Platform).
pub(crate) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// The methods of one path, each with what answers it. `OPTIONS` is always among them, `HEAD` where GET is.
#[derive(Clone)]
pub(crate) struct Methods {
    handlers: MethodRouter<Api, Infallible>,
    taken: Vec<&'static str>,
}

/// A path that is read.
pub(crate) fn get<H, T>(handler: H) -> Methods
where
    H: Handler<T, Api>,
    T: 'static,
{
    Methods {
        // It is asked for HEAD, too, and answers without a body.
        handlers: axum::routing::get(handler),
        taken: vec!["GET", "HEAD"],
    }
}

/// A path that is only told.
pub(crate) fn post<H, T>(handler: H) -> Methods
where
    H: Handler<T, Api>,
    T: 'static,
{
    Methods {
        handlers: axum::routing::post(handler),
        taken: vec!["POST"],
    }
}

impl Methods {
    pub(crate) fn post<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.and("POST", |handlers| handlers.post(handler))
    }

    pub(crate) fn put<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.and("PUT", |handlers| handlers.put(handler))
    }

    pub(crate) fn patch<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.and("PATCH", |handlers| handlers.patch(handler))
    }

    pub(crate) fn delete<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.and("DELETE", |handlers| handlers.delete(handler))
    }

    fn and(
        mut self,
        method: &'static str,
        add: impl FnOnce(MethodRouter<Api, Infallible>) -> MethodRouter<Api, Infallible>,
    ) -> Self {
        self.taken.push(method);
        Self {
            handlers: add(self.handlers),
            taken: self.taken,
        }
    }

    /// The methods, without OPTIONS.
    pub(crate) fn taken(&self) -> &[&'static str] {
        &self.taken
    }

    /// The same for the router: with OPTIONS, and 405 for every other method, known or invented.
    pub(crate) fn complete(self) -> MethodRouter<Api, Infallible> {
        let allow = Allow(self.taken);
        let refusal = allow.clone();
        self.handlers
            .options(move || async move { allow.options() })
            .fallback(move || async move { refusal.on(Problem::MethodNotAllowed.into_response()) })
    }
}

#[derive(Clone)]
struct Allow(Vec<&'static str>);

impl Allow {
    fn options(&self) -> Response {
        let mut answer = self.on(StatusCode::OK.into_response());
        for (method, name, types) in [
            ("PATCH", ACCEPT_PATCH, media::PATCH),
            ("POST", ACCEPT_POST, media::POST),
        ] {
            if self.0.contains(&method) {
                let types = HeaderValue::from_static(types);
                answer.headers_mut().insert(name, types);
            }
        }
        answer
    }

    fn on(&self, mut answer: Response) -> Response {
        let allow = format!("{},OPTIONS", self.0.join(","));
        // Names of methods and commas are a header value, always.
        if let Ok(allow) = HeaderValue::try_from(allow) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        answer
    }
}
