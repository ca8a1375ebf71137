//! The wall clock of a venue as real time: when it is open, and when a rate holds.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::definition::{Day, Hours, WallTime};
use super::span::{Span, joined, without};
use super::{Rate, Venue};

impl Venue {
    /// For how many minutes of `span` each of its units is open: hours and exceptions, less blackouts.
    #[must_use]
    pub fn open_minutes(&self, span: &Span) -> i64 {
        let open = self.open(*span);
        let minutes = open
            .iter()
            .map(|it| it.within(span).end.duration_since(it.start).as_mins());
        minutes.sum()
    }

    /// When slots may be within `span`, as far as opening hours and blackouts are concerned: joined.
    pub(super) fn open(&self, span: Span) -> Vec<Span> {
        let closed = joined(self.blackouts().filter(|it| it.meets(&span)).collect());
        without(&self.opening(span), &closed)
    }

    pub(super) fn blackouts(&self) -> impl Iterator<Item = Span> {
        let blackouts = self.definition.blackouts.iter();
        blackouts.map(|blackout| Span::new(blackout.start, blackout.end))
    }

    /// The opening hours within `span`: joined.
    pub(super) fn opening(&self, span: Span) -> Vec<Span> {
        let of = &self.definition;
        if of.opening_hours.is_none() && of.exceptions.is_empty() {
            return joined(vec![span]);
        }
        let whole_day = [Hours {
            from: WallTime::default(),
            to: WallTime::end_of_day(),
        }];
        let opening = days(&self.zone, span).flat_map(|date| {
            let other = of.exceptions.iter().find(|it| it.date == date);
            let hours = match (other, &of.opening_hours) {
                (Some(other), _) => &other.hours,
                (None, Some(week)) => week.on(date.weekday().into()),
                (None, None) => &whole_day[..],
            };
            hours
                .iter()
                .map(|hours| on(&self.zone, date, *hours))
                .collect::<Vec<_>>()
        });
        joined(opening.map(|it| it.within(&span)).collect())
    }

    /// When a rate holds within `span`: joined.
    pub(super) fn rated(&self, rate: &Rate, span: Span) -> Vec<Span> {
        let dates = days(&self.zone, span).filter(|date| rate.is_on(Day::from(date.weekday())));
        let times = dates.map(|date| on(&self.zone, date, rate.hours()).within(&span));
        joined(times.collect())
    }
}

/// The dates whose hours may reach into `span`, which includes those of the evening before.
fn days(zone: &TimeZone, span: Span) -> impl Iterator<Item = Date> {
    let first = zone.to_datetime(span.start).date();
    let first = first.yesterday().unwrap_or(first);
    let last = zone.to_datetime(span.end).date();
    std::iter::successors(Some(first), |date| date.tomorrow().ok())
        .take_while(move |it| *it <= last)
}

/// Hours of the wall clock that begin on a date.
fn on(zone: &TimeZone, date: Date, hours: Hours) -> Span {
    let ends_on = if hours.to > hours.from {
        date
    } else {
        date.tomorrow().unwrap_or(date)
    };
    Span::new(
        reached(zone, date, hours.from),
        reached(zone, ends_on, hours.to),
    )
}

/// The first moment at which the clock shows this time of this date, or a later one.
pub(super) fn reached(zone: &TimeZone, date: Date, time: WallTime) -> Timestamp {
    let minutes = SignedDuration::from_mins(i64::from(time.minutes()));
    let shown = DateTime::from(date)
        .checked_add(minutes)
        .unwrap_or(DateTime::MAX);
    let ambiguous = zone.to_ambiguous_timestamp(shown);
    let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let Ok(earlier) = ambiguous.earlier() else {
        // The end of time itself: nothing is open behind it.
        return Timestamp::MAX;
    };
    if skipped {
        // `earlier` is before the clocks were set forward, and the time would have been after it.
        let set_forward = zone.following(earlier).next();
        return set_forward.map_or(earlier, |transition| transition.timestamp());
    }
    earlier
}
