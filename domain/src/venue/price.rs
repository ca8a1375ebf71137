//! What a slot costs.
//!
//! A slot is cut where its rate changes. Each part costs its rate for the time that really passes in it, rounded half
//! up to a whole minor unit; the price is the sum of the parts, so that an invoice adds up. A slot within one rate is
//! rounded once.

use jiff::Timestamp;

use super::Venue;
use super::span::{Span, without};
use crate::terms::Slot;
use crate::value::Money;

/// Nanoseconds of an hour.
const HOUR: i128 = 3_600_000_000_000;

/// A price and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Its parts, in order of time.
    pub lines: Vec<Line>,
    /// Their sum.
    pub total: Money,
}

/// A part of a slot at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its first moment.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
    /// What an hour costs.
    pub per_hour: Money,
    /// What this part costs.
    pub amount: Money,
}

impl Venue {
    /// What a slot costs.
    #[must_use]
    pub fn price(&self, slot: &Slot) -> Price {
        let of = &self.definition;
        let span = Span::new(slot.start, slot.end);
        // The first rate that fits counts: each takes its time of what those before it left.
        let (mut left, mut parts) = (vec![span], Vec::new());
        for rate in &of.rates {
            let rest = without(&left, &self.rated(rate, span));
            let its_own = without(&left, &rest);
            parts.extend(its_own.into_iter().map(|part| (part, rate.price_per_hour)));
            left = rest;
        }
        parts.extend(left.into_iter().map(|part| (part, of.price_per_hour)));
        parts.sort_unstable_by_key(|(part, _)| *part);
        let mut lines: Vec<Line> = Vec::new();
        for (Span { start, end }, per_hour) in parts {
            match lines.last_mut() {
                Some(last) if last.per_hour == per_hour => last.end = end,
                _ => lines.push(Line {
                    start,
                    end,
                    per_hour,
                    amount: per_hour,
                }),
            }
        }
        let mut total = of.price_per_hour.with_minor(0);
        for line in &mut lines {
            line.amount = for_the_time(line.per_hour, line.start, line.end);
            total.minor = total.minor.saturating_add(line.amount.minor);
        }
        Price { lines, total }
    }
}

/// What this time costs at so much an hour, rounded half up.
fn for_the_time(per_hour: Money, start: Timestamp, end: Timestamp) -> Money {
    let time = end.duration_since(start).as_nanos();
    let minor = (i128::from(per_hour.minor) * time * 2 + HOUR) / (HOUR * 2);
    per_hour.with_minor(i64::try_from(minor).unwrap_or(i64::MAX))
}
