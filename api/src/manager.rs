//! `/manager/…`: what the people of a venue ask about its bookings. All of it is read from one projection, the board.
//!
//! Lists are asked for part by part: each says in `next` where the following one begins, which costs the same however
//! far it is. What is asked for is read strictly: a parameter that nobody knows is a mistake, and said.

pub(crate) mod ask;
mod numbers;
mod show;

use axum::extract::State;
use axum::response::Response;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use journal::venues::{Bookable, Place};
use projections::projection::Row;
use projections::{BoardFilter, BoardList, BoardRow};

use crate::client::Client;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::state::Api;
use ask::{Ask, Part};
use show::{About, Attention, Listing};

pub(crate) use numbers::{occupancy, revenue};

/// The projection that all of it is read from.
const BOARD: &str = BoardRow::SCHEMA;

/// How many minutes a booking may wait before it counts as stuck, when nobody says.
const STUCK_MINUTES: i64 = 15;
/// The longest such time that can be asked for: a year.
const STUCK_MINUTES_MAX: i64 = 366 * 24 * 60;

/// `GET /manager/board?spacename&date`: the bookings in use on a day, at one space or at all of them.
pub(crate) async fn board(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::of(&parameters, &["date"], Ask::FILTERS);
    let (date, filter, part) = (ask.date("date"), ask.filter(), ask.part());
    ask.finish()?;
    let date = match date {
        Some(date) => date,
        None => api.today_at(filter.spacename.as_deref()).await?,
    };
    let list = BoardList::Days {
        from: date,
        to: date,
    };
    let about = About::day(&filter, date);
    show_list(&api, &client, &parameters, list, &filter, part, about).await
}

/// `GET /manager/calendar?spacename&from&to`: the bookings of a venue by day.
pub(crate) async fn calendar(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::of(&parameters, &["from", "to"], Ask::FILTERS);
    ask.must_say("spacename");
    let ((from, to), filter, part) = (ask.days(), ask.filter(), ask.part());
    ask.finish()?;
    let list = BoardList::Days { from, to };
    let about = About::days(filter.spacename.as_deref(), from, to);
    show_list(&api, &client, &parameters, list, &filter, part, about).await
}

/// `GET /manager/preparation?spacename`: what is to be prepared, soonest first.
pub(crate) async fn preparation(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::of(&parameters, &[], &["spacename", "userid", "phase"]);
    let (filter, part) = (ask.filter(), ask.part());
    ask.finish()?;
    let about = About::space(&filter);
    let list = BoardList::Preparation;
    show_list(&api, &client, &parameters, list, &filter, part, about).await
}

/// `GET /manager/arrivals?date&spacename`: who is to come on a day and has not yet, soonest first.
pub(crate) async fn arrivals(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::of(&parameters, &["date"], &["spacename", "userid", "phase"]);
    let (date, filter, part) = (ask.date("date"), ask.filter(), ask.part());
    ask.finish()?;
    let on = match date {
        Some(date) => date,
        None => api.today_at(filter.spacename.as_deref()).await?,
    };
    let about = About::day(&filter, on);
    let list = BoardList::Arrivals { on };
    show_list(&api, &client, &parameters, list, &filter, part, about).await
}

/// `GET /manager/stuck?older_than_minutes`: bookings that do not move, and what is left to people.
pub(crate) async fn stuck(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filters = [
        "spacename",
        "userid",
        "phase",
        "payment_status",
        "refund_status",
    ];
    let mut ask = Ask::of(&parameters, &["older_than_minutes"], &filters);
    let minutes = ask.number("older_than_minutes", 0, STUCK_MINUTES_MAX);
    let (filter, part) = (ask.filter(), ask.part());
    ask.finish()?;
    let minutes = minutes.unwrap_or(STUCK_MINUTES);
    let now = api.journal.clock().now();
    let since = now.checked_sub(SignedDuration::from_mins(minutes));
    let list = BoardList::Stuck {
        since: since.unwrap_or(now),
    };
    let lag = api.caught_up(BOARD, &parameters).await?;
    let found = api
        .read_models
        .board(list, &filter, part.after, part.size)
        .await?;
    let attention = Attention::ask(&api, part.size).await?;
    let links = ask::links(&client, "/manager/stuck", &parameters, found.next);
    let about = About {
        older_than_minutes: Some(minutes),
        ..About::space(&filter)
    };
    let listing = Listing::new(&client, about, found.rows, &links, Some(attention));
    Ok(lag.on(client.answer(&links, &listing)))
}

async fn show_list(
    api: &Api,
    client: &Client,
    parameters: &Parameters,
    list: BoardList,
    filter: &BoardFilter,
    part: Part,
    about: About,
) -> Result<Response, Problem> {
    let path = match list {
        BoardList::Days { .. } if about.date.is_some() => "/manager/board",
        BoardList::Days { .. } => "/manager/calendar",
        BoardList::Preparation => "/manager/preparation",
        BoardList::Arrivals { .. } => "/manager/arrivals",
        BoardList::Stuck { .. } => "/manager/stuck",
    };
    let lag = api.caught_up(BOARD, parameters).await?;
    let found = api
        .read_models
        .board(list, filter, part.after, part.size)
        .await?;
    let links = ask::links(client, path, parameters, found.next);
    let listing = Listing::new(client, about, found.rows, &links, None);
    Ok(lag.on(client.answer(&links, &listing)))
}

impl Api {
    /// The venue of this name, if there is one.
    async fn venue(&self, spacename: &str) -> Result<Option<Bookable>, Problem> {
        Ok(match self.journal.place(spacename).await? {
            Place::Venue(venue) => Some(*venue),
            Place::Undefined | Place::Retired => None,
        })
    }

    /// Today by the clock of a venue, or by UTC where none is named.
    async fn today_at(&self, spacename: Option<&str>) -> Result<Date, Problem> {
        let venue = match spacename {
            Some(spacename) => self.venue(spacename).await?,
            None => None,
        };
        let zone = venue.map_or(TimeZone::UTC, |venue| venue.venue.zone().clone());
        Ok(self.journal.clock().now().to_zoned(zone).date())
    }
}
