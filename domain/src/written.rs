//! Times and dates as clients write them: RFC 3339, and nothing else that could be meant.

use jiff::Timestamp;
use jiff::civil::Date;

/// What must be written for a time, for those who are told.
pub const A_TIME: &str =
    "must be a time with its offset (RFC 3339), such as 2026-12-01T10:00:00+09:00";
/// What must be written for a date.
pub const A_DATE: &str = "must be a date such as 2026-12-25";

/// A time with its offset, `2026-12-01T10:00:00.5+09:00`. A leap second is none that can be kept.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let (day, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't'])?;
    date(day)?;
    let (shown, rest) = clock.split_at_checked(8)?;
    is_like(shown, "00:00:00").then_some(())?;
    let seconds: u8 = shown.get(6..)?.parse().ok()?;
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            fraction.get(digits..).filter(|_| digits > 0)?
        }
    };
    (seconds < 60 && is_offset(offset)).then_some(())?;
    text.parse().ok()
}

/// A date of the calendar, `2026-12-25`.
#[must_use]
pub fn date(text: &str) -> Option<Date> {
    is_like(text, "0000-00-00").then_some(())?;
    text.parse().ok()
}

/// `Z`, or less than a day in hours and minutes.
fn is_offset(text: &str) -> bool {
    if matches!(text, "Z" | "z") {
        return true;
    }
    let Some(hours) = text.strip_prefix(['+', '-']) else {
        return false;
    };
    let number = |digits: Option<&str>| digits.and_then(|it| it.parse::<u8>().ok());
    is_like(hours, "00:00")
        && number(hours.get(..2)).is_some_and(|hours| hours < 24)
        && number(hours.get(3..)).is_some_and(|minutes| minutes < 60)
}

/// Whether a text has a digit wherever `pattern` has one, and otherwise the same.
fn is_like(text: &str, pattern: &str) -> bool {
    let alike = |(one, other): (u8, u8)| {
        if other.is_ascii_digit() {
            one.is_ascii_digit()
        } else {
            one == other
        }
    };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_says() {
        for (text, read) in [
            ("2026-12-01T10:00:00Z", "2026-12-01T10:00:00Z"),
            ("2026-12-01t10:00:00z", "2026-12-01T10:00:00Z"),
            ("2026-12-01T10:00:00+09:00", "2026-12-01T01:00:00Z"),
            ("2026-12-01T10:00:00-00:30", "2026-12-01T10:30:00Z"),
            ("2026-12-01T10:00:00.25+09:00", "2026-12-01T01:00:00.25Z"),
            ("2024-02-29T23:59:59+23:59", "2024-02-29T00:00:59Z"),
        ] {
            assert_eq!(time(text).unwrap().to_string(), read, "{text}");
        }
        for text in [
            "",
            "2026-12-01",
            "2026-12-01T10:00:00",
            "2026-12-01T10:00Z",
            "2026-12-01 10:00:00Z",
            "2026-12-01T10:00:00+25:00",
            "2026-12-01T10:00:00+24:00",
            "2026-12-01T10:00:00+09:60",
            "2026-12-01T10:00:00+09",
            "2026-12-01T10:00:00+0900",
            "20261201T100000+0900",
            "2026-12-01T23+09",
            "2026-12-01T10:00:00+09:00[Europe/Berlin]",
            "2026-12-01T10:00:60Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T10:00:00.Z",
            "2026-12-01T10:00:00,5Z",
            "2026-02-30T10:00:00Z",
            "-000005-12-25T10:00:00Z",
            "+002026-12-01T10:00:00Z",
            "2026-12-01T10:00:00Z ",
            "2026-12-01T10:00:0éZ",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_ten_characters() {
        assert_eq!(date("2026-12-25").unwrap().to_string(), "2026-12-25");
        for text in [
            "",
            "2026-12-25T10:00",
            "-000005-12-25",
            "20261225",
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
