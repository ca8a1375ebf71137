//! What a port has (`/`), and what its resources look like (`/profile`, `/profile/R`): ALPS, or a JSON schema for
//! those who ask for that. Made of the resources' own declarations and route tables.

use axum::response::Response;
use serde::{Serialize, Serializer};

use crate::client::{Client, ProfileClient};
use crate::hal::{Link, Links};
use crate::media::Media;
use crate::methods::Methods;
use crate::paging::Unasked;
use crate::part::Further;
use crate::resource::{BY_BOOKID, BY_USERID, Field, Kind, Resource, Search};

/// A collection, as a port names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    name: &'static str,
    unasked: Unasked,
}

impl Entry {
    pub(crate) const fn of<R: Resource>() -> Self {
        Self {
            name: R::COLLECTION,
            unasked: R::UNASKED,
        }
    }
}

/// `GET /`: the collections of this port, as the seed had them, and behind them what it has besides.
pub(crate) fn root(client: &Client, entries: &[Entry], further: &[Further]) -> Response {
    let collection = |entry: &Entry| {
        let address = client.address(&format!("/{}", entry.name));
        let link = match entry.unasked {
            Unasked::FirstPage => Link::template(address + "{?page,size,sort}"),
            Unasked::Everything => Link::to(address),
        };
        (entry.name, link)
    };
    let profile = ("profile", Link::to(client.address("/profile")));
    let further = further.iter().map(|(rel, path)| {
        let address = client.address(path);
        let link = if path.contains('{') {
            Link::template(address)
        } else {
            Link::to(address)
        };
        (*rel, link)
    });
    let links = entries
        .iter()
        .map(collection)
        .chain([profile])
        .chain(further);
    client.links(&Links(links.collect()))
}

/// `GET /profile`: their profiles.
pub(crate) fn index(client: &Client, entries: &[Entry]) -> Response {
    let this = ("self", Link::to(client.address("/profile")));
    let profile = |entry: &Entry| {
        let path = format!("/profile/{}", entry.name);
        (entry.name, Link::to(client.address(&path)))
    };
    let links = [this].into_iter().chain(entries.iter().map(profile));
    client.links(&Links(links.collect()))
}

/// What `/profile/R` says of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    collection: &'static str,
    rel: &'static str,
    fields: &'static [Field],
    writable: &'static [&'static str],
    unasked: Unasked,
    collection_methods: Vec<&'static str>,
    item_methods: Vec<&'static str>,
}

impl Profile {
    /// The profile of a resource whose collection and items take these methods.
    pub(crate) fn of<R: Resource>(collection: &Methods, item: &Methods) -> Self {
        Self {
            collection: R::COLLECTION,
            rel: R::REL,
            fields: R::FIELDS,
            writable: R::WRITABLE,
            unasked: R::UNASKED,
            collection_methods: collection.taken().to_vec(),
            item_methods: item.taken().to_vec(),
        }
    }

    /// `GET /profile/R`.
    pub(crate) fn show(&self, ProfileClient(client): &ProfileClient) -> Response {
        match client.media() {
            Media::Schema => client.plain(&self.schema()),
            Media::Alps | Media::Hal | Media::Json => client.plain(&self.alps(client)),
        }
    }

