//! Media types: what an answer is written as, and what a body may be written as.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method};

use crate::problem::Problem;

/// What an answer can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// What resources are written as when nobody minds.
    Hal,
    Json,
    /// What a profile is written as when nobody minds.
    Alps,
    Schema,
}

impl Media {
    /// The type without parameters, as clients name it.
    pub(crate) const fn essence(self) -> &'static str {
        match self {
            Self::Hal => "application/hal+json",
            Self::Json => "application/json",
            Self::Alps => "application/alps+json",
            Self::Schema => "application/schema+json",
        }
    }

    /// The type as it stands on an answer; the seed named the charset where it wrote resources.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Hal => "application/hal+json;charset=UTF-8",
            Self::Json => "application/json;charset=UTF-8",
            Self::Alps | Self::Schema => self.essence(),
        }
    }
}

/// What resources are offered as, the first one to those who do not mind.
pub(crate) const RESOURCE: &[Media] = &[Media::Hal, Media::Json];
/// What profiles are offered as.
pub(crate) const PROFILE: &[Media] = &[Media::Alps, Media::Schema, Media::Hal, Media::Json];

/// What a client wants answers written as; none when it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accept(Option<String>);

impl Accept {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get_all(ACCEPT).iter();
        let given: Vec<_> = given.filter_map(|value| value.to_str().ok()).collect();
        let text = given.join(",");
        Self((!text.trim().is_empty()).then_some(text))
    }

    /// Whether the client says so. The seed wrote what a command came to only to those who did.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The offer that is wished for most; of equal ones the first.
    pub(crate) fn choose(&self, offers: &[Media]) -> Result<Media, Problem> {
        let mut best = None;
        for offer in offers {
            let wish = match &self.0 {
                Some(accept) => wish(accept, offer.essence()),
                None => Wish::INDIFFERENT,
            };
            if wish.weight > 0 && best.is_none_or(|(known, _)| wish > known) {
                best = Some((wish, *offer));
            }
        }
        best.map(|(_, offer)| offer).ok_or_else(|| {
            let offers: Vec<_> = offers.iter().map(|offer| offer.essence()).collect();
            Problem::NotAcceptable {
                offers: offers.join(", "),
            }
        })
    }
}

/// How much a media type is wished for: by weight, then by how exactly it was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// In thousandths.
    weight: u16,
    exactness: u8,
}

impl Wish {
    const INDIFFERENT: Self = Self {
        weight: 1_000,
        exactness: 0,
    };
    const NONE: Self = Self {
        weight: 0,
        exactness: 0,
    };
}

fn wish(accept: &str, media: &str) -> Wish {
    let entry = |entry: &str| {
        let mut parts = entry.split(';').map(str::trim);
        let range = parts.next()?.to_ascii_lowercase();
        let exactness = match range.as_str() {
            range if range == media => 2,
            "application/*" => 1,
            "*/*" => 0,
            _ => return None,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1_000, thousandths);
        Some((exactness, weight))
    };
    // The most exact entry speaks for the media type.
    let best = accept.split(',').filter_map(entry).max();
    best.map_or(Wish::NONE, |(exactness, weight)| Wish { weight, exactness })
}

/// `0.5` as 500, without a float.
fn thousandths(quality: &str) -> u16 {
    match quality.split_once('.') {
        Some(("0", decimals)) => format!("{decimals:0<3.3}").parse().unwrap_or(0),
        _ if quality == "0" => 0,
        _ => 1_000,
    }
}

/// What a PATCH may be written as, in the seed's order.
pub(crate) const PATCH: &str =
    "application/merge-patch+json,application/json-patch+json,application/json";
/// What any other command may be written as.
pub(crate) const POST: &str = "application/json,application/hal+json";

/// How a command's body says what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The fields themselves; a merge patch is no different.
    Fields,
    /// Operations on the resource (RFC 6902).
    JsonPatch,
}

/// How a body is written. One that does not say so is taken for JSON; a charset makes no difference to JSON.
pub(crate) fn written(method: &Method, headers: &HeaderMap) -> Result<Written, Problem> {
    let Some(given) = headers.get(CONTENT_TYPE) else {
        return Ok(Written::Fields);
    };
    let essence = given.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    let taken = match *method {
        // Nothing is read of it.
        Method::DELETE => return Ok(Written::Fields),
        Method::PATCH => PATCH,
        _ => POST,
    };
    match essence.as_str() {
        "application/json-patch+json" if *method == Method::PATCH => Ok(Written::JsonPatch),
        essence if taken.split(',').any(|known| known == essence) => Ok(Written::Fields),
        _ => Err(Problem::UnsupportedMediaType {
            patch: *method == Method::PATCH,
        }),
    }
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
