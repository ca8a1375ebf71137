//! Values that cannot be wrong once they exist: ids and money.
//!
//! Money is an integer of minor units with its currency; no float can enter. Ids are newtypes over the
//! numbers that the seed's clients see.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A booking's number, counted from 1. Its payment and its registration carry the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookId(pub i64);

impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A customer's number, as the client gave it. The seed accepts bookings without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// ISO 4217 currencies that prices may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Currency {
    /// South Korean won: no minor unit, so 10000 is ten thousand won.
    #[default]
    KRW,
    /// US dollar: two decimals, so 10000 is a hundred dollars.
    USD,
    /// Euro: two decimals.
    EUR,
    /// Japanese yen: no minor unit.
    JPY,
}

impl Currency {
    /// The ISO 4217 code, as it is sent and stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KRW => "KRW",
            Self::USD => "USD",
            Self::EUR => "EUR",
            Self::JPY => "JPY",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in minor units of its currency.
///
/// In events and JSON it stands as two flat fields, `amount` and `currency`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; zero or more on everything that a customer pays.
    #[serde(rename = "amount")]
    pub minor: i64,
    /// Which currency the units are of.
    pub currency: Currency,
}

impl Money {
    /// `minor` units of Korean won.
    #[must_use]
    pub const fn krw(minor: i64) -> Self {
        Self {
            minor,
            currency: Currency::KRW,
        }
    }

    /// The same currency with another number of minor units.
    #[must_use]
    pub const fn with_minor(self, minor: i64) -> Self {
        Self {
            minor,
            currency: self.currency,
        }
    }
}

/// The highest price of a booking, in minor units; what time past its end costs is at most as much again. So the money
/// of [`BOOKINGS_ADDED_UP`] bookings can be added up, by day, by venue and as somebody's points.
pub const PRICE_MAX: i64 = 40_000_000_000;
/// Of how many bookings at least sums are held.
pub const BOOKINGS_ADDED_UP: i64 = 100_000_000;
const _: () = assert!(PRICE_MAX.checked_mul(2 * BOOKINGS_ADDED_UP).is_some());

/// Basis points: hundredths of a percent. 100 is one percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// The part of `amount` that these basis points are, rounded down.
    #[must_use]
    pub fn floor_of(self, amount: i64) -> i64 {
        let whole = i128::from(amount) * i128::from(self.0) / 10_000;
        // At most u16::MAX / 10_000 of an i64: clamp instead of wrapping at the very end of the range.
        i64::try_from(whole).unwrap_or(i64::MAX)
    }
}

/// `whole * part / of`, rounded half up, for amounts that are zero or more. Zero when `of` is zero.
#[must_use]
pub fn proportion(whole: i64, part: i64, of: i64) -> i64 {
    if of <= 0 {
        return 0;
    }
    let (whole, part, of) = (i128::from(whole), i128::from(part), i128::from(of));
    i64::try_from((whole * part * 2 + of) / (of * 2)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_floored() {
        assert_eq!(BasisPoints(100).floor_of(10_099), 100);
        assert_eq!(BasisPoints(100).floor_of(99), 0);
        assert_eq!(BasisPoints(u16::MAX).floor_of(i64::MAX), i64::MAX);
    }

    #[test]
    fn proportions_round_half_up_and_survive_the_whole_range() {
        assert_eq!(proportion(100, 1, 3), 33);
        assert_eq!(proportion(1, 1, 2), 1);
        assert_eq!(proportion(5, 0, 0), 0);
        assert_eq!(proportion(i64::MAX, i64::MAX, i64::MAX), i64::MAX);
    }

    #[test]
    fn money_stands_flat_in_json() {
        let json = serde_json::to_string(&Money::krw(15_000)).unwrap();
        assert_eq!(json, r#"{"amount":15000,"currency":"KRW"}"#);
    }
}
