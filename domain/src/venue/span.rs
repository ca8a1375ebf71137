//! Spans of time, and what can be done with sorted lists of them.

use jiff::Timestamp;

/// From `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first moment.
    pub start: Timestamp,
    /// Up to, not including.
    pub end: Timestamp,
}

impl Span {
    /// From `start` up to `end`.
    #[must_use]
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether there is no time in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether they share some time.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// What of it is in `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// The same time in ascending order, with what touches joined.
pub(super) fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What of `spans` is not in `holes`; both joined.
pub(super) fn without(spans: &[Span], holes: &[Span]) -> Vec<Span> {
    let mut left = Vec::with_capacity(spans.len());
    let mut first = 0;
    for span in spans {
        // Holes that end before this span end before all later ones.
        while holes.get(first).is_some_and(|hole| hole.end <= span.start) {
            first += 1;
        }
        let mut start = span.start;
        for hole in holes[first..]
            .iter()
            .take_while(|hole| hole.start < span.end)
        {
            left.push(Span::new(start, hole.start));
            start = start.max(hole.end);
        }
        left.push(Span::new(start, span.end));
    }
    left.retain(|span| !span.is_empty());
    left
}

/// The one of these joined spans that `moment` is in.
pub(super) fn around(spans: &[Span], moment: Timestamp) -> Option<&Span> {
    let behind = spans.partition_point(|span| span.start <= moment);
    spans[..behind].last().filter(|span| moment < span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(of: &[(i64, i64)]) -> Vec<Span> {
        let at = |second| Timestamp::from_second(second).unwrap();
        of.iter()
            .map(|(start, end)| Span::new(at(*start), at(*end)))
            .collect()
    }

    #[test]
    fn what_touches_is_joined() {
        let all = spans(&[(5, 6), (1, 2), (2, 3), (9, 9), (1, 3), (8, 7)]);
        assert_eq!(joined(all), spans(&[(1, 3), (5, 6)]));
    }

    #[test]
    fn holes_are_cut_out() {
        let day = spans(&[(0, 10), (20, 30)]);
        for (holes, left) in [
            (spans(&[]), spans(&[(0, 10), (20, 30)])),
            (
                spans(&[(2, 3), (5, 25)]),
                spans(&[(0, 2), (3, 5), (25, 30)]),
            ),
            (spans(&[(0, 10)]), spans(&[(20, 30)])),
            (spans(&[(12, 15)]), spans(&[(0, 10), (20, 30)])),
            (spans(&[(-5, 40)]), spans(&[])),
        ] {
            assert_eq!(without(&day, &holes), left);
        }
    }

    #[test]
    fn a_moment_is_in_one_span() {
        let day = spans(&[(0, 10), (20, 30)]);
        let at = |second| around(&day, Timestamp::from_second(second).unwrap());
        assert_eq!(at(0), Some(&day[0]));
        assert_eq!(at(10), None);
        assert_eq!(at(29), Some(&day[1]));
        assert_eq!(at(-1), None);
    }
}
