//! Bodies as the seed's clients read them: HAL, links behind fields, items under their collection's name.
//!
//! The order of fields is the order of the structs: serde writes them as they stand.

use axum::http::HeaderValue;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::paging::Block;
use crate::resource::Resource;

/// An item with its links behind its fields.
#[derive(serde::Serialize)]
pub(crate) struct Linked<'a, R> {
    #[serde(flatten)]
    pub(crate) item: R,
    #[serde(rename = "_links")]
    pub(crate) links: &'a Links,
}

/// Nothing but links.
#[derive(serde::Serialize)]
pub(crate) struct OnlyLinks<'a> {
    #[serde(rename = "_links")]
    pub(crate) links: &'a Links,
}

/// A collection: items under its name, links, and the page block where there are pages.
pub(crate) struct Collection<'a, R> {
    pub(crate) items: Vec<Linked<'a, R>>,
    pub(crate) links: &'a Links,
    pub(crate) block: Option<Block>,
}

impl<R: Resource> Serialize for Collection<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_embedded", &Embedded(&self.items))?;
        map.serialize_entry("_links", self.links)?;
        if let Some(block) = &self.block {
            map.serialize_entry("page", block)?;
        }
        map.end()
    }
}

struct Embedded<'a, R>(&'a [Linked<'a, R>]);

impl<R: Resource> Serialize for Embedded<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(R::COLLECTION, self.0)?;
        map.end()
    }
}

/// Links by relation, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links(pub(crate) Vec<(&'static str, Link)>);

impl Links {
    /// The same as the value of a `Link` header (RFC 8288); nothing where there is none.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let links = self.0.iter().map(|(rel, link)| {
            // A header has no templates: the address is the part without places to fill in.
            let href = link.href.split('{').next().unwrap_or_default();
            format!("<{href}>;rel=\"{rel}\"")
        });
        let links = links.collect::<Vec<_>>().join(", ");
        HeaderValue::try_from(links)
            .ok()
            .filter(|links| !links.is_empty())
    }
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(rel, link)| (rel, link)))
    }
}

/// Where a relation leads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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

    #[test]
    fn links_stand_in_a_header_without_their_templates() {
        let links = Links(vec![
            ("self", Link::template("http://host/books{?page}".into())),
            ("next", Link::to("http://host/books?page=1".into())),
        ]);
        let expected = r#"<http://host/books>;rel="self", <http://host/books?page=1>;rel="next""#;
        assert_eq!(links.header().unwrap(), expected);
        assert_eq!(Links::default().header(), None);
    }
}
