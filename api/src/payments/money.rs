//! `POST /payments/{id}/refunds` and `POST /payments/{id}/charges`: a manager gives a part back, and what was declined
//! is asked for again. Both are intents: the gateway is called by a worker, and the payment says when it is done.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::payment::{self, Charge, ChargeState, Extra, Payment, Stage};
use domain::{Aggregate as _, BookId, Command as Asked, Currency, Refusal};
use journal::{Actor, CommandError, Done, Request};
use serde::Serialize;

use super::PaymentView;
use crate::command::{Call, Command};
use crate::input::{Form, ItemId, pointer};
use crate::position;
use crate::problem::{Invalid, Problem};
use crate::state::Api;

/// `POST /payments/{id}/refunds {"amount":3000,"reason":"broken heater"}`, in minor units of the payment's currency.
pub(crate) async fn refund(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let mut form = Form::strict(&call.body, &["amount", "reason", "currency"])?;
    let amount = form.required_integer("amount");
    if form.is_fine("amount") && amount < 1 {
        form.refuse("amount", "out-of-range", "must be 1 or more");
    }
    let reason = form.required_text("reason");
    let currency = form.text("currency");
    form.finish()?;
    api.run(call, move |api, command| async move {
        let payment = load(&api, id).await?;
        is_in(currency.as_deref(), payment.price().currency)?;
        let amount = payment.price().with_minor(amount);
        let refund = payment::Command::RefundPartially { amount, reason };
        let (done, payment) = carry_out(&api, &command, id, refund)
            .await
            .map_err(|problem| or_kept(problem, &payment))?;
        Ok(accepted(&command, id, &done, &payment))
    })
    .await
}

/// Whoever names a currency means the payment's, or something else than this payment.
fn is_in(named: Option<&str>, currency: Currency) -> Result<(), Problem> {
    match named {
        Some(named) if named != currency.as_str() => Err(Problem::Invalid(vec![Invalid {
            pointer: pointer("currency"),
            code: "other-currency",
            detail: format!("the payment is in {currency}"),
        }])),
        _ => Ok(()),
    }
}

/// A cancelled booking's money is not gone: its terms kept it.
fn or_kept(problem: Problem, payment: &Payment) -> Problem {
    match problem {
        Problem::NotRefundable { .. } if payment.stage == Stage::Cancelled => {
            let kept = payment.refundable();
            Problem::KeptByTerms { kept }
        }
        other => other,
    }
}

/// `POST /payments/{id}/charges`: charges once more for what was declined beside the booking's own charge. Whoever asks
/// again while that charge is under way is answered the same; where there is nothing to charge, that is said.
pub(crate) async fn charge(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    api.run(call, move |api, command| async move {
        let charge = payment::Command::ChargeOutstanding;
        let (done, payment) = carry_out(&api, &command, id, charge).await?;
        if matches!(done, Done::Unchanged(_)) && !is_asked_again(&payment) {
            return Err(
                if payment.outstanding() > 0 && payment.stage == Stage::Approved {
                    Problem::PaymentOpen
                } else {
                    Problem::NothingOutstanding
                },
            );
        }
        Ok(accepted(&command, id, &done, &payment))
    })
    .await
}

async fn carry_out(
    api: &Api,
    command: &Command,
    id: BookId,
    asked: payment::Command,
) -> Result<(Done, Payment), Problem> {
    let request = Request::one(
        command.id,
        command.trace_of(Actor::Manager),
        Asked::Payment(id, asked),
    );
    let done = match &command.expected.0 {
        None => api.journal.execute_one(request).await,
        Some(versions) => api.journal.execute_at(request, versions.clone()).await,
    };
    match done {
        Ok(done) => Ok((done, load(api, id).await?)),
        Err(CommandError::Refused(Refusal::Payment(refusal))) => Err(refused(&refusal)),
        Err(error) => Err(error.into()),
    }
}

/// 202: the gateway is called by a worker.
fn accepted(command: &Command, id: BookId, done: &Done, payment: &Payment) -> Response {
    let answer = done.answer();
    let standing = Standing::of(id, payment);
    let response = (StatusCode::ACCEPTED, axum::Json(standing)).into_response();
    let response = position::at(response, answer.position, answer.version_of(Payment::TYPE));
    command.client.located::<PaymentView>(response, id.0)
}

/// Whether what was declined is being charged once more.
fn is_asked_again(payment: &Payment) -> bool {
    let mut further = (payment.charge_no() + 1..).map_while(|number| payment.charge(number));
    let is_open = |charge: &Charge| {
        charge.extra == Some(Extra::Outstanding) && charge.outcome == ChargeState::Open
    };
    payment.stage == Stage::Approved && further.any(is_open)
}

async fn load(api: &Api, id: BookId) -> Result<Payment, Problem> {
    let found = api.journal.load::<Payment>(id).await?;
    found.map(|(payment, _)| payment).ok_or(Problem::NoSuchItem)
}

fn refused(refusal: &payment::Error) -> Problem {
    match refusal {
        payment::Error::NotRefundable { available } => Problem::NotRefundable {
            available: *available,
        },
        payment::Error::NoSuchPayment => Problem::NoSuchItem,
        other => crate::problem::internal(other),
    }
}

/// A payment's money as its stream knows it. Amounts are minor units.
#[derive(Serialize)]
struct Standing {
    payid: i64,
    currency: Currency,
    /// What the gateway captured.
    captured: i64,
    /// What went back.
    refunded: i64,
    /// What can still be given back: what is on its way is not.
    refundable: i64,
    /// What was declined, and nobody has asked for again.
    outstanding: i64,
}

impl Standing {
    fn of(id: BookId, payment: &Payment) -> Self {
        Self {
            payid: id.0,
            currency: payment.price().currency,
            captured: payment.captured(),
            refunded: payment.refunded(),
            refundable: payment.refundable(),
            outstanding: payment.outstanding(),
        }
    }
}
