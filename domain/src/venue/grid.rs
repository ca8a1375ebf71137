//! The grid on which slots begin and end: multiples of some minutes on the wall clock, counted from midnight.
//!
//! Where midnight is skipped, the first moment of the day stands for it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How many changes of the clocks are looked across for the next point. Two in a row without one between them are
/// rare already.
const CHANGES_MAX: usize = 8;

/// The grid of a zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid<'a> {
    pub(super) zone: &'a TimeZone,
    /// Of a point to the next one; every moment is a point when there is none.
    pub(super) minutes: Option<u32>,
}

impl Grid<'_> {
    /// Whether a moment is a point.
    pub(super) fn has(&self, moment: Timestamp) -> bool {
        self.at_or_after(moment) == Some(moment)
    }

    /// The first point from `moment` on.
    pub(super) fn at_or_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let Some(minutes) = self.minutes else {
            return Some(moment);
        };
        let mut from = moment;
        for _ in 0..CHANGES_MAX {
            let into = self.since_point(from, minutes);
            let point = if into.is_zero() {
                from
            } else {
                from.checked_add(step(minutes))
                    .ok()?
                    .checked_sub(into)
                    .ok()?
            };
            if self.begins_a_day(from) {
                return Some(from);
            }
            let change = self.zone.following(from).next();
            match change.map(|change| change.timestamp()) {
                Some(change) if change <= point && from < point => from = change,
                _ => return Some(point),
            }
        }
        None
    }

    /// The last point up to `moment`.
    pub(super) fn at_or_before(&self, moment: Timestamp) -> Option<Timestamp> {
        let Some(minutes) = self.minutes else {
            return Some(moment);
        };
        let mut from = moment;
        for _ in 0..CHANGES_MAX {
            let point = from.checked_sub(self.since_point(from, minutes)).ok()?;
            let just_behind = from.checked_add(SignedDuration::from_nanos(1)).ok()?;
            let change = self.zone.preceding(just_behind).next();
            match change.map(|change| change.timestamp()) {
                Some(change) if change > point => {
                    if self.begins_a_day(change) {
                        return Some(change);
                    }
                    from = change.checked_sub(SignedDuration::from_nanos(1)).ok()?;
                }
                _ => return Some(point),
            }
        }
        None
    }

    /// How long ago the last point was, if the clocks were not set meanwhile. A step divides a day, so that points
    /// counted from any midnight are the same.
    fn since_point(&self, moment: Timestamp, minutes: u32) -> SignedDuration {
        let local = i128::from(self.zone.to_offset(moment).seconds()) * 1_000_000_000;
        let step = step(minutes).as_nanos();
        let into = (moment.as_nanosecond() + local).rem_euclid(step);
        // Less than a day.
        i64::try_from(into).map_or(SignedDuration::ZERO, SignedDuration::from_nanos)
    }

    /// Whether this is the first moment of a day whose midnight is skipped.
    fn begins_a_day(&self, moment: Timestamp) -> bool {
        let shown = self.zone.to_datetime(moment);
        let before = moment.checked_sub(SignedDuration::from_nanos(1));
        let before = before.map(|before| self.zone.to_datetime(before));
        before.is_ok_and(|before| before.date() < shown.date())
    }
}

fn step(minutes: u32) -> SignedDuration {
    SignedDuration::from_mins(i64::from(minutes))
}
