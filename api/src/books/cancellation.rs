//! `POST /books/{id}/cancel` and `GET /books/{id}/cancellation-quote`: cancelling in so many words, and what it would
//! give back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::book::{self, Book, RefundQuote};
use domain::payment::{Payment, Stage};
use domain::space::{self, Space};
use domain::{BookId, Currency, Money};
use jiff::Timestamp;
use serde::Serialize;

use super::cancel::{self, Change};
use crate::client::Client;
use crate::command::Call;
use crate::input::{Form, ItemId};
use crate::problem::Problem;
use crate::state::Api;

/// `POST /books/{id}/cancel {"reason":"rain"}`; the reason may be omitted.
pub(crate) async fn cancel(
    State(api): State<Api>,
    ItemId(id): ItemId,
    call: Call,
) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let change = Change::read_reason(&call.body)?;
    api.run(call, move |api, command| async move {
        let cancelled = cancel::cancel(&api, &command, id, change).await?;
        Ok(cancelled.on(command.client.done(StatusCode::OK, cancelled.view.clone())))
    })
    .await
}

impl Change {
    fn read_reason(body: &[u8]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::Cancel { reason: None });
        }
        let mut form = Form::strict(body, &["reason"])?;
        let reason = form.text("reason");
        form.finish()?;
        Ok(Self::Cancel { reason })
    }
}

/// `GET /books/{id}/cancellation-quote`: what a cancellation at this moment would give back and keep. It is read from
/// the streams, so it says what a cancellation sent next would do.
pub(crate) async fn quote(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
) -> Result<Response, Problem> {
    let (book, payment, space) = futures::future::try_join3(
        api.journal.load::<Book>(id),
        api.journal.load::<Payment>(id),
        api.journal.load::<Space>(id),
    )
    .await?;
    let (book, _) = book.ok_or(Problem::NoSuchItem)?;
    let payment = payment.map(|(payment, _)| payment).unwrap_or_default();
    let space = space.map(|(space, _)| space).unwrap_or_default();
    let now = api.journal.clock().now();
    could_be_cancelled(id, &book, &space, now)?;
    Ok(client.plain(&Quote::of(id, book.refund_quote(now), &payment)))
}

/// Asks booking and registration whether they would let it happen; nothing does.
fn could_be_cancelled(
    id: BookId,
    book: &Book,
    space: &Space,
    at: Timestamp,
) -> Result<(), Problem> {
    let cancel = book::Command::Cancel { reason: None, at };
    let stop = space::Command::Stop { spaceid: id };
    let events = book.decide(cancel).map_err(|error| match error {
        book::Error::Started { start } => Problem::Started { start },
        _ => cancel::refused(book),
    })?;
    if events.is_empty() {
        return Err(cancel::refused(book));
    }
    space
        .decide(stop)
        .map_err(|refusal| cancel::too_late(&refusal))?;
    Ok(())
}

/// What a cancellation would come to. Amounts are minor units.
#[derive(Serialize)]
struct Quote {
    bookid: i64,
    /// What is given back: money and points in the proportion in which they paid.
    refund: Amount,
    /// How much of that in points.
    points: i64,
    /// What is kept.
    fee: Amount,
    /// What of what was paid is given back, in percent.
    percent: u8,
    /// Until when it stays so; null where waiting costs nothing, or nothing is left to lose.
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Amount {
    amount: i64,
    currency: Currency,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self {
            amount: money.minor,
            currency: money.currency,
        }
    }
}

impl Quote {
    fn of(id: BookId, quote: RefundQuote, payment: &Payment) -> Self {
        // What is not captured yet will be given back whole, if it ever is.
        let (refund, points, kept) = if payment.stage == Stage::Approved {
            let back = payment.cancellation(quote.refund, quote.percent);
            let refund = back.money + back.points;
            (refund, back.points, payment.paid() - refund)
        } else {
            (quote.refund.minor, payment.points_spent(), quote.fee.minor)
        };
        Self {
            bookid: id.0,
            refund: quote.refund.with_minor(refund).into(),
            points,
            fee: quote.refund.with_minor(kept).into(),
            percent: quote.percent,
            until: quote.until,
        }
    }
}
