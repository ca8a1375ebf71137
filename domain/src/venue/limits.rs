//! What a definition may say: ranges, counts, and what must fit together. Everything that does not is found at once.

use std::ops::RangeInclusive;

use jiff::civil::Date;

use super::definition::{Definition, GRANULARITY_DAY, Hours, WallTime};
use super::read::Invalid;
use super::{SLOT_MINUTES_MAX, SLOT_MINUTES_MIN, zone};
use crate::terms::{Policy, Tier};
use crate::value::{Currency, Money};

/// How many characters a name or a reason may have.
const TEXT_CHARS_MAX: usize = 255;
/// What the tables of zones call a zone that is not known.
const ZONE_UNKNOWN: &str = "Etc/Unknown";
/// How many bookings a venue can take at a time.
const UNITS_MAX: u32 = 100;
/// What an hour may cost, in minor units. What a booking may cost is [`crate::value::PRICE_MAX`].
const PER_HOUR_MAX: i64 = 1_000_000_000;
/// How many rates a venue may have.
const RATES_MAX: usize = 100;
/// How many dates with hours of their own, and how many blackouts.
const DATES_MAX: usize = 366;
/// How often a venue may open on one day.
const HOURS_MAX: usize = 10;
/// How many steps a policy may have.
const TIERS_MAX: usize = 10;
/// Hundredths of a percent: all of it.
const POINTS_RATE_MAX: u32 = 10_000;
/// How long a buffer or a grace may be: a week.
const WEEK_MINUTES: u32 = 7 * 24 * 60;
/// How far ahead notice may look: ten years.
const NOTICE_MINUTES_MAX: u32 = 10 * SLOT_MINUTES_MAX;
/// How long a hold may last.
const HOLD_MINUTES_MAX: u32 = 120;

/// What a grid must do.
const DIVIDES_A_DAY: &str = "must divide a day: 5, 10, 15, 30, 60, 1440 and so on";

/// From how much to how much a number may be, by the pointer to it. A field means the same wherever it stands.
fn range(pointer: &str) -> Option<RangeInclusive<i64>> {
    let (least, most) = match pointer.rsplit('/').next()? {
        "amount" => return Some(0..=PER_HOUR_MAX),
        "units" => (1, UNITS_MAX),
        "points_rate" => (0, POINTS_RATE_MAX),
        "min_duration_minutes" | "max_duration_minutes" => (SLOT_MINUTES_MIN, SLOT_MINUTES_MAX),
        "min_notice_minutes" => (0, NOTICE_MINUTES_MAX),
        "max_notice_minutes" => (1, NOTICE_MINUTES_MAX),
        "buffer_before_minutes"
        | "buffer_after_minutes"
        | "no_show_grace_minutes"
        | "grace_minutes" => (0, WEEK_MINUTES),
        "hold_minutes" => (1, HOLD_MINUTES_MAX),
        "hours_before" => (0, SLOT_MINUTES_MAX / 60),
        "refund_percent" => (0, 100),
        _ => return None,
    };
    Some(i64::from(least)..=i64::from(most))
}

/// What to say where something stands that is no number, or none that could be read.
pub(super) fn a_number(pointer: &str) -> String {
    if pointer == "/granularity_minutes" {
        return DIVIDES_A_DAY.to_owned();
    }
    match range(pointer).map(RangeInclusive::into_inner) {
        Some((least, most)) => format!("must be a whole number from {least} to {most}"),
        None => "must be a whole number".to_owned(),
    }
}

impl Definition {
    /// Everything that it may not say.
    pub(super) fn invalid(&self) -> Vec<Invalid> {
        let mut found = Checks::default();
        self.check(&mut found);
        found.0
    }

    fn check(&self, found: &mut Checks) {
        found.text("/spacename", &self.spacename);
        found.name("/spacename", &self.spacename);
        if !is_a_zone(&self.timezone) {
            let detail = "must be the IANA name of a time zone, such as Asia/Seoul";
            found.add("/timezone", "no-such-timezone", detail);
        }
        found.number("/units", self.units);
        self.check_prices(found);
        self.check_times(found);
        self.check_rules(found);
        check_policy(&self.cancellation, found);
    }

