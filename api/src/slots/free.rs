//! What is free at a venue, and what else when a slot is taken.
//!
//! Each question looks at a bounded number of claims, and shows a bounded number of windows: an answer that had to be
//! cut says so, and where to go on. What is read is worked out beside the threads that answer requests.

use axum::extract::State;
use axum::response::Response;
use domain::terms::Slot;
use domain::venue::{SLOT_MINUTES_MAX, Span, Taken, Windows};
use domain::written;
use jiff::{SignedDuration, Timestamp};
use journal::venues::{Bookable, Place};
use serde::Serialize;

use super::{aside, local};
use crate::client::Client;
use crate::hal::Links;
use crate::input::Parameters;
use crate::manager::ask::link;
use crate::problem::{Alternative, Problem};
use crate::state::Api;

/// How long a span may be whose free windows are asked for, or in which another slot is looked for: a quarter of a year.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(93 * 24);
/// How many windows an answer shows.
const WINDOWS_MAX: usize = 1_000;
/// How often a span that holds more claims than are looked at is halved: down to minutes.
const HALVINGS_MAX: u32 = 16;
/// How far around a slot that is taken others are looked for.
const AROUND: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often half as far will do, where there is too much to look at: down to about a day.
const NEARER_MAX: u32 = 4;

/// That a slot is taken, and the nearest ones that are not. That those cannot be found is no reason to say less.
pub(crate) async fn taken(api: &Api, of: &Bookable, wish: &Slot) -> Problem {
    let alternatives = alternatives(api, of, wish).await;
    let alternatives = alternatives.unwrap_or_else(|problem| {
        tracing::warn!(%problem, "no alternatives were looked for");
        vec![]
    });
    Problem::SlotTaken { alternatives }
}

/// As near as there can be looked at: none where even that is too much.
async fn alternatives(api: &Api, of: &Bookable, wish: &Slot) -> Result<Vec<Alternative>, Problem> {
    let Bookable { venue, units } = of;
    let length = wish.end.duration_since(wish.start);
    let now = api.journal.clock().now();
    for nearer in 0..NEARER_MAX {
        let around = AROUND / 2_i32.pow(nearer);
        let span = Span::new(
            wish.start.checked_sub(around).unwrap_or(Timestamp::MIN),
            wish.end.checked_add(around).unwrap_or(Timestamp::MAX),
        );
        let span = span.within(&venue.in_reach(now));
        if span.end.duration_since(span.start) > SPAN_MAX {
            continue;
        }
        let room = venue.room(Some(length));
        let around = venue.neighbourhood(span);
        let Some(taken) = api.journal.taken(units, around, room).await? else {
            continue;
        };
        let (of, wish) = (of.clone(), *wish);
        let slots = aside(move || of.venue.alternatives(&of.units, &taken, span, &wish, now));
        return Ok(slots.await?.into_iter().map(Alternative::from).collect());
    }
    Ok(vec![])
}

/// What is asked for.
struct Ask<'p> {
    spacename: &'p str,
    span: Span,
    duration: Option<SignedDuration>,
}

impl<'p> Ask<'p> {
    fn read(parameters: &'p Parameters) -> Result<Self, Problem> {
        // Whoever reads may say a position; claims are read as they stand, and are never behind.
        parameters.only(&["spacename", "from", "to", "duration", "min_position"])?;
        let spacename = parameters
            .text("spacename")?
            .ok_or_else(|| Problem::Malformed("spacename must be given".into()))?;
        let span = Span::new(time(parameters, "from")?, time(parameters, "to")?);
        if span.is_empty() || span.end.duration_since(span.start) > SPAN_MAX {
            let detail = "to must be later than from, and by 93 days at most";
            return Err(Problem::Malformed(detail.into()));
        }
        Ok(Self {
            spacename,
            span,
            duration: duration(parameters)?,
        })
    }
}

