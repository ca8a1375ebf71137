//! Slots of venues: what is free, and what a booking would cost. Both are said of a moment; only a booking holds.

use axum::extract::State;
use axum::response::Response;
use domain::terms::{Policy, Slot};
use domain::venue::{Quote, Span, Venue};
use domain::{Currency, Money};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use journal::venues::{Bookable, Place};
use serde::Serialize;

use crate::books::order::Order;
use crate::client::Client;
use crate::command::Call;
use crate::input::Parameters;
use crate::problem::{Alternative, Problem};
use crate::state::Api;

/// How long a span may be whose free windows are asked for: a quarter of a year.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(93 * 24);
/// How far around a slot that is taken others are looked for.
const AROUND: SignedDuration = SignedDuration::from_hours(7 * 24);

/// That a slot is taken, and the nearest ones that are not. That those cannot be found is no reason to say less.
pub(crate) async fn taken(api: &Api, of: &Bookable, wish: &Slot) -> Problem {
    let alternatives = alternatives(api, of, wish).await;
    let alternatives = alternatives.unwrap_or_else(|error| {
        tracing::warn!(%error, "no alternatives were looked for");
        vec![]
    });
    Problem::SlotTaken { alternatives }
}

async fn alternatives(
    api: &Api,
    of: &Bookable,
    wish: &Slot,
) -> Result<Vec<Alternative>, journal::StoreError> {
    let Bookable { venue, units } = of;
    let span = Span::new(
        wish.start.checked_sub(AROUND).unwrap_or(Timestamp::MIN),
        wish.end.checked_add(AROUND).unwrap_or(Timestamp::MAX),
    );
    let taken = api.journal.taken(units, venue.neighbourhood(span)).await?;
    let now = api.journal.clock().now();
    let slots = venue.alternatives(units, &taken, span, wish, now);
    Ok(slots.into_iter().map(Alternative::from).collect())
}

/// `GET /spaces/availability?spacename&from&to&duration`: the free windows between two times, in the venue's own zone;
/// with a duration, in minutes, those that are at least so long.
pub(crate) async fn availability(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let spacename = parameters
        .get("spacename")
        .ok_or_else(|| Problem::Malformed("spacename must be given".into()))?;
    let span = Span::new(time(&parameters, "from")?, time(&parameters, "to")?);
    if span.is_empty() || span.end.duration_since(span.start) > SPAN_MAX {
        let detail = "to must be later than from, and by 93 days at most";
        return Err(Problem::Malformed(detail.into()));
    }
    let duration = duration(&parameters)?;
    let Place::Venue(of) = api.journal.place(spacename).await? else {
        return Err(Problem::NoSuchVenue);
    };
    let Bookable { venue, units } = &*of;
    let taken = api.journal.taken(units, venue.neighbourhood(span)).await?;
    let now = api.journal.clock().now();
    let windows = venue.free(units, &taken, span, duration, now);
    let there = |at| local(at, venue.zone());
    Ok(client.plain(&Availability {
        spacename,
        timezone: &venue.definition().timezone,
        windows: windows
            .iter()
            .map(|window| Window {
                start: there(window.start),
                end: there(window.end),
                units: window.units,
            })
            .collect(),
    }))
}

#[derive(Serialize)]
struct Availability<'a> {
    spacename: &'a str,
    timezone: &'a str,
    windows: Vec<Window>,
}

#[derive(Serialize)]
struct Window {
    start: String,
    end: String,
    /// How many units are free for all of it.
    units: usize,
}

/// A moment as the clock there shows it, with its offset (RFC 3339).
fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

fn time(parameters: &Parameters, name: &str) -> Result<Timestamp, Problem> {
    // The `+` of an offset reads as a blank where it was not escaped.
    let text = parameters.get(name).unwrap_or_default().replace(' ', "+");
    text.parse().map_err(|_| {
        Problem::Malformed(format!(
            "{name} must be a time with its offset (RFC 3339), such as 2026-12-01T10:00:00Z"
        ))
    })
}

fn duration(parameters: &Parameters) -> Result<Option<SignedDuration>, Problem> {
    match parameters.integer("duration")? {
        None => Ok(None),
        Some(minutes @ 1..=527_040) => Ok(Some(SignedDuration::from_mins(minutes))),
        Some(_) => Err(Problem::Malformed(
            "duration must be from 1 to 527040 minutes".into(),
        )),
    }
}

/// `POST /quotes {"spacename","start","end"}`: what a booking that is made now would cost, and under which terms.
/// Whether the slot is free is not asked.
pub(crate) async fn quote(State(api): State<Api>, call: Call) -> Result<Response, Problem> {
    let order = Order::read(&call.body)?;
    api.run(call, move |api, command| async move {
        let place = api.journal.place(&order.spacename).await?;
        let now = api.journal.clock().now();
        let offer = order.offer(&place, &api.settings, now)?;
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
                .map(|line| Line {
                    start: there(line.start),
                    end: there(line.end),
                    per_hour: line.per_hour.minor,
                    amount: line.amount.minor,
                })
                .collect(),
            timezone: terms.timezone,
            cancellation: terms.policy,
            hold_minutes: terms.hold_minutes,
            no_show_grace_minutes: terms.no_show_grace_minutes,
            overtime_per_hour: terms.overtime_per_hour,
            hand_over: terms.hand_over,
        }
    }
}