    fn check_prices(&self, found: &mut Checks) {
        let currency = self.price_per_hour.currency;
        found.price("/price_per_hour", self.price_per_hour, currency);
        found.price("/overtime_per_hour", self.overtime_per_hour, currency);
        found.count("/rates", self.rates.len(), RATES_MAX);
        for (place, rate) in self.rates.iter().enumerate() {
            let pointer = format!("/rates/{place}");
            found.hours(&pointer, rate.hours());
            found.price(
                &format!("{pointer}/price_per_hour"),
                rate.price_per_hour,
                currency,
            );
        }
        found.number("/points_rate", self.points_rate.0);
    }

    fn check_times(&self, found: &mut Checks) {
        if let Some(week) = &self.opening_hours {
            for (name, hours) in [
                ("monday", &week.monday),
                ("tuesday", &week.tuesday),
                ("wednesday", &week.wednesday),
                ("thursday", &week.thursday),
                ("friday", &week.friday),
                ("saturday", &week.saturday),
                ("sunday", &week.sunday),
            ] {
                found.day(&format!("/opening_hours/{name}"), hours);
            }
        }
        found.count("/exceptions", self.exceptions.len(), DATES_MAX);
        let mut dates: Vec<Date> = Vec::with_capacity(self.exceptions.len());
        for (place, exception) in self.exceptions.iter().enumerate() {
            found.day(&format!("/exceptions/{place}/hours"), &exception.hours);
            if dates.contains(&exception.date) {
                let pointer = format!("/exceptions/{place}/date");
                found.add(
                    &pointer,
                    "twice",
                    "must not be a date that stands before it",
                );
            }
            dates.push(exception.date);
        }
        found.count("/blackouts", self.blackouts.len(), DATES_MAX);
        for (place, blackout) in self.blackouts.iter().enumerate() {
            if blackout.end <= blackout.start {
                let pointer = format!("/blackouts/{place}/end");
                found.add(
                    &pointer,
                    "end-not-after-start",
                    "must be later than the start",
                );
            }
            if let Some(reason) = &blackout.reason {
                found.text(&format!("/blackouts/{place}/reason"), reason);
            }
        }
    }

    /// What is said in minutes: where, and how many.
    fn minutes(&self) -> [(&'static str, Option<u32>); 8] {
        [
            ("/min_duration_minutes", self.min_duration_minutes),
            ("/max_duration_minutes", self.max_duration_minutes),
            ("/min_notice_minutes", Some(self.min_notice_minutes)),
            ("/max_notice_minutes", self.max_notice_minutes),
            ("/buffer_before_minutes", Some(self.buffer_before_minutes)),
            ("/buffer_after_minutes", Some(self.buffer_after_minutes)),
            ("/hold_minutes", Some(self.hold_minutes)),
            ("/no_show_grace_minutes", Some(self.no_show_grace_minutes)),
        ]
    }

    fn check_rules(&self, found: &mut Checks) {
        if let Some(minutes) = self.granularity_minutes
            && !GRANULARITY_DAY.is_multiple_of(minutes)
        {
            found.add("/granularity_minutes", "out-of-range", DIVIDES_A_DAY);
        }
        for (pointer, minutes) in self.minutes() {
            if let Some(minutes) = minutes {
                found.number(pointer, minutes);
            }
        }
        let (shortest, longest) = (self.min_duration_minutes, self.max_duration_minutes);
        if shortest
            .zip(longest)
            .is_some_and(|(least, most)| least > most)
        {
            let detail = "must not be less than min_duration_minutes";
            found.add("/max_duration_minutes", "out-of-range", detail);
        }
        if self
            .max_notice_minutes
            .is_some_and(|most| self.min_notice_minutes >= most)
        {
            let detail = "must be more than min_notice_minutes";
            found.add("/max_notice_minutes", "out-of-range", detail);
        }
    }
}

/// Whether clocks somewhere follow this: the name for where nobody knows is no place.
fn is_a_zone(name: &str) -> bool {
    !name.eq_ignore_ascii_case(ZONE_UNKNOWN) && zone(name).is_some()
}

fn check_policy(policy: &Policy, found: &mut Checks) {
    found.number("/cancellation/grace_minutes", policy.grace_minutes);
    found.count("/cancellation/tiers", policy.tiers.len(), TIERS_MAX);
    let mut before: Option<&Tier> = None;
    for (place, tier) in policy.tiers.iter().enumerate() {
        let pointer = format!("/cancellation/tiers/{place}");
        let hours = format!("{pointer}/hours_before");
        let percent = format!("{pointer}/refund_percent");
        found.number(&hours, tier.hours_before);
        found.number(&percent, tier.refund_percent);
        if let Some(before) = before {
            if tier.hours_before >= before.hours_before {
                found.add(
                    &hours,
                    "out-of-order",
                    "must be less than in the tier before it",
                );
            }
            if tier.refund_percent > before.refund_percent {
                let detail = "must not be more than in the tier before it: who cancels later gets no more back";
                found.add(&percent, "out-of-order", detail);
            }
        }
        before = Some(tier);
    }
}

/// What the checks found.
#[derive(Default)]
struct Checks(Vec<Invalid>);

impl Checks {
    fn add(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(Invalid {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        });
    }

