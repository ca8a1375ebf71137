//! What is free, out of a list of what is taken. Nothing here is a promise: the append decides.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::Venue;
use super::span::{Span, around, joined, without};
use crate::terms::{Slot, earlier, later};

/// How many alternatives are named on each side of a slot that is taken.
const ALTERNATIVES_EACH_WAY: usize = 3;
/// How many points of the grid are tried for one alternative. A point can be wrong where the clocks are set: then the
/// end of a slot that begins on the grid is off it. A length that is no multiple of the grid fits nowhere else, and is not
/// looked for further.
const TRIES_MAX: usize = 8;
/// How many windows are tried for one alternative, the nearest first: one that is wrong for it is rare.
const WINDOWS_TRIED_MAX: usize = 100;

/// A unit that is taken for a while, buffers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which unit.
    pub unit: i64,
    /// Its first moment.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
}

/// A window in which a slot can be booked, all of it or a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// Its first moment.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
    /// How many units are free for all of it.
    pub units: usize,
}

/// Free windows in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The first ones.
    pub shown: Vec<Free>,
    /// Where those begin that are not shown.
    pub next: Option<Timestamp>,
}

impl Venue {
    /// The free windows of `span` for somebody who books at `now`: open, in reach, on the grid, long enough for
    /// `duration` (or for the shortest slot there is), and free on one unit for all of their time. Windows of
    /// different units may overlap; none lies within another. Ascending, `most` of them.
    #[must_use]
    pub fn free(
        &self,
        units: &[i64],
        taken: &[Taken],
        span: Span,
        duration: Option<SignedDuration>,
        now: Timestamp,
        most: usize,
    ) -> Windows {
        let by_unit = self.by_unit(units, taken, span.within(&self.in_reach(now)));
        let needed = self.needed(duration);
        // One more than is shown: where that begins, the rest does.
        let mut windows = self.widest(&by_unit, needed, most.saturating_add(1));
        let next = windows.get(most).map(|window| window.start);
        windows.truncate(most);
        let covers = |spans: &Vec<Span>, window: &Span| {
            around(spans, window.start).is_some_and(|span| span.covers(window))
        };
        let shown = windows.iter().map(|window| Free {
            start: window.start,
            end: window.end,
            units: by_unit.iter().filter(|it| covers(it, window)).count(),
        });
        Windows {
            shown: shown.collect(),
            next,
        }
    }

    /// How long a time must be free to be of use: so long, or for the shortest slot there is.
    #[must_use]
    pub fn needed(&self, duration: Option<SignedDuration>) -> SignedDuration {
        let shortest = SignedDuration::from_mins(i64::from(self.shortest()));
        duration.map_or(shortest, |duration| duration.max(shortest))
    }

    /// How long a time between two bookings of a unit must be to be of use: what it is wanted for, and the buffers
    /// around that.
    #[must_use]
    pub fn room(&self, duration: Option<SignedDuration>) -> SignedDuration {
        let of = &self.definition;
        let buffers = i64::from(of.buffer_before_minutes) + i64::from(of.buffer_after_minutes);
        self.needed(duration)
            .saturating_add(SignedDuration::from_mins(buffers))
    }

    /// When each unit is open and not taken: joined.
    fn by_unit(&self, units: &[i64], taken: &[Taken], span: Span) -> Vec<Vec<Span>> {
        if span.is_empty() {
            return Vec::new();
        }
        let open = self.open(span);
        let mut blocked: HashMap<i64, Vec<Span>> = HashMap::new();
        for taken in taken {
            let blocked = blocked.entry(taken.unit).or_default();
            blocked.push(self.blocks(taken));
        }
        units
            .iter()
            .map(|unit| without(&open, &joined(blocked.remove(unit).unwrap_or_default())))
            .collect()
    }

    /// The windows of all units that lie within no other one, on the grid and long enough: the first `most`. Both their
    /// starts and their ends ascend.
    fn widest(&self, by_unit: &[Vec<Span>], needed: SignedDuration, most: usize) -> Vec<Span> {
        let is_long = |span: &Span| span.end.duration_since(span.start) >= needed;
        // Units that are free at the same time are looked at once.
        let all: BTreeSet<_> = by_unit.iter().flatten().filter(|it| is_long(it)).collect();
        let mut widest: Vec<Span> = Vec::new();
        for span in all {
            let Some(span) = self.on_grid(*span).filter(is_long) else {
                continue;
            };
            let count = widest.len();
            match widest.last_mut() {
                Some(last) if last.end >= span.end => {}
                Some(last) if last.start == span.start => last.end = span.end,
                _ if count >= most => break,
                _ => widest.push(span),
            }
        }
        widest
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
        let by_unit = self.by_unit(units, taken, span.within(&self.in_reach(now)));
        let windows = self.widest(&by_unit, self.needed(Some(length)), usize::MAX);
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
        windows: &[Span],
        latest: Timestamp,
        length: SignedDuration,
        now: Timestamp,
    ) -> Option<Slot> {
        let (grid, nanosecond) = (self.grid(), SignedDuration::from_nanos(1));
        let in_window = |window: &Span| {
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
        let begun = windows.partition_point(|window| window.start <= latest);
        let near = windows.iter().take(begun).rev();
        near.take(WINDOWS_TRIED_MAX).find_map(in_window)
    }

    /// The free slot that begins first, at `earliest` or after.
    fn first_after(
        &self,
        windows: &[Span],
        earliest: Timestamp,
        length: SignedDuration,
        now: Timestamp,
    ) -> Option<Slot> {
        let (grid, nanosecond) = (self.grid(), SignedDuration::from_nanos(1));
        let in_window = |window: &Span| {
            let mut start = earliest.max(window.start);
            for _ in 0..TRIES_MAX {
                let slot = self.slot_at(grid.at_or_after(start)?, length)?;
                if !window.covers(&Span::new(slot.start, slot.end)) {
                    return None;
                }
                if self.check(&slot, now).is_ok() {
                    return Some(slot);
                }
                start = slot.start.checked_add(nanosecond).ok()?;
            }
            None
        };
        let over = windows.partition_point(|window| window.end <= earliest);
        let near = windows.iter().skip(over);
        near.take(WINDOWS_TRIED_MAX).find_map(in_window)
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
