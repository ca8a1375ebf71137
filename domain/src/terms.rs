//! What is agreed when a space is booked for a time: the slot, and the terms that are frozen on the booking.
//!
//! A venue may change its prices and its policy at any moment; what a customer agreed to stays with the booking
//! ([`Terms`] stands in `Booked`). Everything here is of real, elapsed time: a day with 23 or 25 hours changes no
//! price and no refund.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::space::Method;
use crate::value::{Money, PRICE_MAX, proportion};

/// A time at a space: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// Its first moment.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
    /// Which unit of the venue. Nobody knows before the slot is claimed: the append writes it into the event, so it
    /// is there in everything that was stored.
    pub unit: Option<i64>,
}

impl Slot {
    /// The time from `start` up to `end`, on a unit that the append finds.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start,
            end,
            unit: None,
        }
    }

    /// How long it is, in whole minutes.
    #[must_use]
    pub fn minutes(&self) -> i64 {
        self.end.duration_since(self.start).as_mins()
    }

    /// How many minutes after its end `at` is; started ones count.
    #[must_use]
    pub fn overtime_minutes(&self, at: Timestamp) -> u32 {
        let seconds = at.duration_since(self.end).as_secs().max(0);
        u32::try_from((seconds + 59) / 60).unwrap_or(u32::MAX)
    }
}

/// What a booking at a venue was agreed to: frozen when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The version of the venue that they were taken from.
    pub venue_version: i64,
    /// The venue's time zone, by its IANA name: the days of its bookings are days there.
    pub timezone: String,
    /// What a cancellation gives back.
    pub policy: Policy,
    /// How many minutes before the slot its unit is kept free.
    pub buffer_before_minutes: u32,
    /// How many minutes after it.
    pub buffer_after_minutes: u32,
    /// How long an unpaid booking keeps its slot.
    pub hold_minutes: u32,
    /// How long after the start a customer who did not come is waited for.
    pub no_show_grace_minutes: u32,
    /// What an hour past the end costs.
    pub overtime_per_hour: Money,
    /// How the space is handed over.
    pub hand_over: Method,
}

impl Terms {
    /// The time that a slot takes of its unit: buffers included.
    #[must_use]
    pub fn occupied(&self, slot: &Slot) -> (Timestamp, Timestamp) {
        (
            earlier(slot.start, self.buffer_before_minutes),
            later(slot.end, self.buffer_after_minutes),
        )
    }

    /// When a customer who has not come by then counts as a no-show.
    #[must_use]
    pub fn no_show_at(&self, slot: &Slot) -> Timestamp {
        later(slot.start, self.no_show_grace_minutes)
    }
}

/// What a cancellation gives back: everything for a while after the booking, then by how early it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// For so many minutes after the booking everything is given back, if the start is then still further away than
    /// the earliest tier asks for.
    pub grace_minutes: u32,
    /// Earliest first. A cancellation that comes later than all of them gives nothing back.
    pub tiers: Vec<Tier>,
}

/// One step of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// At least so many hours before the start ...
    pub hours_before: u32,
    /// ... so much of the price is given back, in percent.
    pub refund_percent: u8,
}

impl Policy {
    /// What of the price is given back at `at`, in percent, and until when it stays so: never, when nothing is.
    #[must_use]
    pub fn refund_percent(
        &self,
        booked_at: Timestamp,
        start: Timestamp,
        at: Timestamp,
    ) -> (u8, Option<Timestamp>) {
        let grace_ends = later(booked_at, self.grace_minutes);
        let earliest = self.tiers.first();
        let in_grace = at < grace_ends
            && earliest.is_none_or(|tier| hours_before(start, tier.hours_before) > at);
        let tier = self
            .tiers
            .iter()
            .map(|tier| (tier.refund_percent, hours_before(start, tier.hours_before)))
            .find(|(_, until)| at <= *until);
        match tier {
            Some((percent, until)) if in_grace && percent < 100 => {
                (100, Some(grace_ends.min(until)))
            }
            None if in_grace => (100, Some(grace_ends)),
            Some((percent, until)) => (percent, Some(until)),
            None => (0, None),
        }
    }
}

impl Policy {
    /// The same where no more than `most` percent is given back, whatever the policy says.
    #[must_use]
    pub fn refund_percent_capped(
        &self,
        most: u8,
        booked_at: Timestamp,
        start: Timestamp,
        at: Timestamp,
    ) -> (u8, Option<Timestamp>) {
        let (percent, mut until) = self.refund_percent(booked_at, start, at);
        let percent = percent.min(most);
        if percent == 0 {
            return (0, None);
        }
        // What is cut off is not lost by waiting: it stays so over every step that leaves as much.
        while let Some(then) = until.and_then(|end| end.checked_add(NEXT_MOMENT).ok()) {
            let (next, next_until) = self.refund_percent(booked_at, start, then);
            if next < percent {
                break;
            }
            until = next_until;
        }
        (percent, until)
    }
}

/// The least that a moment is later than another one.
const NEXT_MOMENT: SignedDuration = SignedDuration::from_nanos(1);

/// What so many minutes past the end cost: the hour's price by the minute, rounded half up.
/// It is no more than the dearest booking costs.
#[must_use]
pub fn overtime(per_hour: Money, minutes: u32) -> Money {
    let minor = proportion(per_hour.minor, i64::from(minutes), 60);
    per_hour.with_minor(minor.min(PRICE_MAX))
}

/// What of `price` a percentage is, rounded half up.
#[must_use]
pub fn percent_of(price: Money, percent: u8) -> Money {
    price.with_minor(proportion(price.minor, i64::from(percent), 100))
}

fn hours_before(start: Timestamp, hours: u32) -> Timestamp {
    earlier(start, hours.saturating_mul(60))
}

/// So many minutes later, or the end of time.
pub(crate) fn later(at: Timestamp, minutes: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_mins(i64::from(minutes)))
        .unwrap_or(Timestamp::MAX)
}

/// So many minutes earlier, or the beginning of time.
pub(crate) fn earlier(at: Timestamp, minutes: u32) -> Timestamp {
    at.checked_sub(SignedDuration::from_mins(i64::from(minutes)))
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
