//! `/payments`: what was charged, and the one command that the book role sends to the payment role.
//!
//! A customer never pays here: `POST /books` does that. `POST /payments` is the call between the two roles when
//! they run apart. It takes the payment that the booking intended, nothing else, and may be repeated: the same
//! booking is charged once.

pub(crate) mod money;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::payment::{Payment, PaymentStatus, RefundStatus};
use domain::ports::{PaymentDue, Taken};
use domain::{BookId, Currency, Money, Phase, Status};
use projections::PaymentRow;
use serde::Serialize;

use crate::command::{Call, Command};
use crate::input::Form;
use crate::position;
use crate::problem::Problem;
use crate::resource::{Resource, view};
use crate::state::Api;

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
            let view = if payment.is_open() {
                PaymentView::paid(bookid, payment)
            } else {
                PaymentView::of(bookid, payment)
            };
            (command.client.done(StatusCode::CREATED, view), position)
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
                code: reason.as_str(),
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
    /// Why: what the book role goes by.
    code: &'static str,
    /// Why, for people, and for a book role of a version before the code.
    reason: String,
}

view! {
    /// A payment on the wire: the seed's fields first, in its order.
    pub(crate) struct PaymentView of PaymentRow {
        /// The booking.
        bookid: i64,
        /// Who pays.
        userid: Option<i64>,
        /// How far the payment is, in the words of this resource.
        status: Option<Status>,
        /// The name of the space.
        spacename: String,
        /// Its number, the booking's.
        payid: i64,
        /// How far the booking is, in the words of all resources.
        phase: Phase,
        /// The price, in minor units.
        amount: i64,
        /// The currency of all amounts.
        currency: Currency,
        /// What the gateway captured.
        captured: i64,
        /// What went back.
        refunded: i64,
        /// How far the payment is: `awaiting`, `unknown`, `paid`, `declined`, `outstanding` or `voided`.
        payment_status: PaymentStatus,
        /// How far refunds are: `none`, `pending`, `failed`, `partial` or `refunded`.
        refund_status: RefundStatus,
        /// What was asked beside the booking's own charge, and declined.
        outstanding: i64,
    }
}

impl Resource for PaymentView {
    const COLLECTION: &'static str = "payments";
    const REL: &'static str = "payment";
    const WRITABLE: &'static [&'static str] = &["bookid"];

    fn id(&self) -> i64 {
        self.payid
    }

    fn version(row: &PaymentRow) -> Option<i64> {
        Some(row.version)
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
            amount: payment.price().minor,
            currency: payment.price().currency,
            captured: payment.price().minor,
            refunded: 0,
            payment_status: PaymentStatus::Paid,
            refund_status: RefundStatus::None,
            outstanding: 0,
        }
    }

    /// A payment that was captured before, as its own stream knows it.
    fn of(bookid: BookId, payment: &Payment) -> Self {
        Self {
            status: payment.status(),
            phase: payment.phase(),
            captured: payment.captured(),
            refunded: payment.refunded(),
            payment_status: payment.money_status(),
            refund_status: payment.refund_status(),
            outstanding: payment.outstanding(),
            ..Self::paid(bookid, payment)
        }
    }
}
