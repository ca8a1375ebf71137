//! Reads `Forwarded` (RFC 7239): a list of elements, one a proxy, the last one by the proxy that is our peer.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;

/// What one proxy, or several together, say of the request that came to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) host: Option<String>,
    pub(super) proto: Option<String>,
    /// Who sent it to the proxy.
    sender: Option<IpAddr>,
}

impl Element {
    /// What the trusted proxy nearest to the client says. The last element is our peer's. The one before it was
    /// written by the sender from whom our peer has the request, and counts when that sender is trusted, too; and so
    /// on. What an untrusted client wrote itself is never reached.
    pub(super) fn nearest_to_the_client(
        headers: &HeaderMap,
        peer: IpAddr,
        is_trusted: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let values = headers.get_all(FORWARDED).iter();
        let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        let mut found = Self::default();
        let mut author = Some(peer);
        for text in texts
            .into_iter()
            .rev()
            .flat_map(|text| split(text, ',').into_iter().rev())
        {
            if !author.is_some_and(&is_trusted) {
                break;
            }
            let element = Self::parse(text);
            author = element.sender;
            found = Self {
                host: element.host.or(found.host),
                proto: element.proto.or(found.proto),
                sender: element.sender,
            };
        }
        found
    }

    fn parse(text: &str) -> Self {
        let mut element = Self::default();
        for pair in split(text, ';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = unquote(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "host" => element.host = Some(value),
                "proto" => element.proto = Some(value),
                "for" => element.sender = address(&value),
                _ => {}
            }
        }
        element
    }
}

/// The parts between separators that do not stand in a quoted string.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
    .collect()
}

fn unquote(text: &str) -> String {
    let Some(inside) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut escaped = false;
    let keep = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inside.chars().filter(keep).collect()
}

/// The address of a node: `192.0.2.43`, `192.0.2.43:4711`, `[2001:db8::1]:4711`. Hidden ones have none.
fn address(node: &str) -> Option<IpAddr> {
    let address: IpAddr = match node.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => node.split(':').next()?.parse().ok()?,
    };
    Some(address.to_canonical())
}
