//! The gateway's way to roles that other processes play.
//!
//! Path, query, body and host are handed on as they came. The correlation id was put on the request before, and
//! so was the address that the client sees, in place of whatever the client said of it; a role that trusts the
//! gateway makes its links of that. What cannot be reached is a problem of ours to word, not the proxy's.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum_reverse_proxy::{HostBehaviour, ProxyError, ProxyPolicy, ReverseProxy, XForwardedFor};

use crate::cors;
use crate::problem::Problem;
use crate::state::Api;

/// How long the gateway waits for a role's answer: longer than any role takes.
const UPSTREAM_MAX: Duration = Duration::from_secs(10);

/// Everything below the first part of these paths, answered by `target`.
pub(crate) fn routes<'a>(paths: impl Iterator<Item = &'a str>, target: &str) -> Router<Api> {
    let collections: BTreeSet<_> = paths.filter_map(|path| path.split('/').nth(1)).collect();
    let paths = collections
        .iter()
        .flat_map(|name| [format!("/{name}"), format!("/{name}/{{*rest}}")]);
    if !is_usable(target) {
        tracing::error!(
            ?collections,
            "the address of this role is not a plain http:// address"
        );
        let unavailable = any(|| async { Problem::UpstreamUnavailable });
        return paths.fold(Router::new(), |routes, path| {
            routes.route(&path, unavailable.clone())
        });
    }
    let policy = ProxyPolicy::new()
        .with_host_behaviour(HostBehaviour::Preserve)
        .with_x_forwarded_for(XForwardedFor::Preserve)
        .with_upstream_timeout(UPSTREAM_MAX);
    let proxy = ReverseProxy::new("/", target).with_policy(policy);
    paths
        .fold(Router::new(), |routes, path| {
            routes.route_service(&path, proxy.clone())
        })
        .layer(middleware::map_response(explain))
}

/// The proxy takes its address apart when it is made, and ends the process over one that it cannot use.
fn is_usable(target: &str) -> bool {
    target
        .parse::<Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some())
}

/// Words the proxy's own failures; what the role answered passes, without what this port's layers say themselves.
async fn explain(mut response: Response) -> Response {
    match response.extensions().get::<ProxyError>() {
        None => {
            cors::unsay(response.headers_mut());
            response
        }
        Some(error) => {
            tracing::warn!(error = error.message(), "another role did not answer");
            let problem = if error.is_connect() {
                Problem::UpstreamUnavailable
            } else {
                Problem::UpstreamSilent
            };
            problem.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_proxied_to() {
        for (target, usable) in [
            ("http://book:8080", true),
            ("http://127.0.0.1:8081", true),
            ("https://book", false),
            ("book:8080", false),
            ("/books", false),
            ("", false),
        ] {
            assert_eq!(is_usable(target), usable, "{target}");
        }
    }
}
