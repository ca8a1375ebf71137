//! `/payments`: what was charged, and the one command that the book role sends to the payment role.
//!
//! A customer never pays here: `POST /books` does that. `POST /payments` is the call between the two roles when
//! they run apart. It takes the payment that the booking intended, nothing else, and may be repeated: the same
//! booking is charged once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::payment::Payment;
use domain::ports::{PaymentDue, Taken};
use domain::{BookId, Money, Phase, Status};
use projections::PaymentRow;
use serde::Serialize;

use crate::command::{Call, Command};
use crate::hal::{Client, Item};
use crate::input::{Form, ItemId, Parameters};
use crate::paging::{Asked, Unasked};
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// The projection that answers reads.
const PROJECTION: &str = "payments";

/// `POST /payments {"bookid":17}`.
pub(crate) async fn take(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let mut form = Form::parse(&call.body)?;
    let bookid = BookId(form.required_integer("bookid"));
    form.finish()?;
    api.run(call, move |api, command| async move {
        let (payment, _) = api
            .journal
            .load::<Payment>(bookid)
            .await?
            .ok_or(Problem::NoSuchBooking)?;
        let due = due(
            &command,
            bookid,
            payment.charge_no(),
            payment.spacename(),
            payment.price(),
        );
        let taken = api.payment.take(due).await;
        Ok(answer(&command, bookid, &payment, taken))
    })
    .await
}

/// What the payment role is asked to take.
pub(crate) fn due(
    command: &Command,
    bookid: BookId,
    charge_no: u32,
    spacename: &str,
    price: Money,
) -> PaymentDue {
    PaymentDue {
        bookid,
        charge_no,
        spacename: spacename.to_owned(),
        price,
        correlation_id: command.correlation.id.clone(),
        traceparent: command.correlation.traceparent.clone(),
    }
}

fn answer(command: &Command, bookid: BookId, payment: &Payment, taken: Taken) -> Response {
    let (response, position) = match taken {
        Taken::Approved { position } => {
            let view = PaymentView::paid(bookid, payment);
            (command.client.item(StatusCode::CREATED, view), position)
        }
        Taken::Declined {
            code,
            message,
            position,
        } => (
            Problem::PaymentDeclined { code, message }.into_response(),
            position,
        ),
        Taken::Pending { reason, sent } => {
            let pending = Pending {
                sent,
                reason: reason.to_string(),
            };
            return (StatusCode::ACCEPTED, axum::Json(pending)).into_response();
        }
    };
    let response = position::at(response, position, None);
    command.client.located::<PaymentView>(response, bookid.0)
}

/// The outcome is not known yet.
#[derive(Serialize)]
struct Pending {
    /// Whether the charge may have reached the gateway.
    sent: bool,
    reason: String,
}

/// `GET /payments`.
pub(crate) async fn list(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let asked = Asked::read(&parameters, Unasked::FirstPage, &[]);
    let found = api.read_models.payments(&asked.request()).await?;
    let payments = found.rows.into_iter().map(PaymentView::from).collect();
    Ok(lag.on(client.collection(payments, &asked.of(found.total))))
}

/// `GET /payments/{id}`.
pub(crate) async fn show(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let payment = api
        .read_models
        .payment(id)
        .await?
        .ok_or(Problem::NoSuchItem)?;
    let version = payment.version;
    Ok(lag.on(position::tagged(
        client.item(StatusCode::OK, PaymentView::from(payment)),
        version,
    )))
}

/// A payment on the wire: the seed's fields first, in its order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PaymentView {
    bookid: i64,
    userid: Option<i64>,
    /// Read models show no payment without one.
    status: Option<Status>,
    spacename: String,
    payid: i64,
    phase: Phase,
    #[serde(flatten)]
    price: Money,
    captured: i64,
    refunded: i64,
}

impl Item for PaymentView {
    const COLLECTION: &'static str = "payments";
    const REL: &'static str = "payment";

    fn id(&self) -> i64 {
        self.payid
    }
}

impl PaymentView {
    /// A payment that was just captured.
    fn paid(bookid: BookId, payment: &Payment) -> Self {
        Self {
            bookid: bookid.0,
            userid: payment.userid().map(|user| user.0),
            status: Some(Status::SuccessPay),
            spacename: payment.spacename().to_owned(),
            payid: bookid.0,
            phase: Phase::Paid,
            price: payment.price(),
            captured: payment.price().minor,
            refunded: 0,
        }
    }
}

impl From<PaymentRow> for PaymentView {
    fn from(row: PaymentRow) -> Self {
        Self {
            bookid: row.bookid,
            userid: row.userid,
            status: row.status,
            spacename: row.spacename,
            payid: row.payid,
            phase: row.phase,
            price: Money {
                minor: row.amount,
                currency: row.currency,
            },
            captured: row.captured,
            refunded: row.refunded,
        }
    }
}
