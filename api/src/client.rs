//! Whom a request is answered, and how: links that carry the host that the client used, the media type that it
//! asked for, no body where it wants none.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, CONTENT_TYPE, LINK, LOCATION, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::conditions::{Known, Tag};
use crate::forwarded::PublicAddress;
use crate::hal::{Collection, Link, Linked, Links, OnlyLinks};
use crate::media::{self, Accept, Media};
use crate::paging::Page;
use crate::problem::{Problem, impossible, internal};
use crate::resource::Resource;
use crate::state::Api;

/// What a request says about its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address that links begin with.
    base: String,
    media: Media,
    /// Whether it is shown what a command came to.
    is_curious: bool,
    /// Whether it asks for the head of an answer only.
    is_head: bool,
    known: Known,
}

impl FromRequestParts<Api> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Self::offered(parts, media::RESOURCE)
    }
}

/// A client that is offered what profiles are written as.
pub(crate) struct ProfileClient(pub(crate) Client);

impl FromRequestParts<Api> for ProfileClient {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Client::offered(parts, media::PROFILE).map(Self)
    }
}

impl Client {
    fn offered(parts: &Parts, offers: &[Media]) -> Result<Self, Problem> {
        let address = parts.extensions.get::<PublicAddress>();
        let address = address.ok_or_else(|| impossible("a request without an address"))?;
        let accept = Accept::of(&parts.headers);
        Ok(Self {
            base: address.base(),
            media: accept.choose(offers)?,
            is_curious: accept.is_given(),
            is_head: parts.method == Method::HEAD,
            known: Known::of(&parts.headers),
        })
    }

    /// A client that sees the service at `base`.
    #[cfg(test)]
    pub(crate) fn at(base: &str) -> Self {
        let headers = axum::http::HeaderMap::new();
        Self {
            base: base.to_owned(),
            media: Media::Hal,
            is_curious: true,
            is_head: false,
            known: Known::of(&headers),
        }
    }

    /// What answers are written as.
    pub(crate) fn media(&self) -> Media {
        self.media
    }

    /// The address of `path` as this client sees it.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Says on an answer where the item is that it made or speaks of.
    pub(crate) fn located<R: Resource>(&self, answer: Response, id: i64) -> Response {
        self.located_at(answer, &format!("/{}/{id}", R::COLLECTION))
    }

    /// The same of an item that is no booking's.
    pub(crate) fn located_at(&self, mut answer: Response, path: &str) -> Response {
        // The base is made of visible ASCII; anything else has no place in a header.
        if let Ok(address) = HeaderValue::try_from(self.address(path)) {
            answer.headers_mut().insert(LOCATION, address);
        }
        answer
    }

    /// An item that is read, unless the client has it already.
    pub(crate) fn shown<R: Resource>(&self, item: R, version: Option<i64>) -> Response {
        let links = self.links_of(&item);
        self.item(item, &links, version)
    }

    /// The same of an item that is no booking's.
    pub(crate) fn item(
        &self,
        item: impl Serialize,
        links: &Links,
        version: Option<i64>,
    ) -> Response {
        match serde_json::to_vec(&Linked { item, links }) {
            Ok(body) => {
                let tag = Tag::of_shown(version, self.media.content_type(), &body);
                let answer = tag.on(self.read(links, body));
                self.known.spare(&tag, answer)
            }
            Err(error) => internal(&error).into_response(),
        }
    }

    /// What a command came to. A client that does not say what it accepts is told that and no more.
    pub(crate) fn done<R: Resource>(&self, status: StatusCode, item: R) -> Response {
        if !self.is_curious {
            let status = match status {
                StatusCode::OK => StatusCode::NO_CONTENT,
                other => other,
            };
            return status.into_response();
        }
        let links = self.links_of(&item);
        self.written(status, item, &links)
    }

    /// What a command came to, whatever the client says that it accepts.
    pub(crate) fn written(
        &self,
        status: StatusCode,
        item: impl Serialize,
        links: &Links,
    ) -> Response {
        match serde_json::to_vec(&Linked { item, links }) {
            Ok(body) => self.write(status, body),
            Err(error) => internal(&error).into_response(),
        }
    }

    /// A page of a collection.
    pub(crate) fn collection<R: Resource>(
        &self,
        items: Vec<R>,
        links: &Links,
        page: &Page,
    ) -> Response {
        let own: Vec<_> = items.iter().map(|item| self.links_of(item)).collect();
        let items = items.into_iter().zip(&own);
        let collection = Collection {
            items: items.map(|(item, links)| Linked { item, links }).collect(),
            links,
            block: page.block(),
        };
        self.answer(links, &collection)
    }

    /// Nothing but links.
    pub(crate) fn links(&self, links: &Links) -> Response {
        self.answer(links, &OnlyLinks { links })
    }

    /// A body without links.
    pub(crate) fn plain(&self, body: &impl Serialize) -> Response {
        self.answer(&Links::default(), body)
    }

    fn address_of<R: Resource>(&self, id: i64) -> String {
        self.address(&format!("/{}/{id}", R::COLLECTION))
    }

    fn links_of<R: Resource>(&self, item: &R) -> Links {
        let href = self.address_of::<R>(item.id());
        Links(vec![
            ("self", Link::to(href.clone())),
            (R::REL, Link::to(href)),
        ])
    }

    /// A body with these links in it.
    pub(crate) fn answer(&self, links: &Links, body: &impl Serialize) -> Response {
        match serde_json::to_vec(body) {
            Ok(body) => self.read(links, body),
            Err(error) => internal(&error).into_response(),
        }
    }

    /// What is read: the body, or for HEAD its links, where the seed put them.
    fn read(&self, links: &Links, body: Vec<u8>) -> Response {
        if !self.is_head {
            return self.write(StatusCode::OK, body);
        }
        let mut answer = (StatusCode::NO_CONTENT, [(VARY, ACCEPT.as_str())]).into_response();
        if let Some(link) = links.header() {
            answer.headers_mut().insert(LINK, link);
        }
        answer
    }

    fn write(&self, status: StatusCode, body: Vec<u8>) -> Response {
        let headers = [
            (CONTENT_TYPE, self.media.content_type()),
            (VARY, ACCEPT.as_str()),
        ];
        (status, headers, Body::from(body)).into_response()
    }
}
