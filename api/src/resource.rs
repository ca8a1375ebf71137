//! What the four resources have in common: how they are declared, shown, paged and searched.
//!
//! A resource declares its fields once, with [`view!`]: the struct that is written *is* the list that the
//! profile describes. Names, relation and filters stand in its [`Resource`] beside it. Everything that is read
//! is answered here; commands are the resources' own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::payment::{PaymentStatus, RefundStatus};
use domain::{BookId, Currency, Phase, Status, UserId};
use jiff::Timestamp;
use projections::projection::Row;
use projections::{BookingFilter, OfBooking};
use serde::Serialize;

use crate::client::Client;
use crate::hal::{Link, Links};
use crate::input::{ItemId, Parameters};
use crate::paging::{Asked, Unasked};
use crate::problem::Problem;
use crate::state::Api;

/// What is written of a row.
pub(crate) trait View: Serialize + From<Self::Row> + Send + 'static {
    /// The row of the read model.
    type Row: OfBooking;
    /// Its fields, in the order in which they are written.
    const FIELDS: &'static [Field];
}

/// A resource of the seed.
pub(crate) trait Resource: View {
    /// The collection's name: its path, and where its items are embedded.
    const COLLECTION: &'static str;
    /// The item's relation to itself, beside `self`.
    const REL: &'static str;
    /// The fields that a client may send.
    const WRITABLE: &'static [&'static str];
    /// How the collection is shown to somebody who asks for no page.
    const UNASKED: Unasked = Unasked::FirstPage;
    /// The parameters that narrow the collection.
    const FILTERS: &'static [&'static str] = &[];

    /// The last part of an item's address.
    fn id(&self) -> i64;
    /// The version of the stream that the item is of, where it is of one.
    fn version(row: &Self::Row) -> Option<i64>;
    /// Which items the parameters ask for.
    fn filter(_: &Parameters) -> Result<BookingFilter, Problem> {
        Ok(BookingFilter::default())
    }
}

/// A field of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// What it means.
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// What a field is in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Text,
    /// A text that is a time (RFC 3339).
    Time,
}

/// A type that a field can have.
pub(crate) trait Shown {
    const KIND: Kind;
    const NULLABLE: bool = false;
}

impl Shown for i64 {
    const KIND: Kind = Kind::Integer;
}
impl Shown for String {
    const KIND: Kind = Kind::Text;
}
impl Shown for Status {
    const KIND: Kind = Kind::Text;
}
impl Shown for Phase {
    const KIND: Kind = Kind::Text;
}
impl Shown for PaymentStatus {
    const KIND: Kind = Kind::Text;
}
impl Shown for RefundStatus {
    const KIND: Kind = Kind::Text;
}
impl Shown for Currency {
    const KIND: Kind = Kind::Text;
}
impl Shown for Timestamp {
    const KIND: Kind = Kind::Time;
}
impl<T: Shown> Shown for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
}

impl Field {
    pub(crate) const fn of<T: Shown>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            kind: T::KIND,
            nullable: T::NULLABLE,
        }
    }
}

/// Declares a view: a struct whose fields are those of a row that are written, in the order in which they are. One
/// that is written `as` another name is omitted where it is null.
macro_rules! view {
    (
        $(#[doc = $about:literal])+
        pub(crate) struct $view:ident of $row:ty {
            $($(#[doc = $says:literal])+ $field:ident $(as $name:literal)?: $type:ty,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Serialize)]
        pub(crate) struct $view {
            $(
                $(#[doc = $says])+
                $(#[serde(rename = $name, skip_serializing_if = "Option::is_none")])?
                $field: $type,
            )+
        }

        impl From<$row> for $view {
            fn from(row: $row) -> Self {
                Self { $($field: row.$field,)+ }
            }
        }

        impl $crate::resource::View for $view {
            type Row = $row;
            const FIELDS: &'static [$crate::resource::Field] = &[
                $($crate::resource::Field::of::<$type>(
                    [$($name,)? stringify!($field)][0],
                    concat!($($says),+),
                ),)+
            ];
        }
    };
}
pub(crate) use view;

/// `GET /R`.
pub(crate) async fn list<R: Resource>(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = R::filter(&parameters)?;
    let asked = Asked::read(&parameters, R::UNASKED, R::FILTERS);
    let lag = api.caught_up(R::Row::SCHEMA, &parameters).await?;
    let found = api.read_models.list(&filter, &asked.request()).await?;
    let page = asked.of(found.total);
    let mut links = page.links(&client, &format!("/{}", R::COLLECTION));
    for (rel, path) in [
        ("profile", format!("/profile/{}", R::COLLECTION)),
        ("search", format!("/{}/search", R::COLLECTION)),
    ] {
        links.0.push((rel, Link::to(client.address(&path))));
    }
    let items = found.rows.into_iter().map(R::from).collect();
    Ok(lag.on(client.collection(items, &links, &page)))
}

/// `GET /R/{id}`.
pub(crate) async fn show<R: Resource>(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    item::<R>(&api, id, &client, &parameters).await
}

async fn item<R: Resource>(
    api: &Api,
    id: BookId,
    client: &Client,
    parameters: &Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(R::Row::SCHEMA, parameters).await?;
    let row: Option<R::Row> = api.read_models.find(id).await?;
    // What is not there may only not be there yet: then that is said, too.
    Ok(lag.on(match row {
        Some(row) => {
            let version = R::version(&row);
            client.shown(R::from(row), version)
        }
        None => Problem::NoSuchItem.into_response(),
    }))
}

/// A search of every resource: the last part of its path, and its parameter.
pub(crate) struct Search {
    pub(crate) name: &'static str,
    pub(crate) parameter: &'static str,
}

/// The item of a booking. A booking's items have its number.
pub(crate) const BY_BOOKID: Search = Search {
    name: "findByBookid",
    parameter: "bookid",
};
/// The items of a user.
pub(crate) const BY_USERID: Search = Search {
    name: "findByUserid",
    parameter: "userid",
};

impl Search {
    pub(crate) fn path<R: Resource>(&self) -> String {
        format!("/{}/search/{}", R::COLLECTION, self.name)
    }
}

/// `GET /R/search`: the searches.
pub(crate) async fn searches<R: Resource>(client: Client) -> Response {
    let search = |search: Search| {
        let Search { name, parameter } = search;
        let path = format!("{}{{?{parameter}}}", search.path::<R>());
        (name, Link::template(client.address(&path)))
    };
    let this = Link::to(client.address(&format!("/{}/search", R::COLLECTION)));
    client.links(&Links(vec![
        search(BY_BOOKID),
        search(BY_USERID),
        ("self", this),
    ]))
}

/// `GET /R/search/findByBookid?bookid=`.
pub(crate) async fn find_by_bookid<R: Resource>(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let bookid = parameters.required_integer(BY_BOOKID.parameter)?;
    item::<R>(&api, BookId(bookid), &client, &parameters).await
}

/// `GET /R/search/findByUserid?userid=`.
pub(crate) async fn find_by_userid<R: Resource>(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let userid = parameters.required_integer(BY_USERID.parameter)?;
    let asked = Asked::read(&parameters, Unasked::FirstPage, &[BY_USERID.parameter]);
    let lag = api.caught_up(R::Row::SCHEMA, &parameters).await?;
    let filter = BookingFilter::of_user(UserId(userid));
    let found = api.read_models.list(&filter, &asked.request()).await?;
    let page = asked.of(found.total);
    let links = page.links(&client, &BY_USERID.path::<R>());
    let items = found.rows.into_iter().map(R::from).collect();
    Ok(lag.on(client.collection::<R>(items, &links, &page)))
}
