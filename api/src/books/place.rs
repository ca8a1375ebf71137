//! `POST /books`: one booking, from the order to the answer.
//!
//! Booking and the intent to charge are stored in one commit; then the payment is taken, for as long as a
//! customer waits. Paid: 201. Declined: 402, and the saga rejects the booking. Not known yet: the booking says
//! so itself before the customer is told to come back (202), and the saga sees it through. A request that is
//! repeated under its command id finds what it stored, and asks for the same payment again.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::book::{self, Book};
use domain::payment::{FIRST_CHARGE, Payment};
use domain::ports::{PaymentDue, PendingReason, Taken};
use domain::{Aggregate as _, BookId, Command as Asked, Money, Phase, Status, UserId};
use journal::append::Answer;
use journal::venues::{NextBooking, Place};
use journal::{CommandError, Done, Request, StreamId, fail_point};

use super::BookView;
use super::order::Order;
use crate::command::Command;
use crate::payments;
use crate::position;
use crate::problem::{Problem, impossible};
use crate::slots;
use crate::state::Api;

/// When a customer whose payment is not known yet should look again.
const LOOK_AGAIN_SECONDS: &str = "5";

/// A booking that is on disk, and the payment that it waits for.
struct Placed {
    booking: BookView,
    due: PaymentDue,
    /// Of its stream.
    version: Option<i64>,
    /// Whether it was stored before, by a request whose answer nobody kept.
    again: bool,
    /// Whether it was, and has no outcome yet.
    under_way: bool,
}

pub(super) async fn place(api: Api, command: Command, order: Order) -> Result<Response, Problem> {
    let placed = match api.admit_booking().await {
        Ok(()) => store(&api, &command, &order).await?,
        // It would be told that nothing was stored.
        Err(problem) if command.is_repeated => {
            let answer = api.stored_before(&command, problem).await?;
            again(&api, &command, &answer).await?
        }
        Err(problem) => return Err(problem),
    };
    let taken = if placed.under_way {
        // The request that stored it may be charging at this moment, and says whether anything was sent. Two would
        // each speak for itself only, and what one of them never sent the other one may have.
        Taken::Pending {
            reason: PendingReason::Timeout,
            sent: true,
        }
    } else {
        api.payment.take(placed.due.clone()).await
    };
    match taken {
        Taken::Approved { position } => paid(&api, &command, placed, position).await,
        Taken::Declined {
            code,
            message,
            position,
        } => {
            let problem = Problem::PaymentDeclined { code, message };
            Ok(placed.declined(&command, problem, position))
        }
        Taken::Pending { reason, sent } => defer(&api, &command, placed, reason, sent).await,
    }
}

/// Booking and intent to charge, in one commit; or what was stored when this command came before.
async fn store(api: &Api, command: &Command, order: &Order) -> Result<Placed, Problem> {
    let NextBooking { bookid, place } = api.journal.next_booking(&order.spacename).await?;
    fail_point!("booking-numbered");
    let now = api.journal.clock().now();
    let offer = match order.offer(&place, &api.settings, now) {
        Ok(offer) => offer,
        // It may have been stored before, under other rules or when its time was yet to come.
        Err(problem) => {
            let answer = api.stored_before(command, problem).await?;
            return again(api, command, &answer).await;
        }
    };
    let request = Request {
        command_id: command.id,
        trace: command.trace(),
        commands: offer.commands(bookid, order),
        claims: offer.claims(bookid),
    };
    match api.journal.execute_one(request).await {
        Ok(Done::Stored(answer)) => {
            fail_point!("booking-stored");
            let (spacename, to_pay) = (&order.spacename, offer.to_pay());
            let due = payments::due(command, bookid, FIRST_CHARGE, spacename, to_pay);
            let placed = Placed::new(order.userid, due, offer.price, &answer, false);
            // Which unit it is was found by the append.
            match order.slot {
                Some(_) => placed.with_its_time(api).await,
                None => Ok(placed),
            }
        }
        Ok(Done::Already(answer) | Done::Unchanged(answer)) => again(api, command, &answer).await,
        Err(CommandError::SlotTaken) => Err(taken(api, order, &place).await),
        Err(error) => Err(error.into()),
    }
}

/// What this command stored when it came before.
async fn again(api: &Api, command: &Command, answer: &Answer) -> Result<Placed, Problem> {
    let bookid = bookid_of(answer).ok_or_else(|| impossible("a booking without a number"))?;
    let payment = there(api.journal.load::<Payment>(bookid).await?)?;
    let (charge_no, price) = (payment.charge_no(), payment.price());
    let due = payments::due(command, bookid, charge_no, payment.spacename(), price);
    let placed = Placed::new(payment.userid(), due, price, answer, true);
    let placed = placed.with_its_time(api).await?;
    Ok(Placed {
        under_way: payment.is_open(),
        ..placed
    })
}

/// The slot is taken: which others are not?
async fn taken(api: &Api, order: &Order, place: &Place) -> Problem {
    match (place, &order.slot) {
        (Place::Venue(of), Some(slot)) => slots::taken(api, of, slot).await,
        _ => impossible("a slot was claimed at no venue"),
    }
}

