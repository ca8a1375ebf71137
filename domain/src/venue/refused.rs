//! Why a slot cannot be booked at a venue; each says what could.

use jiff::Timestamp;

use crate::value::{Money, PRICE_MAX};

/// Why a slot cannot be booked, and what could be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ends before it begins.
    #[error("the end must be later than the start")]
    Backwards,
    /// Its times have more digits than can be kept.
    #[error("times are kept to the microsecond; this one has more digits")]
    TooFine,
    /// It begins off the grid.
    #[error(
        "a booking begins at a multiple of {minutes} minutes of the clock there, {}",
        next_to(*before, *after)
    )]
    StartOffGrid {
        /// The grid's step.
        minutes: u32,
        /// The last possible start before it.
        before: Option<Timestamp>,
        /// The first possible one after it.
        after: Option<Timestamp>,
    },
    /// It ends off the grid.
    #[error(
        "a booking ends at a multiple of {minutes} minutes of the clock there, {}",
        next_to(*before, *after)
    )]
    EndOffGrid {
        /// The grid's step.
        minutes: u32,
        /// The last possible end before it.
        before: Option<Timestamp>,
        /// The first possible one after it.
        after: Option<Timestamp>,
    },
    /// It is shorter than a booking may be.
    #[error("a booking takes at least {minutes} {}", if *minutes == 1 { "minute" } else { "minutes" })]
    TooShort {
        /// How long it must be.
        minutes: u32,
    },
    /// It is longer than a booking may be.
    #[error("a booking takes at most {minutes} minutes")]
    TooLong {
        /// How long it may be.
        minutes: u32,
    },
    /// It begins too soon, or in the past.
    #[error("a booking that is made now begins at {earliest} or later")]
    TooSoon {
        /// When it could begin.
        earliest: Timestamp,
    },
    /// It ends too far ahead.
    #[error("a booking that is made now ends at {latest} or earlier")]
    TooFarAhead {
        /// When it must be over.
        latest: Timestamp,
    },
    /// The venue is closed for some of it.
    #[error("the venue is not open for all of it{}", times(open))]
    Closed {
        /// When it is open: from a day before to a day after.
        open: Vec<super::Span>,
    },
    /// Nothing can be booked for some of it.
    #[error(
        "nothing can be booked from {start} to {end}{}",
        reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    BlackedOut {
        /// Its first moment.
        start: Timestamp,
        /// Up to, not including.
        end: Timestamp,
        /// What the venue says of it.
        reason: Option<String>,
    },
    /// It costs more than a booking may.
    #[error(
        "it would cost {} {}; a booking costs at most {PRICE_MAX}",
        price.minor,
        price.currency
    )]
    TooDear {
        /// What it would cost.
        price: Money,
    },
}

impl Refused {
    /// Its name, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Backwards => "end-not-after-start",
            Self::TooFine => "too-fine",
            Self::StartOffGrid { .. } | Self::EndOffGrid { .. } => "off-grid",
            Self::TooShort { .. } => "too-short",
            Self::TooLong { .. } => "too-long",
            Self::TooSoon { .. } => "too-soon",
            Self::TooFarAhead { .. } => "too-far-ahead",
            Self::Closed { .. } => "venue-closed",
            Self::BlackedOut { .. } => "blacked-out",
            Self::TooDear { .. } => "price-out-of-range",
        }
    }

    /// Which of the two times it is about: `start` or `end`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::StartOffGrid { .. }
            | Self::TooSoon { .. }
            | Self::TooFine
            | Self::Closed { .. }
            | Self::BlackedOut { .. } => "start",
            Self::Backwards
            | Self::EndOffGrid { .. }
            | Self::TooShort { .. }
            | Self::TooLong { .. }
            | Self::TooFarAhead { .. }
            | Self::TooDear { .. } => "end",
        }
    }
}

fn next_to(before: Option<Timestamp>, after: Option<Timestamp>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("such as {before} or {after}"),
        (Some(only), None) | (None, Some(only)) => format!("such as {only}"),
        (None, None) => "and this is none".to_owned(),
    }
}

fn times(open: &[super::Span]) -> String {
    if open.is_empty() {
        return ", nor at any time from a day before it to a day after it".to_owned();
    }
    let times = open
        .iter()
        .map(|span| format!("from {} to {}", span.start, span.end));
    format!(
        "; around it, it is open {}",
        times.collect::<Vec<_>>().join(", ")
    )
}
