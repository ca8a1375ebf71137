//! `/books`: bookings, and the commands on them.

mod cancel;
pub(crate) mod cancellation;
pub(crate) mod order;
mod patch;
mod place;
pub(crate) mod reschedule;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::book::Book;
use domain::{BookId, Currency, Phase, Status};
use jiff::Timestamp;
use projections::BookRow;

use crate::command::Call;
use crate::input::ItemId;
use crate::problem::Problem;
use crate::resource::{Resource, view};
use crate::state::Api;

/// `POST /books`: books a space and waits for the payment as long as a customer waits.
pub(crate) async fn place(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let order = order::Order::read(&call.body)?;
    api.run(call, |api, command| place::place(api, command, order))
        .await
}

/// `PATCH` and `PUT /books/{id}`: the one change that a client can make is to cancel.
pub(crate) async fn change(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let change = cancel::Change::read(&call)?;
    let is_put = call.method == Method::PUT;
    api.run(call, move |api, command| async move {
        let cancelled = cancel::cancel(&api, &command, id, change).await?;
        let client = &command.client;
        let answer = cancelled.on(client.done(StatusCode::OK, cancelled.view.clone()));
        // The seed said so on one of the two.
        Ok(if is_put {
            client.located::<BookView>(answer, id.0)
        } else {
            answer
        })
    })
    .await
}

/// `DELETE /books/{id}` cancels too: nothing that happened is ever deleted.
pub(crate) async fn delete(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    api.run(call, move |api, command| async move {
        let cancelled =
            cancel::cancel(&api, &command, id, cancel::Change::Cancel { reason: None }).await?;
        Ok(cancelled.on(StatusCode::NO_CONTENT.into_response()))
    })
    .await
}

view! {
    /// A booking on the wire: the seed's fields first, in its order.
    pub(crate) struct BookView of BookRow {
        /// Who booked.
        userid: Option<i64>,
        /// How far the booking is, in the words of this resource.
        status: Status,
        /// The name of the space.
        spacename: String,
        /// Its number.
        bookid: i64,
        /// How far the booking is, in the words of all resources.
        phase: Phase,
        /// The price, in minor units.
        amount: i64,
        /// The price's currency.
        currency: Currency,
        /// From when it is, if it has a time.
        starts_at as "start": Option<Timestamp>,
        /// Up to when, not including.
        ends_at as "end": Option<Timestamp>,
        /// Which unit of its venue it has.
        unit as "unit": Option<i64>,
    }
}

impl Resource for BookView {
    const COLLECTION: &'static str = "books";
    const REL: &'static str = "book";
    const WRITABLE: &'static [&'static str] = &["userid", "status", "spacename", "start", "end"];

    fn id(&self) -> i64 {
        self.bookid
    }

    fn version(row: &BookRow) -> Option<i64> {
        Some(row.version)
    }
}

impl BookView {
    /// A booking as its own stream knows it.
    fn of(bookid: BookId, book: &Book) -> Self {
        let slot = book.slot();
        Self {
            userid: book.userid().map(|user| user.0),
            status: book.status(),
            spacename: book.spacename().to_owned(),
            bookid: bookid.0,
            phase: book.phase(),
            amount: book.price().minor,
            currency: book.price().currency,
            starts_at: slot.map(|slot| slot.start),
            ends_at: slot.map(|slot| slot.end),
            unit: slot.and_then(|slot| slot.unit),
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
