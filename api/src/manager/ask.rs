//! Reads what a manager asks for: strictly, and everything that is wrong at once.

use std::fmt::Write as _;

use domain::payment::{PaymentStatus, RefundStatus};
use domain::{Phase, Status, written};
use jiff::Timestamp;
use jiff::civil::Date;
use projections::{BoardFilter, Day, Place, SIZE_MAX};

use crate::client::Client;
use crate::hal::{Link, Links};
use crate::input::{Astray, Parameters, TEXT_CHARS_MAX, is_usable, pointer};
use crate::paging::escaped;
use crate::problem::{Invalid, Problem};

/// How many bookings a part has when nobody says.
const SIZE_DEFAULT: u64 = 100;
/// How many days a question may be about: a year.
const DAYS_MAX: i32 = 366;
/// The first time that a booking can have in a list: the year 0. The database knows few before it.
const TIME_MIN: Timestamp = Timestamp::constant(-62_167_219_200, 0);
/// Parameters that every question takes.
const ALWAYS: [&str; 1] = ["min_position"];
/// Parameters of a list.
const OF_LISTS: [&str; 2] = ["after", "size"];

/// A question on its way to typed values.
pub(crate) struct Ask<'p> {
    parameters: &'p Parameters,
    filters: &'p [&'p str],
    errors: Vec<Invalid>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Behind this place.
    pub(crate) after: Option<Place>,
    /// At most so many.
    pub(crate) size: u64,
}

impl<'p> Ask<'p> {
    /// All that a list can be narrowed by.
    pub(crate) const FILTERS: &'static [&'static str] = &[
        "spacename",
        "userid",
        "phase",
        "status",
        "payment_status",
        "refund_status",
    ];

    /// A question for a list, that may have these parameters and be narrowed by these.
    pub(crate) fn of(parameters: &'p Parameters, own: &[&str], filters: &'p [&'p str]) -> Self {
        Self::knowing(parameters, &[own, &OF_LISTS].concat(), filters)
    }

    /// A question for numbers, which have no parts.
    pub(crate) fn for_numbers(
        parameters: &'p Parameters,
        own: &[&str],
        filters: &'p [&'p str],
    ) -> Self {
        Self::knowing(parameters, own, filters)
    }

    fn knowing(parameters: &'p Parameters, own: &[&str], filters: &'p [&'p str]) -> Self {
        let mut ask = Self {
            parameters,
            filters,
            errors: vec![],
        };
        let known = [own, filters, &ALWAYS].concat();
        for (name, astray) in parameters.astray(&known) {
            match astray {
                Astray::Unknown => {
                    let detail = format!("is not known here; there are {}", known.join(", "));
                    ask.refuse(name, "unknown-parameter", &detail);
                }
                Astray::Twice => ask.refuse(name, "twice", "must be given once"),
            }
        }
        if parameters.integer("min_position").is_err() {
            ask.refuse("min_position", "not-a-number", "must be a whole number");
        }
        ask
    }

    fn refuse(&mut self, name: &str, code: &'static str, detail: &str) {
        self.errors.push(Invalid {
            pointer: pointer(name),
            code,
            detail: detail.to_owned(),
        });
    }

    /// A parameter that must be there.
    pub(crate) fn must_say(&mut self, name: &str) {
        if self.parameters.get(name).is_none() {
            self.refuse(name, "required", "must be given");
        }
    }

    pub(crate) fn date(&mut self, name: &str) -> Option<Date> {
        let text = self.parameters.get(name)?;
        let date = written::date(text);
        if date.is_none() {
            self.refuse(name, "not-a-date", written::A_DATE);
        }
        date
    }

    /// `from` and `to`, both included.
    pub(crate) fn days(&mut self) -> (Date, Date) {
        self.must_say("from");
        self.must_say("to");
        let (from, to) = (self.date("from"), self.date("to"));
        let (Some(from), Some(to)) = (from, to) else {
            return (Date::ZERO, Date::ZERO);
        };
        let days = from.until(to).map_or(i32::MAX, |span| span.get_days());
        if days < 0 {
            self.refuse("to", "before-from", "must not be before from");
        } else if days >= DAYS_MAX {
            let detail = format!("must be at most {DAYS_MAX} days from from");
            self.refuse("to", "too-far", &detail);
        }
        (from, to)
    }

    /// A whole number between these, both included.
    pub(crate) fn number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        let number = self.parameters.get(name)?.parse().ok();
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let detail = format!("must be a whole number from {min} to {max}");
            self.refuse(name, "not-a-number", &detail);
        }
        number
    }

    fn text(&mut self, name: &str) -> Option<String> {
        if !self.filters.contains(&name) {
            return None;
        }
        let text = self.parameters.get(name)?;
        if !is_usable(text) {
            let detail = format!(
                "must be a text of at most {TEXT_CHARS_MAX} characters, without control characters"
            );
            self.refuse(name, "not-a-text", &detail);
            return None;
        }
        Some(text.to_owned())
    }

    /// A text that must be one of these words.
    fn word(&mut self, name: &str, known: impl Iterator<Item = &'static str>) -> Option<String> {
        let text = self.text(name)?;
        let known: Vec<_> = known.collect();
        if !known.contains(&text.as_str()) {
            let detail = format!("must be one of {}", known.join(", "));
            self.refuse(name, "unknown-value", &detail);
        }
        Some(text)
    }

    pub(crate) fn filter(&mut self) -> BoardFilter {
        let has = |name| self.filters.contains(&name);
        let userid = if has("userid") {
            self.number("userid", i64::MIN, i64::MAX)
        } else {
            None
        };
        BoardFilter {
            spacename: self.text("spacename"),
            userid,
            phase: self.word("phase", Phase::ALL.iter().map(|it| it.as_str())),
            status: self.word("status", of_mypage()),
            payment_status: self.word(
                "payment_status",
                PaymentStatus::ALL.iter().map(|it| it.as_str()),
            ),
            refund_status: self.word(
                "refund_status",
                RefundStatus::ALL.iter().map(|it| it.as_str()),
            ),
        }
    }

    pub(crate) fn part(&mut self) -> Part {
        let size = self.size();
        let after = self.parameters.get("after").map(place);
        if after == Some(None) {
            let detail = "must be what the link to the next part says";
            self.refuse("after", "not-a-place", detail);
        }
        Part {
            after: after.flatten(),
            size,
        }
    }

    /// How many of a list.
    pub(crate) fn size(&mut self) -> u64 {
        let max = i64::try_from(SIZE_MAX).unwrap_or(i64::MAX);
        let size = self.number("size", 1, max);
        size.and_then(|size| u64::try_from(size).ok())
            .unwrap_or(SIZE_DEFAULT)
    }

    /// The end of reading: everything that was refused, if anything was.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::Invalid(self.errors))
        }
    }
}