    fn alps(&self, client: &Client) -> Alps {
        let Self {
            collection, rel, ..
        } = self;
        let fields = self.fields.iter();
        let representation = Descriptor {
            id: Some(format!("{rel}-representation")),
            href: Some(client.address(&format!("/profile/{collection}"))),
            descriptor: fields.map(Descriptor::of_field).collect(),
            ..Descriptor::default()
        };
        let of_collection = self.collection_methods.iter().filter_map(|method| {
            let mut descriptor = self.transition(method, collection)?;
            if descriptor.r#type == Some(SAFE) && self.unasked == Unasked::FirstPage {
                descriptor.descriptor = PAGE.iter().map(Descriptor::of_parameter).collect();
            }
            Some(descriptor)
        });
        let item = self.item_methods.iter();
        let of_item = item.filter_map(|method| self.transition(method, rel));
        let searches = [BY_BOOKID, BY_USERID].map(Descriptor::of_search);
        let descriptor = [representation].into_iter();
        let descriptor = descriptor.chain(of_collection).chain(of_item);
        Alps {
            alps: Document {
                version: "1.0",
                descriptor: descriptor.chain(searches).collect(),
            },
        }
    }

    /// What a method does to a collection or an item; nothing worth a word for those that only ask.
    fn transition(&self, method: &str, name: &'static str) -> Option<Descriptor> {
        let (verb, kind) = match method {
            "GET" => ("get", SAFE),
            "POST" => ("create", "UNSAFE"),
            "PUT" => ("update", "IDEMPOTENT"),
            "PATCH" => ("patch", "UNSAFE"),
            "DELETE" => ("delete", "IDEMPOTENT"),
            _ => return None,
        };
        Some(Descriptor {
            id: Some(format!("{verb}-{name}")),
            name: Some(name),
            r#type: Some(kind),
            rt: Some(format!("#{}-representation", self.rel)),
            ..Descriptor::default()
        })
    }

    fn schema(&self) -> Schema {
        let fields = self.fields.iter();
        let properties = fields.map(|field| (field.name, Property::of(field, self.writable)));
        Schema {
            title: capital(self.rel),
            kind: "object",
            properties: Properties(properties.collect()),
            dialect: "http://json-schema.org/draft-04/schema#",
        }
    }
}

/// A JSON schema, in the dialect that the seed wrote.
#[derive(Serialize)]
struct Schema {
    title: String,
    #[serde(rename = "type")]
    kind: &'static str,
    properties: Properties,
    #[serde(rename = "$schema")]
    dialect: &'static str,
}

/// Properties in the order of the fields.
struct Properties(Vec<(&'static str, Property)>);

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, property)| (name, property)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    title: String,
    description: &'static str,
    read_only: bool,
    #[serde(rename = "type")]
    kind: PropertyKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PropertyKind {
    Always(&'static str),
    OrNull([&'static str; 2]),
}

impl Property {
    fn of(field: &Field, writable: &[&str]) -> Self {
        let kind = match field.kind {
            Kind::Integer => "integer",
            Kind::Text | Kind::Time => "string",
        };
        Self {
            title: capital(field.name),
            description: field.about.trim(),
            read_only: !writable.contains(&field.name),
            kind: if field.nullable {
                PropertyKind::OrNull([kind, "null"])
            } else {
                PropertyKind::Always(kind)
            },
            format: (field.kind == Kind::Time).then_some("date-time"),
        }
    }
}

/// What only reads.
const SAFE: &str = "SAFE";

/// The parameters of pages, and what they mean.
const PAGE: [(&str, &str); 3] = [
    ("page", "Which page, counted from 0."),
    ("size", "How many items a page has, at most 1000."),
    (
        "sort",
        "A field to order by, and asc or desc behind a comma.",
    ),
];

#[derive(Serialize)]
struct Alps {
    alps: Document,
}

#[derive(Serialize)]
struct Document {
    version: &'static str,
    descriptor: Vec<Descriptor>,
}

#[derive(Default, Serialize)]
struct Descriptor {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<Doc>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    descriptor: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rt: Option<String>,
}

#[derive(Serialize)]
struct Doc {
    format: &'static str,
    value: &'static str,
}

impl Descriptor {
    /// A value with a name.
    fn semantic(name: &'static str) -> Self {
        Self {
            name: Some(name),
            r#type: Some("SEMANTIC"),
            ..Self::default()
        }
    }

    fn of_field(field: &Field) -> Self {
        Self::semantic(field.name).about(field.about.trim())
    }

    fn of_parameter((name, about): &(&'static str, &'static str)) -> Self {
        Self::semantic(name).about(about)
    }

    fn of_search(Search { name, parameter }: Search) -> Self {
        Self {
            name: Some(name),
            r#type: Some(SAFE),
            descriptor: vec![Self::semantic(parameter)],
            ..Self::default()
        }
    }

    fn about(self, value: &'static str) -> Self {
        let format = "TEXT";
        Self {
            doc: Some(Doc { format, value }),
            ..self
        }
    }
}

/// `book` as "Book".
fn capital(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    first.to_uppercase() + rest
}
