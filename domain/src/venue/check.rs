//! Whether a slot may be booked, as far as the venue's own rules go. Whether it is free is another matter.

use jiff::{SignedDuration, Timestamp};

use super::grid::Grid;
use super::refused::Refused;
use super::span::Span;
use super::{SLOT_MINUTES_MAX, SLOT_MINUTES_MIN, Venue};
use crate::terms::{Slot, later};

/// How many times of being open are told to somebody who wished for another one.
const OPEN_TOLD_MAX: usize = 6;

impl Venue {
    /// Checks a slot that somebody wants to book at `now`.
    ///
    /// # Errors
    /// Every rule that stands against it.
    pub fn check(&self, slot: &Slot, now: Timestamp) -> Result<(), Vec<Refused>> {
        if slot.end <= slot.start {
            return Err(vec![Refused::Backwards]);
        }
        if [slot.start, slot.end]
            .iter()
            .any(|it| it.subsec_nanosecond() % 1_000 != 0)
        {
            return Err(vec![Refused::TooFine]);
        }
        let span = Span::new(slot.start, slot.end);
        let mut refused = Vec::new();
        refused.extend(self.length(span));
        refused.extend(self.notice(span, now));
        refused.extend(self.off_grid(span));
        // How long is open is not asked of a slot of a hundred years.
        if !refused
            .iter()
            .any(|it| matches!(it, Refused::TooLong { .. }))
        {
            refused.extend(self.closed(span));
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(refused)
        }
    }

    pub(super) fn grid(&self) -> Grid<'_> {
        Grid {
            zone: &self.zone,
            minutes: self.definition.granularity_minutes,
        }
    }

    /// When slots may be at all that are booked at `now`.
    #[must_use]
    pub fn in_reach(&self, now: Timestamp) -> Span {
        let of = &self.definition;
        let latest = of.max_notice_minutes.map(|minutes| later(now, minutes));
        Span::new(
            later(now, of.min_notice_minutes),
            latest.unwrap_or(Timestamp::MAX),
        )
    }

    /// How long a slot is at least, in minutes: what is shorter could cost nothing and keep others away.
    pub(super) fn shortest(&self) -> u32 {
        let said = self.definition.min_duration_minutes;
        said.unwrap_or(SLOT_MINUTES_MIN).max(SLOT_MINUTES_MIN)
    }

    fn length(&self, span: Span) -> Option<Refused> {
        let of = &self.definition;
        let (length, of_minutes) = (span.end.duration_since(span.start), |minutes| {
            SignedDuration::from_mins(i64::from(minutes))
        });
        let shortest = self.shortest();
        let longest = of.max_duration_minutes.unwrap_or(SLOT_MINUTES_MAX);
        if length < of_minutes(shortest) {
            return Some(Refused::TooShort { minutes: shortest });
        }
        (length > of_minutes(longest)).then_some(Refused::TooLong { minutes: longest })
    }

    fn notice(&self, span: Span, now: Timestamp) -> impl Iterator<Item = Refused> {
        let reach = self.in_reach(now);
        let (earliest, latest) = (reach.start, reach.end);
        // A time that is named can be booked: it is on the grid, or a whole minute of the clock there.
        let to_say = Grid {
            minutes: self.definition.granularity_minutes.or(Some(1)),
            ..self.grid()
        };
        let too_soon = span.start < earliest;
        let too_far = span.end > latest;
        [
            too_soon.then(|| Refused::TooSoon {
                earliest: to_say.at_or_after(earliest).unwrap_or(earliest),
            }),
            too_far.then(|| Refused::TooFarAhead {
                latest: to_say.at_or_before(latest).unwrap_or(latest),
            }),
        ]
        .into_iter()
        .flatten()
    }

    fn off_grid(&self, span: Span) -> Vec<Refused> {
        let grid = self.grid();
        let Some(minutes) = grid.minutes else {
            return Vec::new();
        };
        let around = |moment| (grid.at_or_before(moment), grid.at_or_after(moment));
        let mut refused = Vec::new();
        if !grid.has(span.start) {
            let (before, after) = around(span.start);
            refused.push(Refused::StartOffGrid {
                minutes,
                before,
                after,
            });
        }
        if !grid.has(span.end) {
            let (before, after) = around(span.end);
            refused.push(Refused::EndOffGrid {
                minutes,
                before,
                after,
            });
        }
        refused
    }

    fn closed(&self, span: Span) -> Vec<Refused> {
        let mut refused = Vec::new();
        let a_day = 24 * 60;
        let around = Span::new(
            crate::terms::earlier(span.start, a_day),
            later(span.end, a_day),
        );
        let mut open = self.opening(around);
        if !open.iter().any(|it| it.covers(&span)) {
            open.truncate(OPEN_TOLD_MAX);
            refused.push(Refused::Closed { open });
        }
        let blackouts = self.definition.blackouts.iter();
        let met = blackouts.filter(|it| Span::new(it.start, it.end).meets(&span));
        refused.extend(met.map(|blackout| Refused::BlackedOut {
            start: blackout.start,
            end: blackout.end,
            reason: blackout.reason.clone(),
        }));
        refused
    }
}
