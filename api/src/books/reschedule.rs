//! `POST /books/{id}/reschedule`: the same booking at another time.
//!
//! The new slot is claimed and the old one given back in one commit, with what follows for registration and payment:
//! a higher price is a further charge, a lower one a partial refund, both made by the background. The price is the
//! venue's of this moment; the terms are those that the booking was made under.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::book::{self, Book, Scheduled};
use domain::payment::{self, Payment};
use domain::space::Space;
use domain::terms::Slot;
use domain::{Aggregate as _, BookId, Command as Asked, Refusal};
use journal::append::Claim;
use journal::venues::{Bookable, Place};
use journal::{CommandError, Request, StreamId, fail_point};

use super::order::Order;
use super::{BookView, cancel};
use crate::command::{Call, Command};
use crate::input::{Form, ItemId};
use crate::position;
use crate::problem::{Problem, internal};
use crate::slots;
use crate::state::Api;

/// What a client wants.
struct Wish {
    slot: Slot,
    expected_amount: Option<i64>,
}

impl Wish {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut form = Form::strict(body, &["start", "end", "expected_amount"])?;
        let (start, end) = (form.required_time("start"), form.required_time("end"));
        let expected_amount = form.integer("expected_amount");
        form.finish()?;
        Ok(Self {
            slot: Slot::new(start, end),
            expected_amount,
        })
    }
}

/// `POST /books/{id}/reschedule {"start","end"}`, and `expected_amount` where the price must be that.
pub(crate) async fn reschedule(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let wish = Wish::read(&call.body)?;
    api.run(call, move |api, command| async move {
        move_to(&api, &command, id, &wish).await?;
        as_it_is(&api, &command, id).await
    })
    .await
}

async fn move_to(api: &Api, command: &Command, id: BookId, wish: &Wish) -> Result<(), Problem> {
    let book = load(api, id).await?;
    let (request, of) = match request(api, command, id, &book, wish).await {
        Ok(request) => request,
        // The rules were others when this request came before, or its time was yet to come.
        Err(problem) => return api.stored_before(command, problem).await.map(drop),
    };
    fail_point!("move-due");
    let done = match &command.expected.0 {
        None => api.journal.execute_one(request).await,
        Some(versions) => api.journal.execute_at(request, versions.clone()).await,
    };
    fail_point!("move-stored");
    match done {
        Ok(_) => Ok(()),
        // It is what the client wanted; this request, sent before, may have made it so.
        Err(CommandError::Refused(Refusal::Book(book::Error::SameTime))) => Ok(()),
        Err(CommandError::SlotTaken) => Err(slots::taken(api, &of, &wish.slot).await),
        Err(CommandError::Refused(refusal)) => Err(refused(&book, &refusal)),
        Err(error) => Err(error.into()),
    }
}

/// The move by the venue's rules of this moment, and the venue.
async fn request(
    api: &Api,
    command: &Command,
    id: BookId,
    book: &Book,
    wish: &Wish,
) -> Result<(Request, Box<Bookable>), Problem> {
    let scheduled = book.scheduled().ok_or(Problem::Unscheduled)?;
    let place = api.journal.place(book.spacename()).await?;
    let now = api.journal.clock().now();
    let order = Order::to_move(book, wish.slot, wish.expected_amount);
    let price = order.offer(&place, &api.settings, now)?.price;
    let Place::Venue(of) = place else {
        return Err(Problem::NoSuchVenue);
    };
    let request = Request {
        command_id: command.id,
        trace: command.trace(),
        commands: Asked::reschedule(id, wish.slot, book.difference(price, now), now),
        claims: vec![claim(id, &of, scheduled, &wish.slot)],
    };
    Ok((request, of))
}

/// The time that the slot takes of one of the venue's units, by the buffers that were agreed to.
fn claim(id: BookId, of: &Bookable, scheduled: &Scheduled, slot: &Slot) -> Claim {
    let (start, end) = scheduled.terms.occupied(slot);
    Claim {
        bookid: id.0,
        units: of.units.clone(),
        start,
        end,
    }
}

fn refused(book: &Book, refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Book(book::Error::PriceChanged { .. }) => Problem::Contended,
        Refusal::Book(book::Error::Unscheduled) => Problem::Unscheduled,
        Refusal::Book(book::Error::MovedTooOften) => Problem::MovedTooOften,
        Refusal::Book(book::Error::Started { start }) => Problem::Started { start: *start },
        Refusal::Book(_) => Problem::NotMovable {
            current: book.phase(),
        },
        Refusal::Payment(payment::Error::DifferenceOpen | payment::Error::NotAdjustable { .. }) => {
            Problem::PaymentOpen
        }
        Refusal::Payment(payment::Error::OtherCurrency { .. }) => Problem::OtherCurrency,
        Refusal::Payment(refusal) => internal(refusal),
        Refusal::Space(refusal) => cancel::too_late(refusal),
    }
}

async fn as_it_is(api: &Api, command: &Command, id: BookId) -> Result<Response, Problem> {
    let book = load(api, id).await?;
    let streams = [Book::TYPE, Payment::TYPE, Space::TYPE].map(|stream| StreamId::new(stream, &id));
    let stands = api.journal.where_they_stand(&streams).await?;
    let response = command.client.done(StatusCode::OK, BookView::of(id, &book));
    let version = stands.version_of(Book::TYPE);
    Ok(position::at(response, stands.position, version))
}

async fn load(api: &Api, id: BookId) -> Result<Book, Problem> {
    let found = api.journal.load::<Book>(id).await?;
    found.map(|(book, _)| book).ok_or(Problem::NoSuchItem)
}
