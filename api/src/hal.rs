//! Answers as the seed's clients read them: HAL bodies, links that carry the host the client used, and the
//! media type it asked for.
//!
//! The order of fields is the order of the structs: serde writes them as they stand.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::paging::Page;
use crate::problem::{Problem, internal};
use crate::state::Api;

/// An item of a collection, as it is written.
pub(crate) trait Item: serde::Serialize {
    /// The collection's name: its path, and where its items are embedded.
    const COLLECTION: &'static str;
    /// The item's relation to itself, beside `self`.
    const REL: &'static str;
    /// The last part of its address.
    fn id(&self) -> i64;
}

/// What a request says about its answer: the address that links begin with, and the media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    base: String,
    media: Media,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Hal,
    Json,
}

impl FromRequestParts<Api> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let base = match &api.settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", host(&parts.headers)),
        };
        Ok(Self {
            base,
            media: media(&parts.headers),
        })
    }
}

/// The host that the client used; one that is none cannot stand in a link.
fn host(headers: &HeaderMap) -> String {
    headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok())
        .filter(|host| !host.as_str().contains('@'))
        .map_or_else(|| "localhost".to_owned(), |host| host.to_string())
}

/// HAL, unless the client asks for plain JSON more than for HAL.
fn media(headers: &HeaderMap) -> Media {
    let accept: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let accept = accept.join(",");
    if wish(&accept, "application/json") > wish(&accept, "application/hal+json") {
        Media::Json
    } else {
        Media::Hal
    }
}

/// How much a media type is wished for: its weight in thousandths, then how exactly it was named.
fn wish(accept: &str, media: &str) -> (u16, u8) {
    let entry = |entry: &str| {
        let mut parts = entry.split(';').map(str::trim);
        let exactness = match parts.next()? {
            range if range.eq_ignore_ascii_case(media) => 2,
            "application/*" => 1,
            "*/*" => 0,
            _ => return None,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1_000, thousandths);
        Some((exactness, weight))
    };
    // The most exact entry speaks for the media type.
    let best = accept.split(',').filter_map(entry).max();
    best.map_or((0, 0), |(exactness, weight)| (weight, exactness))
}

/// `0.5` as 500, without a float.
fn thousandths(quality: &str) -> u16 {
    match quality.split_once('.') {
        Some(("0", decimals)) => format!("{decimals:0<3.3}").parse().unwrap_or(0),
        _ if quality == "0" => 0,
        _ => 1_000,
    }
}

impl Client {
    /// A client that sees the service at `base`.
    #[cfg(test)]
    pub(crate) fn at(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            media: Media::Hal,
        }
    }

    /// The address of `path` as this client sees it.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The address of an item.
    pub(crate) fn address_of<I: Item>(&self, id: i64) -> String {
        format!("{}/{}/{id}", self.base, I::COLLECTION)
    }

    /// Says on an answer where the item is that it made or speaks of.
    pub(crate) fn located<I: Item>(&self, mut answer: Response, id: i64) -> Response {
        // The base was an authority or a setting, so it is ASCII; anything else has no place in a header.
        if let Ok(address) = HeaderValue::try_from(self.address_of::<I>(id)) {
            answer.headers_mut().insert(LOCATION, address);
        }
        answer
    }

    /// An item.
    pub(crate) fn item<I: Item>(&self, status: StatusCode, item: I) -> Response {
        self.write(status, &self.linked(item))
    }

    /// A page of a collection.
    pub(crate) fn collection<I: Item>(&self, items: Vec<I>, page: &Page) -> Response {
        let collection = Collection {
            items: items.into_iter().map(|item| self.linked(item)).collect(),
            links: page.links(self, I::COLLECTION),
            page,
        };
        self.write(StatusCode::OK, &collection)
    }

    /// A body without links.
    pub(crate) fn plain(&self, body: &impl serde::Serialize) -> Response {
        self.write(StatusCode::OK, body)
    }

    fn linked<I: Item>(&self, item: I) -> Linked<I> {
        let href = self.address_of::<I>(item.id());
        Linked {
            links: Links(vec![
                ("self", Link::to(href.clone())),
                (I::REL, Link::to(href)),
            ]),
            item,
        }
    }

    fn write(&self, status: StatusCode, body: &impl serde::Serialize) -> Response {
        let media = match self.media {
            Media::Hal => "application/hal+json;charset=UTF-8",
            Media::Json => "application/json;charset=UTF-8",
        };
        match serde_json::to_vec(body) {
            Ok(body) => (status, [(CONTENT_TYPE, media)], Body::from(body)).into_response(),
            Err(error) => internal(&error).into_response(),
        }
    }
}

/// An item with its links behind its fields.
#[derive(serde::Serialize)]
struct Linked<I> {
    #[serde(flatten)]
    item: I,
    #[serde(rename = "_links")]
    links: Links,
}

/// A collection: items under its name, links, and the page block where there are pages.
struct Collection<'a, I> {
    items: Vec<Linked<I>>,
    links: Links,
    page: &'a Page,
}

impl<I: Item> Serialize for Collection<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_embedded", &Embedded(self))?;
        map.serialize_entry("_links", &self.links)?;
        if let Some(block) = self.page.block() {
            map.serialize_entry("page", &block)?;
        }
        map.end()
    }
}

struct Embedded<'a, I>(&'a Collection<'a, I>);

impl<I: Item> Serialize for Embedded<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(I::COLLECTION, &self.0.items)?;
        map.end()
    }
}

/// Links by relation, in order.
pub(crate) struct Links(pub(crate) Vec<(&'static str, Link)>);

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(rel, link)| (rel, link)))
    }
}

/// Where a relation leads.
#[derive(serde::Serialize)]
pub(crate) struct Link {
    href: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    templated: bool,
}

impl Link {
    /// A link to an address.
    pub(crate) fn to(href: String) -> Self {
        Self {
            href,
            templated: false,
        }
    }

    /// A link whose address has places to fill in.
    pub(crate) fn template(href: String) -> Self {
        Self {
            href,
            templated: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &axum::http::HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn the_seeds_clients_get_the_media_type_that_they_ask_for() {
        for (accept, expected) in [
            ("*/*", Media::Hal),
            ("application/json", Media::Json),
            ("application/json, */*;q=0.5", Media::Json),
            ("application/json, text/plain, */*", Media::Json),
            ("application/hal+json", Media::Hal),
            ("application/hal+json, application/json", Media::Hal),
            (
                "application/json;q=0.9, application/hal+json;q=0.8",
                Media::Json,
            ),
            ("application/json;q=0.2, */*", Media::Hal),
            ("application/json;q=0, application/hal+json", Media::Hal),
            ("text/html", Media::Hal),
        ] {
            assert_eq!(media(&headers(&ACCEPT, &[accept])), expected, "{accept}");
        }
        assert_eq!(media(&HeaderMap::new()), Media::Hal);
    }

    #[test]
    fn links_carry_a_host_that_can_be_one() {
        for (given, expected) in [
            ("localhost:8081", "localhost:8081"),
            ("spacerent.example", "spacerent.example"),
            ("[::1]:8088", "[::1]:8088"),
            ("user@host", "localhost"),
            ("a b", "localhost"),
            ("host/path", "localhost"),
        ] {
            assert_eq!(host(&headers(&HOST, &[given])), expected, "{given}");
        }
        assert_eq!(host(&HeaderMap::new()), "localhost");
    }
}
