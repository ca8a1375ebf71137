//! Conditional requests (RFC 9110, section 13): `ETag`, `If-None-Match` and `If-Match`.
//!
//! A command's answer carries the version of the stream that it wrote to: `"2"`. What is read carries that
//! version and a print of what is shown: `"2-9f86d081884c7d65"`, because a read model also shows what other
//! streams of the booking did, under the same version. `If-Match` protects what is written, so it looks at the
//! version; `If-None-Match` saves what is read, so it looks at the whole.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

use crate::problem::Problem;

/// What identifies one state of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// Of a stream.
    pub(crate) fn of_version(version: i64) -> Self {
        Self(format!("\"{version}\""))
    }

    /// Of what is shown of a stream, where there is one stream.
    pub(crate) fn of_shown(version: Option<i64>, content_type: &str, body: &[u8]) -> Self {
        let whole = [content_type.as_bytes(), body].join(&0);
        let print: String = digest(&SHA256, &whole)
            .as_ref()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(match version {
            Some(version) => format!("\"{version}-{print}\""),
            None => format!("\"{print}\""),
        })
    }

    /// Says so on an answer.
    pub(crate) fn on(&self, mut answer: Response) -> Response {
        // Digits and dashes between quotes are a header value, always.
        if let Ok(tag) = HeaderValue::try_from(&self.0) {
            answer.headers_mut().insert(ETAG, tag);
        }
        answer
    }
}

/// The tags in a header; `None` when it is not there.
///
/// No tag of ours holds a comma, so that splitting there can take others apart but never make one of ours.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    headers.contains_key(&name).then(|| {
        let values = headers.get_all(name).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let tags = texts.flat_map(|text| text.split(','));
        tags.map(|tag| tag.trim().to_owned()).collect()
    })
}

/// What the client has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known(Vec<String>);

impl Known {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(tags(headers, IF_NONE_MATCH).unwrap_or_default())
    }

    /// 304 for what the client has already, and the answer otherwise.
    pub(crate) fn spare(&self, tag: &Tag, answer: Response) -> Response {
        let is_ours = |known: &String| known == "*" || known.trim_start_matches("W/") == tag.0;
        if !self.0.iter().any(is_ours) {
            return answer;
        }
        let mut spared = StatusCode::NOT_MODIFIED.into_response();
        // What a cache keeps up to date; a 304 has no body that the others could speak of.
        for name in [ETAG, axum::http::header::VARY] {
            if let Some(value) = answer.headers().get(&name) {
                spared.headers_mut().insert(name, value.clone());
            }
        }
        spared
    }
}

/// The versions that the client is ready to change; any will do when it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) Option<Vec<i64>>);

impl Expected {
    fn of(headers: &HeaderMap) -> Self {
        let tags = tags(headers, IF_MATCH).filter(|tags| !tags.iter().any(|tag| tag == "*"));
        // A weak tag protects nothing, and what is no tag of ours matches nothing.
        Self(tags.map(|tags| tags.iter().filter_map(|tag| version(tag)).collect()))
    }
}

/// The version in a tag of ours.
fn version(tag: &str) -> Option<i64> {
    let inside = tag.strip_prefix('"')?.strip_suffix('"')?;
    let (version, _) = inside.split_once('-').unwrap_or((inside, ""));
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    version.parse().ok().filter(|_| digits)
}

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let header = |value: &&str| (name.clone(), HeaderValue::from_str(value).unwrap());
        values.iter().map(header).collect()
    }

    fn spares(known: &[&str], tag: &Tag) -> bool {
        let answer = Known::of(&headers(&IF_NONE_MATCH, known))
            .spare(tag, tag.on(StatusCode::OK.into_response()));
        assert!(answer.headers().contains_key(ETAG));
        answer.status() == StatusCode::NOT_MODIFIED
    }

    #[test]
    fn a_client_is_spared_what_it_has() {
        let tag = Tag::of_shown(Some(2), "application/json", b"{}");
        for known in [
            vec![tag.0.as_str()],
            vec!["*"],
            vec![&format!("\"a,b\", W/{}", tag.0)],
            vec!["\"1\"", &tag.0],
        ] {
            assert!(spares(&known, &tag), "{known:?}");
        }
        for known in [
            vec![],
            vec![""],
            vec!["\"2\""],
            vec!["2"],
            vec![tag.0.trim_matches('"')],
        ] {
            assert!(!spares(&known, &tag), "{known:?}");
        }
    }

    #[test]
    fn a_tag_tells_everything_apart_that_is_shown() {
        let tag = |version, media, body: &[u8]| Tag::of_shown(version, media, body);
        let one = tag(Some(1), "a", b"b");
        assert_eq!(one, tag(Some(1), "a", b"b"));
        for other in [
            tag(Some(2), "a", b"b"),
            tag(None, "a", b"b"),
            tag(Some(1), "c", b"b"),
            tag(Some(1), "a", b"c"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_a_change_expects() {
        let shown = Tag::of_shown(Some(7), "a", b"b");
        for (given, versions) in [
            (vec![], None),
            (vec!["*"], None),
            (vec!["\"1\", *"], None),
            (vec!["\"7\""], Some(vec![7])),
            (vec![shown.0.as_str()], Some(vec![7])),
            (vec!["\"1\", \"2\"", "\"3\""], Some(vec![1, 2, 3])),
            (vec!["W/\"7\""], Some(vec![])),
            (vec![""], Some(vec![])),
            (vec!["7"], Some(vec![])),
            (
                vec![
                    "\"-7\"",
                    "\"+7\"",
                    "\"x\"",
                    "\"\"",
                    "\"9223372036854775808\"",
                ],
                Some(vec![]),
            ),
        ] {
            let read = Expected::of(&headers(&IF_MATCH, &given));
            assert_eq!(read, Expected(versions), "{given:?}");
        }
    }
}
