//! Slots of venues: what is free, and what a booking would cost. Both are said of a moment; only a booking holds.

mod free;

use std::num::NonZeroUsize;

use axum::extract::State;
use axum::response::Response;
use domain::terms::Policy;
use domain::venue::{Quote, Venue};
use domain::{Currency, Money};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use journal::venues::Place;
use serde::Serialize;

use crate::books::order::Order;
use crate::command::Call;
use crate::problem::{Problem, internal};
use crate::state::Api;

pub(crate) use self::free::{availability, taken};

/// How many lines of a price a quote shows.
const LINES_MAX: usize = 1_000;

/// A moment as the clock there shows it, with its offset (RFC 3339).
fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// Works something out on a thread that answers nobody meanwhile.
#[expect(
    clippy::disallowed_methods,
    reason = "work for the processor must not hold up the threads that answer; it is pure, and waited for"
)]
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| internal(&error))
}

/// `POST /quotes {"spacename","start","end"}`: what a booking that is made now would cost, and under which terms.
/// Whether the slot is free is not asked.
pub(crate) async fn quote(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let order = Order::read(&call.body)?;
    api.run(call, move |api, command| async move {
        let place = api.journal.place(&order.spacename).await?;
        let now = api.journal.clock().now();
        let (order, place, offer) = aside(move || {
            let offer = order.offer(&place, &api.settings, now);
            (order, place, offer)
        })
        .await?;
        let offer = offer?;
        let earns = offer.points.rate.floor_of(offer.to_pay().minor);
        Ok(match (&place, offer.quote) {
            (Place::Venue(of), Some(quote)) => {
                let quoted = Quoted::of(&of.venue, quote, earns);
                command.client.plain(&quoted)
            }
            _ => command.client.plain(&Unscheduled {
                spacename: order.spacename,
                price: offer.price,
                earns_points: earns,
            }),
        })
    })
    .await
}

/// A quote of a booking without a time.
#[derive(Serialize)]
struct Unscheduled {
    spacename: String,
    #[serde(flatten)]
    price: Money,
    /// Points that the payment earns.
    earns_points: i64,
}

/// A quote on the wire. Amounts are minor units.
#[derive(Serialize)]
struct Quoted {
    spacename: String,
    timezone: String,
    /// The version of the venue that this was taken from.
    venue_version: i64,
    start: String,
    end: String,
    minutes: i64,
    /// What to send as `expected_amount`.
    amount: i64,
    currency: Currency,
    /// Points that the payment earns, less what points pay for it.
    earns_points: i64,
    lines: Vec<Line>,
    /// How many lines are not shown, where there are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_lines: Option<NonZeroUsize>,
    cancellation: Policy,
    hold_minutes: u32,
    no_show_grace_minutes: u32,
    overtime_per_hour: Money,
    hand_over: domain::space::Method,
}

#[derive(Serialize)]
struct Line {
    start: String,
    end: String,
    per_hour: i64,
    amount: i64,
}

impl Quoted {
    fn of(venue: &Venue, quote: Quote, earns_points: i64) -> Self {
        let there = |at| local(at, venue.zone());
        let Quote { slot, price, terms } = quote;
        Self {
            spacename: venue.definition().spacename.clone(),
            venue_version: terms.venue_version,
            start: there(slot.start),
            end: there(slot.end),
            minutes: slot.minutes(),
            amount: price.total.minor,
            currency: price.total.currency,
            earns_points,
            lines: price
                .lines
                .iter()
                .take(LINES_MAX)
                .map(|line| Line {
                    start: there(line.start),
                    end: there(line.end),
                    per_hour: line.per_hour.minor,
                    amount: line.amount.minor,
                })
                .collect(),
            more_lines: NonZeroUsize::new(price.lines.len().saturating_sub(LINES_MAX)),
            timezone: terms.timezone,
            cancellation: terms.policy,
            hold_minutes: terms.hold_minutes,
            no_show_grace_minutes: terms.no_show_grace_minutes,
            overtime_per_hour: terms.overtime_per_hour,
            hand_over: terms.hand_over,
        }
    }
}
