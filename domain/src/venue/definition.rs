//! What an operator says of a venue.
//!
//! A definition that is stored says everything: defaults were filled in when it was read, so that a default of a
//! later version changes no venue.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Deserializer, Serialize};

use crate::space::Method;
use crate::terms::Policy;
use crate::value::{BasisPoints, Currency, Money};

/// The coarsest grid: a day.
pub const GRANULARITY_DAY: u32 = 24 * 60;
/// How long an unpaid booking keeps its slot when nobody says.
pub const HOLD_MINUTES: u32 = 10;

/// Everything that an operator decides about a venue. Amounts are minor units; minutes of durations, notice and
/// buffers are elapsed time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, which is how bookings name it.
    pub spacename: String,
    /// Its time zone, by its IANA name.
    pub timezone: String,
    /// How many bookings it takes at a time.
    pub units: u32,
    /// What an hour costs where no rate says otherwise.
    pub price_per_hour: Money,
    /// What an hour costs at certain times. The first that fits counts.
    pub rates: Vec<Rate>,
    /// What captured money earns, in basis points.
    pub points_rate: BasisPoints,
    /// When it is open, by weekday; always, when nothing is said.
    pub opening_hours: Option<Week>,
    /// Dates that have other hours than their weekday. They go before the weekday, also where it is always open.
    pub exceptions: Vec<Exception>,
    /// Times at which nothing can be booked.
    pub blackouts: Vec<Blackout>,
    /// Slots begin and end on multiples of so many minutes of the wall clock, counted from midnight; anywhere, when
    /// nothing is said.
    pub granularity_minutes: Option<u32>,
    /// How long a slot is at least.
    pub min_duration_minutes: Option<u32>,
    /// How long a slot is at most.
    pub max_duration_minutes: Option<u32>,
    /// How long before its start a slot must be booked.
    pub min_notice_minutes: u32,
    /// How far ahead a slot may end.
    pub max_notice_minutes: Option<u32>,
    /// How long before a slot its unit is kept free.
    pub buffer_before_minutes: u32,
    /// How long after a slot its unit is kept free.
    pub buffer_after_minutes: u32,
    /// What a cancellation gives back.
    pub cancellation: Policy,
    /// How long an unpaid booking keeps its slot.
    pub hold_minutes: u32,
    /// How long after the start a customer who did not come is waited for.
    pub no_show_grace_minutes: u32,
    /// What an hour past the end costs.
    pub overtime_per_hour: Money,
    /// How it is handed over.
    pub hand_over: Method,
    /// Whether it can be booked without a time, too, as spaces that nobody defined are.
    pub unscheduled: bool,
}

/// A time of the wall clock, from `from` up to, not including, `to`. It goes on past midnight when `to` is not later
/// than `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// From.
    pub from: WallTime,
    /// Up to, not including.
    pub to: WallTime,
}

/// The hours of each weekday; a day without any is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Week {
    /// Hours that begin on a Monday.
    pub monday: Vec<Hours>,
    /// Hours that begin on a Tuesday.
    pub tuesday: Vec<Hours>,
    /// Hours that begin on a Wednesday.
    pub wednesday: Vec<Hours>,
    /// Hours that begin on a Thursday.
    pub thursday: Vec<Hours>,
    /// Hours that begin on a Friday.
    pub friday: Vec<Hours>,
    /// Hours that begin on a Saturday.
    pub saturday: Vec<Hours>,
    /// Hours that begin on a Sunday.
    pub sunday: Vec<Hours>,
}

impl Week {
    /// The hours that begin on a weekday.
    #[must_use]
    pub fn on(&self, day: Day) -> &[Hours] {
        match day {
            Day::Monday => &self.monday,
            Day::Tuesday => &self.tuesday,
            Day::Wednesday => &self.wednesday,
            Day::Thursday => &self.thursday,
            Day::Friday => &self.friday,
            Day::Saturday => &self.saturday,
            Day::Sunday => &self.sunday,
        }
    }
}

/// A date with other hours: those that begin on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Which date of the venue's calendar.
    pub date: Date,
    /// Its hours; closed, when there are none.
    #[serde(default)]
    pub hours: Vec<Hours>,
}

/// A time at which nothing can be booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blackout {
    /// From.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
    /// Why, for those who ask.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an hour costs at certain times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// On which weekdays it begins; on all, when none is named.
    #[serde(default)]
    pub days: Vec<Day>,
    /// From.
    #[serde(default)]
    pub from: WallTime,
    /// Up to, not including.
    #[serde(default = "WallTime::end_of_day")]
    pub to: WallTime,
    /// What an hour costs then.
    #[serde(deserialize_with = "strictly")]
    pub price_per_hour: Money,
}

impl Rate {
    /// Its hours.
    #[must_use]
    pub fn hours(&self) -> Hours {
        Hours {
            from: self.from,
            to: self.to,
        }
    }

    /// Whether it begins on such a day.
    #[must_use]
    pub fn is_on(&self, day: Day) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }
}

/// A weekday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// A time of day on the wall clock, to the minute: `00:00` to `24:00`, the end of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WallTime(u16);

impl WallTime {
    /// `24:00`.
    #[must_use]
    pub const fn end_of_day() -> Self {
        Self(24 * 60)
    }

    /// Minutes since midnight, as the clock shows them.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

/// What is no time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time of day is written as HH:MM, from 00:00 to 24:00")]
pub struct NoWallTime;

impl FromStr for WallTime {
    type Err = NoWallTime;

    fn from_str(text: &str) -> Result<Self, NoWallTime> {
        let digits = |part: &str| {
            let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| plain)
        };
        let (hours, minutes) = text.split_once(':').ok_or(NoWallTime)?;
        match (digits(hours), digits(minutes)) {
            (Some(24), Some(0)) => Ok(Self::end_of_day()),
            (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => Ok(Self(hours * 60 + minutes)),
            _ => Err(NoWallTime),
        }
    }
}

impl TryFrom<String> for WallTime {
    type Error = NoWallTime;

    fn try_from(text: String) -> Result<Self, NoWallTime> {
        text.parse()
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// An amount as an operator writes it: nothing is taken for something else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    amount: i64,
    currency: Currency,
}

impl Price {
    pub(super) fn money(self) -> Money {
        Money {
            minor: self.amount,
            currency: self.currency,
        }
    }
}

fn strictly<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    Price::deserialize(deserializer).map(Price::money)
}