    fn number(&mut self, pointer: &str, number: impl Into<i64>) {
        let range = range(pointer).filter(|range| !range.contains(&number.into()));
        if let Some(range) = range {
            let (least, most) = range.into_inner();
            let detail = format!("must be from {least} to {most}");
            self.add(pointer, "out-of-range", detail);
        }
    }

    fn count(&mut self, pointer: &str, count: usize, most: usize) {
        if count > most {
            self.add(pointer, "too-many", format!("must be at most {most}"));
        }
    }

    fn text(&mut self, pointer: &str, text: &str) {
        let (code, detail) = if text.trim().is_empty() {
            ("required", "must be given".to_owned())
        } else if text.chars().count() > TEXT_CHARS_MAX {
            (
                "too-long",
                format!("must have at most {TEXT_CHARS_MAX} characters"),
            )
        } else if text.chars().any(char::is_control) {
            (
                "control-character",
                "must not hold control characters".to_owned(),
            )
        } else {
            return;
        };
        self.add(pointer, code, detail);
    }

    /// A name stands in an address and in lists: it must be what it looks like.
    fn name(&mut self, pointer: &str, name: &str) {
        let (code, detail) = if matches!(name, "." | "..") {
            (
                "not-a-name",
                "must be more than dots: it stands in an address",
            )
        } else if !name.trim().is_empty() && name.trim() != name {
            ("blank-around", "must not begin or end with a blank")
        } else if name.chars().any(is_unseen) {
            (
                "unseen-character",
                "must not hold characters that nobody sees",
            )
        } else {
            return;
        };
        self.add(pointer, code, detail);
    }

    fn price(&mut self, pointer: &str, price: Money, currency: Currency) {
        self.number(&format!("{pointer}/amount"), price.minor);
        if price.currency != currency {
            let detail = "must be the currency of price_per_hour: a venue has one";
            self.add(&format!("{pointer}/currency"), "other-currency", detail);
        }
    }

    fn day(&mut self, pointer: &str, hours: &[Hours]) {
        self.count(pointer, hours.len(), HOURS_MAX);
        for (place, hours) in hours.iter().enumerate() {
            self.hours(&format!("{pointer}/{place}"), *hours);
        }
    }

    fn hours(&mut self, pointer: &str, hours: Hours) {
        if hours.from == hours.to {
            let detail = "must not be the same as from; a whole day is from 00:00 to 24:00";
            self.add(&format!("{pointer}/to"), "empty", detail);
        }
        if hours.from == WallTime::end_of_day() {
            let detail = "must be from 00:00 to 23:59: at 24:00 the next day begins";
            self.add(&format!("{pointer}/from"), "out-of-range", detail);
        }
    }
}

/// Characters that show nothing, or show others in another order: marks of direction, joiners of nothing, the mark of
/// byte order. What joins within a script is not among them.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
