//! Days as the read models keep them: numbers that read as dates and are ordered as they are.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Kind, Misfit, Value};

/// A day of the calendar, as a number: 20260501 is the first of May 2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i64);

impl Day {
    /// The day that this number stands for: what a column holds, or a link. It may be none of the calendar.
    #[must_use]
    pub const fn numbered(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Its date; nothing for a number that is no day of the calendar.
    #[must_use]
    pub fn date(self) -> Option<Date> {
        let year = i16::try_from(self.0 / 10_000).ok()?;
        let month = i8::try_from(self.0 / 100 % 100).ok()?;
        let day = i8::try_from(self.0 % 100).ok()?;
        Date::new(year, month, day).ok()
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        let (year, month, day) = (date.year(), date.month(), date.day());
        Self(i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day))
    }
}

impl Value for Day {
    const KIND: Kind = Kind::Number;

    fn to_cell(&self) -> Cell {
        Cell::Number(self.0)
    }

    fn from_cell(cell: Cell) -> Result<Self, Misfit> {
        i64::from_cell(cell).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_as_its_date_and_no_other_number_does() {
        for (number, date) in [
            (20_260_501, "2026-05-01"),
            (20_240_229, "2024-02-29"),
            (101, "0000-01-01"),
            (99_991_231, "9999-12-31"),
        ] {
            let date: Date = date.parse().unwrap();
            assert_eq!(Day::from(date).number(), number);
            assert_eq!(Day::numbered(number).date(), Some(date));
        }
        for none in [0, 20_260_230, 20_261_301, 20_260_500, i64::MAX, i64::MIN] {
            assert_eq!(Day::numbered(none).date(), None, "{none}");
        }
    }
}
