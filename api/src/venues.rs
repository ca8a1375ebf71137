//! `/venues`: what operators say of the places that can be booked for a time.
//!
//! What is sent and shown is the definition itself, all of it: what PUT leaves away has its default again.

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use domain::Money;
use domain::venue::Definition;
use journal::Actor;
use journal::venues::{Bookable, Change, Changed, Place};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::command::{Call, Command};
use crate::conditions::Tag;
use crate::hal::{Link, Linked, Links};
use crate::input::{Parameters, is_usable};
use crate::once::Once;
use crate::paging::{Asked, Block, escaped};
use crate::problem::{Invalid, Problem, impossible};
use crate::state::Api;

/// How many venues a page has at most: each can be as large as a body.
const LISTED_MAX: u64 = 50;

/// The venue in an address, by its name.
pub(crate) struct Named(String);

impl Named {
    /// The name of a venue that may be there: none has one that cannot be used.
    fn existing(self) -> Result<String, Problem> {
        let Self(name) = self;
        if is_usable(&name) {
            Ok(name)
        } else {
            Err(Problem::NoSuchItem)
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name))
            .map_err(|_| Problem::NoSuchItem)
    }
}

/// `GET /venues`: those that can be booked, by name.
pub(crate) async fn list(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let asked = Asked::in_one_order(&parameters, LISTED_MAX);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let first = asked.number.saturating_mul(asked.size);
    let (venues, total) = api
        .journal
        .venues(number(first), number(asked.size))
        .await?;
    let page = asked.of(total);
    let links = page.links(&client, "/venues");
    let own: Vec<_> = venues.iter().map(|of| links_of(&client, of)).collect();
    let venues = venues.iter().zip(&own).map(|(of, links)| Linked {
        item: Shown::of(of),
        links,
    });
    Ok(client.plain(&Collection {
        embedded: Embedded {
            venues: venues.collect(),
        },
        links: &links,
        page: page.block(),
    }))
}

/// `GET /venues/{spacename}`.
pub(crate) async fn show(
    State(api): State<Api>,
    name: Named,
    client: Client,
) -> Result<Response, Problem> {
    let name = name.existing()?;
    let of = load(&api, &name).await?.ok_or(Problem::NoSuchItem)?;
    let version = Some(of.venue.version());
    Ok(client.item(Shown::of(&of), &links_of(&client, &of), version))
}

/// `POST /venues`: a venue where there is none of that name.
pub(crate) async fn define(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let definition = read(&call.body, None, &api)?;
    api.run(call, move |api, command| async move {
        save(&api, &command, definition, true).await
    })
    .await
}

/// `PUT /venues/{spacename}`: the venue is this from now on. Bookings that were made keep what was agreed to.
pub(crate) async fn put(
    State(api): State<Api>,
    Named(name): Named,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let definition = read(&call.body, Some(name), &api)?;
    let expects_something = call.expects_something();
    api.run(call, move |api, command| async move {
        if expects_something && load(&api, &definition.spacename).await?.is_none() {
            return Err(Problem::NothingToMatch);
        }
        save(&api, &command, definition, false).await
    })
    .await
}

/// `DELETE /venues/{spacename}`: it takes no bookings any more. Those that it has go on.
pub(crate) async fn retire(
    State(api): State<Api>,
    name: Named,
    call: Call,
) -> Result<Response, Problem> {
    let name = name.existing()?;
    call.says_its_version(&api)?;
    api.run(call, move |api, command| async move {
        match api.journal.retire_venue(&name, &change(&command)).await? {
            Changed::Retired => Ok(StatusCode::NO_CONTENT.into_response()),
            Changed::Other { version } => Err(not_that_one(version)),
            _ => Err(impossible("a venue was retired and is not")),
        }
    })
    .await
}

/// The definition in a body; its name is the one in the address, where there is one.
fn read(body: &Bytes, name: Option<String>, api: &Api) -> Result<Definition, Problem> {
    let mut fields: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Once(Value::Object(fields))) => fields,
        Ok(Once(_)) => return Err(Problem::Malformed("the body must be a JSON object".into())),
        Err(error) => return Err(Problem::Malformed(format!("JSON parse error: {error}"))),
    };
    if let Some(name) = name {
        let given = fields.insert("spacename".to_owned(), Value::String(name));
        if given.is_some_and(|given| !given.is_null() && given != fields["spacename"]) {
            return Err(Problem::Invalid(vec![Invalid {
                pointer: "/spacename".into(),
                code: "other-name",
                detail: "must be the name in the address: a venue keeps its name".into(),
            }]));
        }
    }
    let default_price = Money::krw(api.settings.default_price);
    Definition::read(fields, default_price)
        .map_err(|errors| Problem::Invalid(errors.into_iter().map(Invalid::from).collect()))
}

async fn save(
    api: &Api,
    command: &Command,
    definition: Definition,
    create: bool,
) -> Result<Response, Problem> {
    let change = change(command);
    let saved = api.journal.save_venue(&definition, create, &change).await;
    let (status, version) = match saved? {
        Changed::Defined { version } => (StatusCode::CREATED, version),
        Changed::Changed { version } => (StatusCode::OK, version),
        Changed::Exists { version } => return Err(Problem::VenueExists { version }),
        Changed::Other { version } => return Err(not_that_one(version)),
        Changed::Retired => return Err(impossible("a venue was saved and is retired")),
    };
    let client = &command.client;
    let (path, links) = addressed(client, &definition.spacename);
    let shown = Shown {
        definition: &definition,
        version,
    };
    let answer = client.written(status, shown, &links);
    Ok(Tag::of_version(version).on(client.located_at(answer, &path)))
}

fn change(command: &Command) -> Change {
    Change {
        command_id: command.id,
        trace: command.trace_of(Actor::Manager),
        versions: command.expected.0.clone(),
    }
}

fn not_that_one(version: Option<i64>) -> Problem {
    version.map_or(Problem::NoSuchItem, |current| Problem::VersionMismatch {
        current,
    })
}

async fn load(api: &Api, name: &str) -> Result<Option<Box<Bookable>>, Problem> {
    Ok(match api.journal.place(name).await? {
        Place::Venue(of) => Some(of),
        Place::Undefined | Place::Retired => None,
    })
}

/// A venue on the wire: what its operator says, and the version of that.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    definition: &'a Definition,
    version: i64,
}

impl<'a> Shown<'a> {
    fn of(of: &'a Bookable) -> Self {
        Self {
            definition: of.venue.definition(),
            version: of.venue.version(),
        }
    }
}

fn links_of(client: &Client, of: &Bookable) -> Links {
    addressed(client, &of.venue.definition().spacename).1
}

/// A venue's path, and its links.
fn addressed(client: &Client, name: &str) -> (String, Links) {
    let path = format!("/venues/{}", escaped(name));
    let address = client.address(&path);
    let links = Links(vec![
        ("self", Link::to(address.clone())),
        ("venue", Link::to(address)),
    ]);
    (path, links)
}

#[derive(Serialize)]
struct Collection<'a> {
    #[serde(rename = "_embedded")]
    embedded: Embedded<'a>,
    #[serde(rename = "_links")]
    links: &'a Links,
    page: Option<Block>,
}

#[derive(Serialize)]
struct Embedded<'a> {
    venues: Vec<Linked<'a, Shown<'a>>>,
}