/// The words of My Page's status. It has one of its own for what the other resources call `success-register`.
fn of_mypage() -> impl Iterator<Item = &'static str> {
    let statuses = Status::ALL.iter();
    statuses
        .filter(|status| **status != Status::SuccessRegister)
        .map(|status| status.as_str())
}

/// A place as it stands in a link: day, microseconds and booking.
fn place(text: &str) -> Option<Place> {
    let mut numbers = text.split('.').map(str::parse::<i64>);
    let mut number = || numbers.next()?.ok();
    let (day, at, bookid) = (number()?, number()?, number()?);
    let at = Timestamp::from_microsecond(at)
        .ok()
        .filter(|at| *at >= TIME_MIN)?;
    let day = Day::numbered(day);
    numbers
        .next()
        .is_none()
        .then_some(Place { day, at, bookid })
}

/// The links of a part: to itself, and to the next one, where there is one.
pub(crate) fn links(
    client: &Client,
    path: &str,
    parameters: &Parameters,
    next: Option<Place>,
) -> Links {
    let mut links = vec![("self", link(client, path, parameters, &[], &[]))];
    if let Some(Place { day, at, bookid }) = next {
        let after = format!("{}.{}.{bookid}", day.number(), at.as_microsecond());
        let with = [("after", after.as_str())];
        links.push((
            "next",
            link(client, path, parameters, &["min_position"], &with),
        ));
    }
    Links(links)
}

/// The address of `path` with the parameters that were given, without some of them, and with some instead.
pub(crate) fn link(
    client: &Client,
    path: &str,
    parameters: &Parameters,
    without: &[&str],
    with: &[(&str, &str)],
) -> Link {
    let given = parameters.pairs().filter(|(name, value)| {
        let replaced = with.iter().any(|(other, _)| other == name);
        !value.is_empty() && !replaced && !without.contains(name)
    });
    let mut address = path.to_owned();
    for ((name, value), mark) in given
        .chain(with.iter().copied())
        .zip(std::iter::once('?').chain(std::iter::repeat('&')))
    {
        // Writing to a string cannot fail.
        let _ = write!(address, "{mark}{}={}", escaped(name), escaped(value));
    }
    Link::to(client.address(&address))
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
