//! A venue: a place that can be booked for a time, and everything that its operator decides about it.
//!
//! A [`Definition`] is what the operator says; [`Venue`] is what can be asked of it: whether a slot may be booked at
//! a moment, what it costs and under which terms, what is free. All of it is pure. `now` is passed in, and time zones
//! are those that are built in, so that every node answers alike.
//!
//! Two kinds of time meet here. Opening hours, rates and the grid are of the *wall clock* of the venue's zone;
//! durations, notice, buffers and prices are of *elapsed* time. On the two days a year on which they differ, a rule
//! of the wall clock takes effect at the first moment at which the clock shows that time or a later one: what opens
//! at 02:30 on a day without 02:30 opens when the clocks are set forward, and what closes at 01:30 on a day that has
//! it twice closes at the first one.

mod check;
mod definition;
mod free;
mod grid;
mod hours;
mod limits;
mod price;
mod read;
mod refused;
mod shape;
mod span;
mod words;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::terms::{Slot, Terms};
use crate::value::PRICE_MAX;

pub use self::definition::{
    Blackout, Day, Definition, Exception, GRANULARITY_DAY, HOLD_MINUTES, Hours, Rate, WallTime,
    Week,
};
pub use self::free::{Free, Taken, Windows};
pub use self::price::{Line, Price};
pub use self::read::Invalid;
pub use self::refused::Refused;
pub use self::span::Span;

/// The shortest time that one booking can have, whatever its venue says, in minutes.
pub const SLOT_MINUTES_MIN: u32 = 1;
/// The longest time that one booking can have, whatever its venue says, in minutes: 366 days.
pub const SLOT_MINUTES_MAX: u32 = 366 * 24 * 60;

/// A venue of a certain version.
#[derive(Clone, Debug, PartialEq)]
pub struct Venue {
    definition: Definition,
    zone: TimeZone,
    version: i64,
}

/// What a booking would cost, and under which terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The time, and which unit.
    pub slot: Slot,
    /// What it costs.
    pub price: Price,
    /// What is agreed to.
    pub terms: Terms,
}

impl Venue {
    /// A venue by its definition; nothing when its time zone is not one of those that are built in.
    #[must_use]
    pub fn new(definition: Definition, version: i64) -> Option<Self> {
        let zone = zone(&definition.timezone)?;
        Some(Self {
            definition,
            zone,
            version,
        })
    }

    /// What its operator says of it.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How often it was changed, counted from 1.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What a booking of `slot` made at `now` would cost, and under which terms.
    ///
    /// # Errors
    /// Every reason why it cannot be booked.
    pub fn quote(&self, slot: Slot, now: Timestamp) -> Result<Quote, Vec<Refused>> {
        self.check(&slot, now)?;
        let price = self.price(&slot);
        if price.total.minor > PRICE_MAX {
            return Err(vec![Refused::TooDear { price: price.total }]);
        }
        Ok(Quote {
            slot,
            price,
            terms: self.terms(),
        })
    }

    /// What is frozen on a booking that is made now.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let of = &self.definition;
        Terms {
            venue_version: self.version,
            timezone: of.timezone.clone(),
            policy: of.cancellation.clone(),
            buffer_before_minutes: of.buffer_before_minutes,
            buffer_after_minutes: of.buffer_after_minutes,
            hold_minutes: of.hold_minutes,
            no_show_grace_minutes: of.no_show_grace_minutes,
            overtime_per_hour: of.overtime_per_hour,
            hand_over: of.hand_over,
        }
    }
}

/// A time zone by its IANA name, out of those that are built in: every node of a cluster has the same.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

#[cfg(test)]
#[path = "venue_tests/mod.rs"]
mod tests;
