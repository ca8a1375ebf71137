//! What is free, out of a list of what is taken. Nothing here is a promise: the append decides.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::Venue;
use super::span::{Span, around, joined, without};
use crate::terms::{Slot, earlier, later};

/// How many alternatives are named on each side of a slot that is taken.
const ALTERNATIVES_EACH_WAY: usize = 3;
/// How many points of the grid are tried for one alternative. A point can be wrong where the clocks are set: then the
/// end of a slot that begins on the grid is off it.
const TRIES_MAX: usize = 8;

/// A unit that is taken for a while, buffers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which unit.
    pub unit: i64,
    /// From.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
}

/// A window in which a slot can be booked, all of it or a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// From.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
    /// How many units are free for all of it.
    pub units: usize,
}

impl Free {
    fn span(&self) -> Span {
        Span::new(self.start, self.end)
    }
}

impl Venue {
    /// The free windows of `span` for somebody who books at `now`: open, in reach, on the grid, long enough for
    /// `duration` (or for the shortest slot there is), and free on one unit for all of their time. Windows of
    /// different units may overlap; none lies within another. Ascending.
    #[must_use]
    pub fn free(
        &self,
        units: &[i64],
        taken: &[Taken],
        span: Span,
        duration: Option<SignedDuration>,
        now: Timestamp,
    ) -> Vec<Free> {
        let span = span.within(&self.in_reach(now));
        if span.is_empty() {
            return Vec::new();
        }
        let open = self.open(span);
        let needed = duration.unwrap_or_else(|| {
            let shortest = self.definition.min_duration_minutes.unwrap_or(0);
            SignedDuration::from_mins(i64::from(shortest))
        });
        let mut blocked: HashMap<i64, Vec<Span>> = HashMap::new();
        for taken in taken {
            blocked
                .entry(taken.unit)
                .or_default()
                .push(self.blocks(taken));
        }
        let by_unit: Vec<Vec<Span>> = units
            .iter()
            .map(|unit| {
                let blocked = joined(blocked.remove(unit).unwrap_or_default());
                let free = without(&open, &blocked);
                let on_grid = free.into_iter().filter_map(|span| self.on_grid(span));
                on_grid
                    .filter(|span| span.end.duration_since(span.start) >= needed)
                    .collect()
            })
            .collect();
        let mut widest: Vec<Span> = Vec::new();
        // Of those that begin together the longest comes first.
        let all: BTreeSet<_> = by_unit
            .iter()
            .flatten()
            .map(|span| (span.start, std::cmp::Reverse(span.end)))
            .collect();
        for (start, std::cmp::Reverse(end)) in all {
            if widest.last().is_none_or(|last| last.end < end) {
                widest.push(Span::new(start, end));
            }
        }
        let covers = |spans: &Vec<Span>, window: &Span| {
            around(spans, window.start).is_some_and(|span| span.covers(window))
        };
        widest
            .iter()
            .map(|window| Free {
                start: window.start,
                end: window.end,
                units: by_unit.iter().filter(|it| covers(it, window)).count(),
            })
            .collect()
    }

    /// The nearest slots as long as `wish` that are free: a few before it, a few after it, none of which overlap, in
    /// order of time. `span` is how far they are looked for; `taken` must hold all that is taken in it.
    #[must_use]
    pub fn alternatives(
        &self,
        units: &[i64],
        taken: &[Taken],
        span: Span,
        wish: &Slot,
        now: Timestamp,
    ) -> Vec<Slot> {
        let length = wish.end.duration_since(wish.start);
        let windows = self.free(units, taken, span, Some(length), now);
        let mut before = Vec::new();
        let mut latest = earlier(wish.start, 1);
        while before.len() < ALTERNATIVES_EACH_WAY {
            let Some(slot) = self.last_before(&windows, latest, length, now) else {
                break;
            };
            before.push(slot);
            let Ok(next) = slot.start.checked_sub(length) else {
                break;
            };
            latest = next;
        }
        let mut after = Vec::new();
        let mut earliest = later(wish.start, 1);
        while after.len() < ALTERNATIVES_EACH_WAY {
            let Some(slot) = self.first_after(&windows, earliest, length, now) else {
                break;
            };
            after.push(slot);
            earliest = slot.end;
        }
        before.into_iter().rev().chain(after).collect()
    }

    /// The free slot that begins last, at `latest` or before.
    fn last_before(
        &self,
        windows: &[Free],
        latest: Timestamp,
        length: SignedDuration,
        now: Timestamp,
    ) -> Option<Slot> {
        let (grid, nanosecond) = (self.grid(), SignedDuration::from_nanos(1));
        let in_window = |window: &Free| {
            let mut start = latest.min(window.end.checked_sub(length).ok()?);
            for _ in 0..TRIES_MAX {
                let slot = self.slot_at(grid.at_or_before(start)?, length)?;
                if slot.start < window.start {
                    return None;
                }
                if self.check(&slot, now).is_ok() {
                    return Some(slot);
                }
                start = slot.start.checked_sub(nanosecond).ok()?;
            }
            None
        };
        windows
            .iter()
            .filter_map(in_window)
            .max_by_key(|it| it.start)
    }

    /// The free slot that begins first, at `earliest` or after.
    fn first_after(
        &self,
        windows: &[Free],
        earliest: Timestamp,
        length: SignedDuration,
        now: Timestamp,
    ) -> Option<Slot> {
        let (grid, nanosecond) = (self.grid(), SignedDuration::from_nanos(1));
        let in_window = |window: &Free| {
            let mut start = earliest.max(window.start);
            for _ in 0..TRIES_MAX {
                let slot = self.slot_at(grid.at_or_after(start)?, length)?;
                if !window.span().covers(&Span::new(slot.start, slot.end)) {
                    return None;
                }
                if self.check(&slot, now).is_ok() {
                    return Some(slot);
                }
                start = slot.start.checked_add(nanosecond).ok()?;
            }
            None
        };
        windows
            .iter()
            .filter_map(in_window)
            .min_by_key(|it| it.start)
    }

    fn slot_at(&self, start: Timestamp, length: SignedDuration) -> Option<Slot> {
        Some(Slot::new(start, start.checked_add(length).ok()?))
    }

    /// What a taken unit keeps a slot from: its time, and the buffers that a slot beside it needs.
    fn blocks(&self, taken: &Taken) -> Span {
        Span::new(
            earlier(taken.start, self.definition.buffer_after_minutes),
            later(taken.end, self.definition.buffer_before_minutes),
        )
    }

    /// How far around `span` things that are taken matter to it.
    #[must_use]
    pub fn neighbourhood(&self, span: Span) -> Span {
        Span::new(
            earlier(span.start, self.definition.buffer_before_minutes),
            later(span.end, self.definition.buffer_after_minutes),
        )
    }

    /// What of a window begins and ends on the grid.
    fn on_grid(&self, span: Span) -> Option<Span> {
        let grid = self.grid();
        let start = grid.at_or_after(span.start)?;
        let end = grid.at_or_before(span.end)?;
        Some(Span::new(start, end)).filter(|span| !span.is_empty())
    }
}