/// `GET /spaces/availability?spacename&from&to&duration`: the free windows between two times, in the venue's own zone;
/// with a duration, in minutes, those that are at least so long.
pub(crate) async fn availability(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let Ask {
        spacename,
        span,
        duration,
    } = Ask::read(&parameters)?;
    let Place::Venue(of) = api.journal.place(spacename).await? else {
        return Err(Problem::NoSuchVenue);
    };
    let now = api.journal.clock().now();
    // What nobody can book now is not asked for.
    let whole = span.within(&of.venue.in_reach(now));
    let (span, taken) = looked_at(&api, &of, whole, duration).await?;
    let (of, windows) = aside(move || {
        let Bookable { venue, units } = &*of;
        let windows = venue.free(units, &taken, span, duration, now, WINDOWS_MAX);
        (of, windows)
    })
    .await?;
    let zone = of.venue.zone();
    let there = |at| local(at, zone);
    let rest = (span.end < whole.end).then(|| rest(span, of.venue.needed(duration)));
    let links = links(&client, &parameters, windows.next.or(rest).map(there));
    let windows = shown(&windows, there);
    Ok(client.answer(
        &links,
        &Availability {
            spacename,
            timezone: &of.venue.definition().timezone,
            windows,
            links: &links,
        },
    ))
}

/// What of `span` can be looked at, from its start on, and what is taken in it.
async fn looked_at(
    api: &Api,
    of: &Bookable,
    mut span: Span,
    duration: Option<SignedDuration>,
) -> Result<(Span, Vec<Taken>), Problem> {
    let Bookable { venue, units } = of;
    let room = venue.room(duration);
    for _ in 0..HALVINGS_MAX {
        if span.is_empty() {
            return Ok((span, vec![]));
        }
        let around = venue.neighbourhood(span);
        if let Some(taken) = api.journal.taken(units, around, room).await? {
            return Ok((span, taken));
        }
        let half = span.end.duration_since(span.start).as_secs() / 2;
        let half = SignedDuration::from_secs(half);
        span.end = span.start.checked_add(half).unwrap_or(span.end);
    }
    // More claims than bookings can have made there, in minutes: nothing of it is free.
    let Span { start, end } = span;
    let all = units.iter().map(|unit| Taken {
        unit: *unit,
        start,
        end,
    });
    Ok((span, all.collect()))
}

/// Where to go on behind a span that was cut: so early that what is wanted and lies across the cut is found, too.
fn rest(span: Span, needed: SignedDuration) -> Timestamp {
    let early = span.end.checked_sub(needed);
    early
        .ok()
        .filter(|early| *early > span.start)
        .unwrap_or(span.end)
}

/// The links of an answer: to itself, and to what it does not tell any more.
fn links(client: &Client, parameters: &Parameters, next: Option<String>) -> Links {
    const PATH: &str = "/spaces/availability";
    let mut links = vec![("self", link(client, PATH, parameters, &[], &[]))];
    if let Some(from) = next {
        let with = [("from", from.as_str())];
        links.push(("next", link(client, PATH, parameters, &[], &with)));
    }
    Links(links)
}

#[derive(Serialize)]
struct Availability<'a> {
    spacename: &'a str,
    timezone: &'a str,
    windows: Vec<Window>,
    #[serde(rename = "_links")]
    links: &'a Links,
}

#[derive(Serialize)]
struct Window {
    start: String,
    end: String,
    /// How many units are free for all of it.
    units: usize,
}

fn shown(windows: &Windows, there: impl Fn(Timestamp) -> String) -> Vec<Window> {
    let windows = windows.shown.iter();
    windows
        .map(|window| Window {
            start: there(window.start),
            end: there(window.end),
            units: window.units,
        })
        .collect()
}

fn time(parameters: &Parameters, name: &str) -> Result<Timestamp, Problem> {
    // The `+` of an offset reads as a blank where it was not escaped.
    let text = parameters.get(name).unwrap_or_default().replace(' ', "+");
    written::time(&text).ok_or_else(|| Problem::Malformed(format!("{name} {}", written::A_TIME)))
}

fn duration(parameters: &Parameters) -> Result<Option<SignedDuration>, Problem> {
    match parameters.integer("duration")? {
        None => Ok(None),
        Some(minutes) if (1..=i64::from(SLOT_MINUTES_MAX)).contains(&minutes) => {
            Ok(Some(SignedDuration::from_mins(minutes)))
        }
        Some(_) => Err(Problem::Malformed(format!(
            "duration must be from 1 to {SLOT_MINUTES_MAX} minutes"
        ))),
    }
}
