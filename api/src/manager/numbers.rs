//! How full a venue is, and what it earns, by day of use.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use domain::venue::{Span, zone};
use domain::{Currency, Money};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use journal::venues::Bookable;
use projections::{BoardRow, RevenueDay};
use serde::Serialize;

use super::BOARD;
use super::ask::Ask;
use crate::client::Client;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::state::Api;

/// `GET /manager/revenue?from&to&spacename`: money by day of use and currency, which are never added up.
pub(crate) async fn revenue(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::for_numbers(&parameters, &["from", "to"], &["spacename"]);
    let ((from, to), filter) = (ask.days(), ask.filter());
    ask.finish()?;
    let lag = api.caught_up(BOARD, &parameters).await?;
    let spacename = filter.spacename;
    let days = api
        .read_models
        .revenue(spacename.as_deref(), from, to)
        .await?;
    let mut totals: Vec<Earned> = vec![];
    for day in &days {
        let currency = day.captured.currency;
        match totals.iter_mut().find(|total| total.currency == currency) {
            Some(total) => total.add(day),
            None => totals.push(Earned::of(day)),
        }
    }
    let days = days.iter().map(|day| EarnedDay {
        date: day.day.date(),
        earned: Earned::of(day),
    });
    Ok(lag.on(client.plain(&Revenue {
        spacename,
        from,
        to,
        days: days.collect(),
        totals,
    })))
}

#[derive(Serialize)]
struct Revenue {
    #[serde(skip_serializing_if = "Option::is_none")]
    spacename: Option<String>,
    from: Date,
    to: Date,
    days: Vec<EarnedDay>,
    totals: Vec<Earned>,
}

#[derive(Serialize)]
struct EarnedDay {
    date: Option<Date>,
    #[serde(flatten)]
    earned: Earned,
}

/// Amounts are minor units of the currency.
#[derive(Serialize)]
struct Earned {
    currency: Currency,
    /// How many bookings brought money.
    bookings: i64,
    captured: i64,
    refunded: i64,
    /// What stayed.
    net: i64,
    /// What was declined and is still owed.
    outstanding: i64,
    /// Points that paid.
    points_spent: i64,
}

impl Earned {
    fn of(day: &RevenueDay) -> Self {
        let Money { minor, currency } = day.captured;
        Self {
            currency,
            bookings: day.bookings,
            captured: minor,
            refunded: day.refunded,
            net: minor.saturating_sub(day.refunded),
            outstanding: day.outstanding,
            points_spent: day.points_spent,
        }
    }

    fn add(&mut self, day: &RevenueDay) {
        let other = Self::of(day);
        for (sum, part) in [
            (&mut self.bookings, other.bookings),
            (&mut self.captured, other.captured),
            (&mut self.refunded, other.refunded),
            (&mut self.net, other.net),
            (&mut self.outstanding, other.outstanding),
            (&mut self.points_spent, other.points_spent),
        ] {
            *sum = sum.saturating_add(part);
        }
    }
}

/// `GET /manager/occupancy?spacename&from&to`: how much of each day is booked.
pub(crate) async fn occupancy(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::for_numbers(&parameters, &["from", "to"], &["spacename"]);
    ask.must_say("spacename");
    let ((from, to), filter) = (ask.days(), ask.filter());
    ask.finish()?;
    let spacename = filter.spacename.unwrap_or_default();
    let lag = api.caught_up(BOARD, &parameters).await?;
    let mut days = Days::between(from, to);
    days.take_in(&api, &spacename).await?;
    let venue = api.venue(&spacename).await?;
    let zone = venue
        .as_ref()
        .map_or(TimeZone::UTC, |venue| venue.venue.zone().clone());
    Ok(lag.on(client.plain(&Occupancy {
        spacename,
        timezone: zone.iana_name().unwrap_or("UTC").to_owned(),
        units: venue.as_ref().map(|venue| venue.units.len()),
        from,
        to,
        days: days.open_at(venue.as_ref(), &zone),
    })))
}

