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
    let asked = Asked {
        path: "/manager/board",
        list: BoardList::Days {
            from: date,
            to: date,
        },
        about: About::day(&filter, date),
        filter,
        part,
    };
    asked.answer(&api, &client, &parameters).await
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
    let asked = Asked {
        path: "/manager/calendar",
        list: BoardList::Days { from, to },
        about: About::days(filter.spacename.as_deref(), from, to),
        filter,
        part,
    };
    asked.answer(&api, &client, &parameters).await
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
    let asked = Asked {
        path: "/manager/preparation",
        list: BoardList::Preparation,
        about: About::space(&filter),
        filter,
        part,
    };
    asked.answer(&api, &client, &parameters).await
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
    let asked = Asked {
        path: "/manager/arrivals",
        list: BoardList::Arrivals { on },
        about: About::day(&filter, on),
        filter,
        part,
    };
    asked.answer(&api, &client, &parameters).await
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
    let about = About {
        older_than_minutes: Some(minutes),
        ..About::space(&filter)
    };
    let asked = Asked {
        path: "/manager/stuck",
        list: BoardList::Stuck {
            since: since.unwrap_or(now),
        },
        about,
        filter,
        part,
    };
    asked.answer(&api, &client, &parameters).await
}

/// A part of a list, as it was asked for.
struct Asked {
    /// Where it is asked for; its links lead there, too.
    path: &'static str,
    list: BoardList,
    filter: BoardFilter,
    part: Part,
    /// What an answer says that it is about.
    about: About,
}

impl Asked {
    async fn answer(
        self,
        api: &Api,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Response, Problem> {
        let lag = api.caught_up(BOARD, parameters).await?;
        let Part { after, size } = self.part;
        let found = api
            .read_models
            .board(self.list, &self.filter, after, size)
            .await?;
        let attention = match self.list {
            BoardList::Stuck { .. } => Some(Attention::ask(api, size).await?),
            _ => None,
        };
        let links = ask::links(client, self.path, parameters, found.next);
        let listing = Listing::new(client, self.about, found.rows, &links, attention);
        Ok(lag.on(client.answer(&links, &listing)))
    }
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
