//! A circuit breaker as a plain state machine: time is an argument, nothing is locked, nothing is called.
//!
//! Closed, it counts calls in ten buckets of time that together are the window, so a call costs the same
//! however many there were. Enough failures open it; after a while it lets one probe through, whose result
//! closes or opens it again. What was admitted before the last change of state says nothing any more: a
//! ticket carries the period it was drawn in. Wall clocks jump; a jump never keeps the breaker open longer
//! than its settings say.

use jiff::Timestamp;

use crate::settings::BreakerSettings;

/// Into how many buckets the window is divided; the oldest one is forgotten as a whole.
const BUCKETS: usize = 10;

/// Whether calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// All are.
    Closed,
    /// None is.
    Open,
    /// One is, to see how things are.
    HalfOpen,
}

impl Position {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How an admitted call ended, as far as the breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered.
    Answered,
    /// It was not, or not in time.
    Failed,
    /// It was never made.
    Withdrawn,
}

impl Verdict {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The right to make one call. It is given back with a verdict.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    period: u64,
}

/// The breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// The calls that were counted since it closed.
    window: Window,
    /// Counts changes of state.
    period: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: Timestamp },
    HalfOpen { probing: bool },
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            state: State::Closed,
            window: Window::new(settings.window_ms),
            settings,
            period: 0,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        match self.state {
            State::Closed => Position::Closed,
            State::Open { .. } => Position::Open,
            State::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    /// Whether a call would be admitted now; changes nothing.
    #[must_use]
    pub fn would_admit(&self, now: Timestamp) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { since } => self.has_rested(since, now),
            State::HalfOpen { probing } => !probing,
        }
    }

    /// Admits a call, or refuses it; a refusal is not counted.
    pub fn admit(&mut self, now: Timestamp) -> Option<Ticket> {
        if !self.would_admit(now) {
            return None;
        }
        match self.state {
            State::Closed => {}
            State::Open { .. } => self.change(State::HalfOpen { probing: true }),
            State::HalfOpen { .. } => self.state = State::HalfOpen { probing: true },
        }
        Some(Ticket {
            period: self.period,
        })
    }

    /// Takes a ticket back.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub fn end(&mut self, ticket: Ticket, verdict: Verdict, now: Timestamp) {
        if ticket.period != self.period {
            return;
        }
        match (self.state, verdict) {
            (State::Closed, Verdict::Withdrawn) | (State::Open { .. }, _) => {}
            (State::Closed, Verdict::Answered | Verdict::Failed) => {
                self.window.count(now, verdict == Verdict::Failed);
                if self.window.is_bad(now, &self.settings) {
                    self.change(State::Open { since: now });
                }
            }
            (State::HalfOpen { .. }, Verdict::Withdrawn) => {
                self.state = State::HalfOpen { probing: false };
            }
            (State::HalfOpen { .. }, Verdict::Failed) => self.change(State::Open { since: now }),
            (State::HalfOpen { .. }, Verdict::Answered) => {
                self.window = Window::new(self.settings.window_ms);
                self.change(State::Closed);
            }
        }
    }

    /// Another state begins: tickets of before say nothing any more.
    fn change(&mut self, state: State) {
        self.state = state;
        self.period += 1;
    }

    fn has_rested(&self, since: Timestamp, now: Timestamp) -> bool {
        let open_ms = i64::try_from(self.settings.open_ms).unwrap_or(i64::MAX);
        // A clock that was put back has no idea how long it was; then it was long enough.
        !(0..open_ms).contains(&(now.as_millisecond() - since.as_millisecond()))
    }
}

/// The calls of the last while.
#[derive(Debug)]
struct Window {
    bucket_ms: i64,
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which stretch of time, counted from the epoch.
    number: i64,
    calls: u64,
    failures: u64,
}

impl Window {
    fn new(window_ms: u64) -> Self {
        let buckets = u64::try_from(BUCKETS).unwrap_or(1);
        let bucket_ms = i64::try_from(window_ms / buckets).unwrap_or(i64::MAX);
        Self {
            bucket_ms: bucket_ms.max(1),
            buckets: [Bucket::default(); BUCKETS],
        }
    }

    fn number(&self, now: Timestamp) -> i64 {
        now.as_millisecond().div_euclid(self.bucket_ms)
    }

    fn count(&mut self, now: Timestamp, failed: bool) {
        let number = self.number(now);
        // The oldest one makes room; after a jump of the clock, one that is not of this window.
        let oldest = |bucket: &&mut Bucket| (bucket.number <= number, bucket.number);
        let place = match self.buckets.iter().position(|b| b.number == number) {
            Some(place) => self.buckets.get_mut(place),
            None => self.buckets.iter_mut().min_by_key(oldest),
        };
        if let Some(bucket) = place {
            if bucket.number != number {
                *bucket = Bucket {
                    number,
                    ..Bucket::default()
                };
            }
            bucket.calls += 1;
            bucket.failures += u64::from(failed);
        }
    }

    fn is_bad(&self, now: Timestamp, settings: &BreakerSettings) -> bool {
        let last = self.number(now);
        let first = last - i64::try_from(BUCKETS).unwrap_or(1) + 1;
        let (mut calls, mut failures) = (0, 0);
        for bucket in &self.buckets {
            if (first..=last).contains(&bucket.number) {
                calls += bucket.calls;
                failures += bucket.failures;
            }
        }
        calls >= u64::from(settings.min_calls)
            && failures * 100 >= calls * u64::from(settings.error_pct)
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