/// 201; to a request that is repeated because its answer was lost, with the booking as it is by now.
async fn paid(
    api: &Api,
    command: &Command,
    placed: Placed,
    position: i64,
) -> Result<Response, Problem> {
    if placed.again {
        let now = Now::of(api, placed.due.bookid).await?;
        if now.booking.status != Status::Booking {
            return Ok(now.on(command, StatusCode::CREATED, position));
        }
    }
    Ok(placed.paid(command, position))
}

/// A booking as it is by now, and where its stream stands.
struct Now {
    booking: BookView,
    stands: Answer,
}

impl Now {
    async fn of(api: &Api, bookid: BookId) -> Result<Self, Problem> {
        let book = there(api.journal.load::<Book>(bookid).await?)?;
        let streams = [StreamId::new(Book::TYPE, &bookid)];
        Ok(Self {
            booking: BookView::of(bookid, &book),
            stands: api.journal.where_they_stand(&streams).await?,
        })
    }

    /// As an answer that also speaks of the event at `position`.
    fn on(self, command: &Command, status: StatusCode, position: i64) -> Response {
        let Self { booking, stands } = self;
        let bookid = booking.bookid;
        let response = command.client.done(status, booking);
        let position = position.max(stands.position);
        let response = position::at(response, position, stands.version_of(Book::TYPE));
        command.client.located::<BookView>(response, bookid)
    }
}

/// Says on the booking that its payment is not known yet, and only then to the customer.
async fn defer(
    api: &Api,
    command: &Command,
    placed: Placed,
    reason: PendingReason,
    sent: bool,
) -> Result<Response, Problem> {
    let (bookid, reason) = (placed.due.bookid, reason.to_string());
    let deferral = Asked::Book(bookid, book::Command::DeferPayment { reason, sent });
    let id = command.step("defer-payment");
    let request = Request::one(id, command.trace_of_ours(), deferral);
    fail_point!("deferral-due");
    let done = api.journal.execute_one(request).await?;
    fail_point!("deferral-stored");
    let mut response = match done {
        Done::Stored(answer) => {
            let waiting = Now {
                booking: placed
                    .booking
                    .standing(Status::Timeout, Phase::PaymentPending),
                stands: answer,
            };
            let position = waiting.stands.position;
            waiting.on(command, StatusCode::ACCEPTED, position)
        }
        // Its payment became known meanwhile, and the booking has moved on; or a request that came before said so.
        Done::Unchanged(answer) | Done::Already(answer) => {
            let now = Now::of(api, bookid).await?;
            now.on(command, StatusCode::ACCEPTED, answer.position)
        }
    };
    let look_again = HeaderValue::from_static(LOOK_AGAIN_SECONDS);
    response.headers_mut().insert(RETRY_AFTER, look_again);
    Ok(response)
}

impl Placed {
    fn new(
        userid: Option<UserId>,
        due: PaymentDue,
        price: Money,
        answer: &Answer,
        again: bool,
    ) -> Self {
        let booking = BookView {
            userid: userid.map(|user| user.0),
            status: Status::Booking,
            spacename: due.spacename.clone(),
            bookid: due.bookid.0,
            phase: Phase::Placed,
            amount: price.minor,
            currency: price.currency,
            starts_at: None,
            ends_at: None,
            unit: None,
        };
        let version = answer.version_of(Book::TYPE);
        Self {
            booking,
            due,
            version,
            again,
            under_way: false,
        }
    }

    /// With what the booking itself says of its time, and of its price, of which points may have paid a part.
    async fn with_its_time(mut self, api: &Api) -> Result<Self, Problem> {
        let book = there(api.journal.load::<Book>(self.due.bookid).await?)?;
        let slot = book.slot();
        self.booking.amount = book.price().minor;
        self.booking.starts_at = slot.map(|slot| slot.start);
        self.booking.ends_at = slot.map(|slot| slot.end);
        self.booking.unit = slot.and_then(|slot| slot.unit);
        Ok(self)
    }

    fn paid(self, command: &Command, position: i64) -> Response {
        let booking = self.booking.standing(Status::Booking, Phase::Paid);
        let response = command.client.done(StatusCode::CREATED, booking);
        let response = position::at(response, position, self.version);
        command
            .client
            .located::<BookView>(response, self.due.bookid.0)
    }

    fn declined(self, command: &Command, problem: Problem, position: i64) -> Response {
        let response = position::at(problem.into_response(), position, self.version);
        command
            .client
            .located::<BookView>(response, self.due.bookid.0)
    }
}

fn bookid_of(answer: &Answer) -> Option<BookId> {
    let stream = answer
        .streams
        .iter()
        .find(|stream| stream.aggregate_type == Book::TYPE)?;
    stream.aggregate_id.parse().ok().map(BookId)
}

/// A stream that must be there, because this command wrote to it.
fn there<A>(found: Option<(A, i64)>) -> Result<A, Problem> {
    match found {
        Some((aggregate, _)) => Ok(aggregate),
        None => Err(impossible("a booking without its stream")),
    }
}
