//! `/books`: bookings, and the commands on them.

mod cancel;
mod place;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::book::Book;
use domain::{BookId, Money, Phase, Status};
use projections::BookRow;
use serde::Serialize;

use crate::command::Call;
use crate::hal::{Client, Item};
use crate::input::{ItemId, Parameters};
use crate::paging::{Asked, Unasked};
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// The projection that answers reads.
const PROJECTION: &str = "books";
/// The aggregate type of a booking's stream.
const STREAM: &str = "Book";

/// `POST /books`: books a space and waits for the payment as long as a customer waits.
pub(crate) async fn place(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let order = place::Order::read(&call.body, api.settings.default_price)?;
    api.run(call, |api, command| place::place(api, command, order))
        .await
}

/// `PATCH` and `PUT /books/{id}`: the one change that a client can make is to cancel.
pub(crate) async fn change(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    let change = cancel::Change::read(&call.body)?;
    api.run(call, move |api, command| async move {
        let cancelled = cancel::cancel(&api, &command, id, Some(change)).await?;
        Ok(cancelled.on(command.client.item(StatusCode::OK, cancelled.view.clone())))
    })
    .await
}

/// `DELETE /books/{id}` cancels too: nothing that happened is ever deleted.
pub(crate) async fn delete(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    api.run(call, move |api, command| async move {
        let cancelled = cancel::cancel(&api, &command, id, None).await?;
        Ok(cancelled.on(StatusCode::NO_CONTENT.into_response()))
    })
    .await
}

/// `GET /books`.
pub(crate) async fn list(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let asked = Asked::read(&parameters, Unasked::FirstPage, &[]);
    let found = api.read_models.books(&asked.request()).await?;
    let books = found.rows.into_iter().map(BookView::from).collect();
    Ok(lag.on(client.collection(books, &asked.of(found.total))))
}

/// `GET /books/{id}`.
pub(crate) async fn show(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let book = api.read_models.book(id).await?.ok_or(Problem::NoSuchItem)?;
    let version = book.version;
    Ok(lag.on(position::tagged(
        client.item(StatusCode::OK, BookView::from(book)),
        version,
    )))
}

/// A booking on the wire: the seed's fields first, in its order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BookView {
    userid: Option<i64>,
    status: Status,
    spacename: String,
    bookid: i64,
    phase: Phase,
    #[serde(flatten)]
    price: Money,
}

impl Item for BookView {
    const COLLECTION: &'static str = "books";
    const REL: &'static str = "book";

    fn id(&self) -> i64 {
        self.bookid
    }
}

impl BookView {
    /// A booking as its own stream knows it.
    fn of(bookid: BookId, book: &Book) -> Self {
        Self {
            userid: book.userid().map(|user| user.0),
            status: book.status(),
            spacename: book.spacename().to_owned(),
            bookid: bookid.0,
            phase: phase(book),
            price: book.price(),
        }
    }

    /// The same booking at another point of its story.
    fn standing(self, status: Status, phase: Phase) -> Self {
        Self {
            status,
            phase,
            ..self
        }
    }
}

impl From<BookRow> for BookView {
    fn from(row: BookRow) -> Self {
        Self {
            userid: row.userid,
            status: row.status,
            spacename: row.spacename,
            bookid: row.bookid,
            phase: row.phase,
            price: Money {
                minor: row.amount,
                currency: row.currency,
            },
        }
    }
}

/// How far a booking is, as far as its own stream tells.
fn phase(book: &Book) -> Phase {
    match book.status() {
        Status::Timeout => Phase::PaymentPending,
        Status::SuccessRegister => Phase::Registered,
        Status::PayFailed => Phase::PaymentFailed,
        Status::Expired => Phase::Expired,
        Status::CancelBooking => Phase::Cancelling,
        Status::CancelRegister => Phase::Cancelled,
        Status::Completed => Phase::Completed,
        Status::NoShow => Phase::NoShow,
        _ => Phase::Placed,
    }
}
