//! Where the client sees this service: the address that every link begins with.
//!
//! `PUBLIC_URL` when the operator says so; else what a trusted proxy says, in `Forwarded` (RFC 7239) or in
//! `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix`; else the `Host` that the client used. Only the TCP peer
//! decides whether there is a trusted proxy. What it says is taken apart and put together anew: what cannot be
//! read is ignored, and nothing stands in a link as it came. Whatever came is replaced by what was found here,
//! for the role that the request may be handed on to.

mod elements;

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{FORWARDED, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::state::Api;
use elements::Element;

const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// How long a prefix may be.
const PREFIX_BYTES_MAX: usize = 256;

/// Where the client sees this service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    scheme: Scheme,
    host: Host,
    /// Empty, or a path without a slash at its end.
    prefix: String,
}

/// How clients speak to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// A host that can stand in a link, and its port unless that goes without saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    port: Option<u16>,
}

impl PublicAddress {
    /// The address in an operator's words: `https://spacerent.example/api`. `None` when it cannot be read as one.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = match path.trim_end_matches('/') {
            "" => String::new(),
            path => prefix(path)?,
        };
        Some(Self {
            scheme: Scheme::parse(scheme)?,
            host: Host::parse(host)?,
            prefix,
        })
    }

    /// The address that links begin with.
    pub(crate) fn base(&self) -> String {
        let Self {
            scheme,
            host,
            prefix,
        } = self;
        let scheme = scheme.name();
        format!("{scheme}://{}{prefix}", host.authority(self.scheme))
    }

    /// What the request itself says: the host that the client used.
    fn used(headers: &HeaderMap) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Self {
            scheme: Scheme::Http,
            host: host.and_then(Host::parse).unwrap_or_else(|| Host {
                name: "localhost".to_owned(),
                port: None,
            }),
            prefix: String::new(),
        }
    }

    /// The same, corrected by what a trusted proxy says.
    fn told(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let mut address = Self::used(headers);
        let last = |name: &HeaderName| last(headers, name);
        let standard = Element::nearest_to_the_client(headers, peer, |ip| is_in(trusted, ip));
        let host = standard.host.or_else(|| last(&X_HOST));
        if let Some(host) = host.as_deref().and_then(Host::parse) {
            address.host = host;
        }
        let proto = standard.proto.or_else(|| last(&X_PROTO));
        if let Some(scheme) = proto.as_deref().and_then(Scheme::parse) {
            address.scheme = scheme;
        }
        if let Some(port) = last(&X_PORT).as_deref().and_then(port) {
            address.host.port = Some(port);
        }
        if let Some(prefix) = last(&X_PREFIX).as_deref().and_then(prefix) {
            address.prefix = prefix;
        }
        address
    }

    /// Tells another role, in place of whatever came.
    fn write(&self, headers: &mut HeaderMap) {
        for name in [FORWARDED, X_PORT, X_PREFIX] {
            headers.remove(name);
        }
        let prefix = Some(&self.prefix).filter(|prefix| !prefix.is_empty());
        for (name, text) in [
            (X_HOST, Some(&self.host.authority(self.scheme))),
            (X_PROTO, Some(&self.scheme.name().to_owned())),
            (X_PREFIX, prefix),
        ] {
            // All of it was made of visible ASCII.
            if let Some(Ok(value)) = text.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
    }
}

impl Scheme {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Host {
    /// A name, an IPv4 address, or an IPv6 address in brackets; with a port or without.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok()?;
        let name = authority.host();
        // Also what an authority may hold besides host and port, such as a user.
        let whole = match authority.port_u16() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let is_host = match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let known = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
                !name.is_empty() && name.bytes().all(known)
            }
        };
        (is_host && whole == text).then(|| Self {
            name: name.to_owned(),
            port: authority.port_u16(),
        })
    }

    /// As it stands in an address of this scheme.
    pub(crate) fn authority(&self, scheme: Scheme) -> String {
        match self.port {
            Some(port) if port != scheme.port() => format!("{}:{port}", self.name),
            _ => self.name.clone(),
        }
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// A path that can stand before every other: `/api`.
fn prefix(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let known = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    let fits = path.starts_with('/')
        && !path.contains("//")
        && path.len() <= PREFIX_BYTES_MAX
        && path.bytes().all(known)
        && path.split('/').all(|part| part != "." && part != "..");
    fits.then(|| path.to_owned())
}

/// The last of a header's values: the one that the nearest proxy wrote. Those before it came with the request
/// that the proxy was sent.
fn last(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?;
    let value = value.to_str().ok()?.rsplit(',').next()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The layer: finds the address, for the links of our own answers and for other roles.
pub(crate) async fn layer(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let trusted = &api.settings.trusted_proxies;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
    let proxy = peer.filter(|peer| is_in(trusted, *peer));
    let headers = request.headers();
    let address = match (&api.public, proxy) {
        (Some(public), _) => public.clone(),
        (None, Some(proxy)) => PublicAddress::told(headers, proxy, trusted),
        (None, None) => PublicAddress::used(headers),
    };
    let hops = hops(headers, peer, proxy.is_some());
    let headers = request.headers_mut();
    address.write(headers);
    headers.remove(X_FOR);
    if let Ok(hops) = HeaderValue::try_from(hops)
        && !hops.is_empty()
    {
        headers.insert(X_FOR, hops);
    }
    request.extensions_mut().insert(address);
    next.run(request).await
}

/// Through whose hands the request came: what a trusted proxy says of that, and the proxy; or the peer alone.
fn hops(headers: &HeaderMap, peer: Option<IpAddr>, is_trusted: bool) -> String {
    let before = headers.get_all(X_FOR).iter().filter(|_| is_trusted);
    let before = before.filter_map(|value| value.to_str().ok());
    let all = before
        .map(str::to_owned)
        .chain(peer.map(|ip| ip.to_string()));
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