#[derive(Serialize)]
struct Occupancy {
    spacename: String,
    timezone: String,
    /// How many units it has today; null for a space that nobody defined.
    units: Option<usize>,
    from: Date,
    to: Date,
    days: Vec<Day>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Day {
    date: Date,
    /// How many bookings use it; one of several days counts on each.
    bookings: i64,
    booked_minutes: i64,
    no_shows: i64,
    /// How many minutes it is open, of all units, as the venue is defined today; null where nobody defined it.
    open_minutes: Option<i64>,
    /// What is booked of that, rounded half up; null where it is not open.
    percent: Option<i64>,
}

/// Every day that was asked for.
struct Days {
    from: Date,
    to: Date,
    days: BTreeMap<Date, Day>,
}

impl Days {
    fn between(from: Date, to: Date) -> Self {
        let days = std::iter::successors(Some(from), |day| day.tomorrow().ok())
            .take_while(|day| *day <= to)
            .map(|date| (date, Day::empty(date)))
            .collect();
        Self { from, to, days }
    }

    /// Adds what is booked of a space; bookings of several days are asked for part by part.
    async fn take_in(&mut self, api: &Api, spacename: &str) -> Result<(), Problem> {
        let (models, from, to) = (&api.read_models, self.from, self.to);
        for found in models.booked(spacename, from, to).await? {
            if let Some(day) = found.day.date().and_then(|date| self.days.get_mut(&date)) {
                day.bookings += found.bookings;
                day.booked_minutes = day.booked_minutes.saturating_add(found.minutes);
                day.no_shows += found.no_shows;
            }
        }
        let mut after = None;
        loop {
            let part = models.booked_longer(spacename, from, to, after).await?;
            for row in &part.rows {
                self.spread(row);
            }
            if part.next.is_none() {
                return Ok(());
            }
            after = part.next;
        }
    }

    /// A booking of several days: to each what of it is on it, by the clock that its days are of.
    fn spread(&mut self, row: &BoardRow) {
        let zone = zone(&row.timezone).unwrap_or(TimeZone::UTC);
        let Some(end) = row.ends_at else { return };
        let last = row.last_day.unwrap_or(row.day);
        let (Some(first), Some(last)) = (row.day.date(), last.date()) else {
            return;
        };
        for (date, day) in self.days.range_mut(first..=last.max(first)) {
            let span = of_day(&zone, *date);
            let (start, end) = (span.start.max(row.starts_at), span.end.min(end));
            if start < end {
                day.bookings += 1;
                day.booked_minutes += end.duration_since(start).as_mins();
                day.no_shows += i64::from(row.phase == domain::Phase::NoShow);
            }
        }
    }

    /// With the hours that a venue is open, where it is one.
    fn open_at(mut self, venue: Option<&Bookable>, zone: &TimeZone) -> Vec<Day> {
        for day in self.days.values_mut() {
            day.open_minutes = venue.map(|venue| {
                let units = i64::try_from(venue.units.len()).unwrap_or(i64::MAX);
                let open = venue.venue.open_minutes(&of_day(zone, day.date));
                open.saturating_mul(units)
            });
            day.percent = day
                .open_minutes
                .filter(|open| *open > 0)
                .map(|open| (day.booked_minutes.saturating_mul(200) + open) / (2 * open));
        }
        self.days.into_values().collect()
    }
}

impl Day {
    const fn empty(date: Date) -> Self {
        Self {
            date,
            bookings: 0,
            booked_minutes: 0,
            no_shows: 0,
            open_minutes: None,
            percent: None,
        }
    }
}

/// A day of the calendar as real time: 23 hours long, or 25, when the clocks are set.
fn of_day(zone: &TimeZone, date: Date) -> Span {
    let begins = |date: Date| {
        let zoned = date.to_zoned(zone.clone());
        zoned.map_or(Timestamp::MAX, |begin| begin.timestamp())
    };
    Span::new(begins(date), date.tomorrow().map_or(Timestamp::MAX, begins))
}
