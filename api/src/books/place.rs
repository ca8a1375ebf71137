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
use domain::payment::{self, Payment};
use domain::ports::{PaymentDue, PendingReason, Taken};
use domain::{BookId, Command as Asked, Money, Phase, Status, UserId};
use journal::append::Answer;
use journal::{Done, Request};

use super::{BookView, STREAM};
use crate::command::Command;
use crate::input::Form;
use crate::payments;
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// When a customer whose payment is not known yet should look again.
const LOOK_AGAIN_SECONDS: &str = "5";
/// A new payment has one charge.
const FIRST_CHARGE: u32 = 1;

/// What a customer orders. A number and a status that the client sends are not its to give, and ignored.
pub(super) struct Order {
    userid: Option<UserId>,
    spacename: String,
    price: Money,
}

impl Order {
    pub(super) fn read(body: &[u8], default_price: i64) -> Result<Self, Problem> {
        let mut form = Form::parse(body)?;
        let order = Self {
            userid: form.integer("userid").map(UserId),
            spacename: form.required_text("spacename"),
            price: Money::krw(default_price),
        };
        for field in ["start", "end"] {
            if form.has(field) {
                form.refuse(
                    field,
                    "no-such-venue",
                    "times can be booked at venues only, and this is none",
                );
            }
        }
        form.finish()?;
        Ok(order)
    }

    fn commands(&self, bookid: BookId) -> Vec<Asked> {
        let Self {
            userid,
            spacename,
            price,
        } = self;
        let place = book::Command::Place {
            bookid,
            userid: *userid,
            spacename: spacename.clone(),
            price: *price,
        };
        let charge = payment::Command::Request {
            bookid,
            userid: *userid,
            spacename: spacename.clone(),
            price: *price,
        };
        vec![Asked::Book(bookid, place), Asked::Payment(bookid, charge)]
    }
}

/// A booking that is on disk.
struct Placed {
    bookid: BookId,
    userid: Option<UserId>,
    due: PaymentDue,
    version: Option<i64>,
}

pub(super) async fn place(api: Api, command: Command, order: Order) -> Result<Response, Problem> {
    api.admit_booking().await?;
    let placed = store(&api, &command, &order).await?;
    match api.payment.take(placed.due.clone()).await {
        Taken::Approved { position } => Ok(placed.paid(&command, position)),
        Taken::Declined {
            code,
            message,
            position,
        } => Ok(placed.declined(
            &command,
            Problem::PaymentDeclined { code, message },
            position,
        )),
        Taken::Pending { reason, sent } => defer(&api, &command, &placed, reason, sent).await,
    }
}

/// Booking and intent to charge, in one commit; or what was stored when this command came before.
async fn store(api: &Api, command: &Command, order: &Order) -> Result<Placed, Problem> {
    let bookid = api.journal.next_book_id().await?;
    let request = Request {
        command_id: command.id,
        trace: command.trace(),
        commands: order.commands(bookid),
        claims: vec![],
    };
    match api.journal.execute_one(request).await? {
        Done::Stored(answer) => Ok(Placed {
            bookid,
            userid: order.userid,
            due: payments::due(command, bookid, FIRST_CHARGE, &order.spacename, order.price),
            version: answer.version_of(STREAM),
        }),
        Done::Already(answer) | Done::Unchanged(answer) => {
            placed_before(api, command, &answer).await
        }
    }
}

async fn placed_before(api: &Api, command: &Command, answer: &Answer) -> Result<Placed, Problem> {
    let stream = answer
        .streams
        .iter()
        .find(|stream| stream.aggregate_type == STREAM);
    let bookid = stream
        .and_then(|stream| stream.aggregate_id.parse().ok())
        .ok_or(Problem::Internal)?;
    let bookid = BookId(bookid);
    let (payment, _) = api
        .journal
        .load::<Payment>(bookid)
        .await?
        .ok_or(Problem::Internal)?;
    Ok(Placed {
        bookid,
        userid: payment.userid(),
        due: payments::due(
            command,
            bookid,
            payment.charge_no(),
            payment.spacename(),
            payment.price(),
        ),
        version: answer.version_of(STREAM),
    })
}

/// Says on the booking that its payment is not known yet, and only then to the customer.
async fn defer(
    api: &Api,
    command: &Command,
    placed: &Placed,
    reason: PendingReason,
    sent: bool,
) -> Result<Response, Problem> {
    let deferral = book::Command::DeferPayment {
        reason: reason.to_string(),
        sent,
    };
    let request = Request::one(
        command.step("defer-payment"),
        command.trace_of_ours(),
        Asked::Book(placed.bookid, deferral),
    );
    let (view, answer) = match api.journal.execute_one(request).await? {
        Done::Stored(answer) | Done::Already(answer) => {
            (placed.view(Status::Timeout, Phase::PaymentPending), answer)
        }
        // Its payment became known meanwhile, and the booking has moved on.
        Done::Unchanged(answer) => {
            let (book, _) = api
                .journal
                .load::<Book>(placed.bookid)
                .await?
                .ok_or(Problem::Internal)?;
            (BookView::of(placed.bookid, &book), answer)
        }
    };
    let mut response = command.client.item(StatusCode::ACCEPTED, view);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(LOOK_AGAIN_SECONDS));
    command.client.locate::<BookView>(headers, placed.bookid.0);
    Ok(position::at(
        response,
        answer.position,
        answer.version_of(STREAM),
    ))
}

impl Placed {
    fn paid(&self, command: &Command, position: i64) -> Response {
        let view = self.view(Status::Booking, Phase::Paid);
        self.located(
            command.client.item(StatusCode::CREATED, view),
            command,
            position,
        )
    }

    fn declined(&self, command: &Command, problem: Problem, position: i64) -> Response {
        self.located(problem.into_response(), command, position)
    }

    fn located(&self, mut response: Response, command: &Command, position: i64) -> Response {
        command
            .client
            .locate::<BookView>(response.headers_mut(), self.bookid.0);
        position::at(response, position, self.version)
    }

    fn view(&self, status: Status, phase: Phase) -> BookView {
        BookView {
            userid: self.userid.map(|user| user.0),
            status,
            spacename: self.due.spacename.clone(),
            bookid: self.bookid.0,
            phase,
            price: self.due.price,
        }
    }
}
