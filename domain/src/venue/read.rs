//! Reads a definition as an operator wrote it: strictly, with the defaults filled in, and with everything that is
//! wrong said at once, each with a pointer to where it stands.

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::definition::{Definition, GRANULARITY_DAY, HOLD_MINUTES, Hours, Price, WallTime};
use super::{SLOT_MINUTES_MAX, zone};
use crate::payment::POINTS_RATE;
use crate::space::Method;
use crate::terms::{Policy, Tier};
use crate::value::{Currency, Money};

/// How many characters a name or a reason may have.
const TEXT_CHARS_MAX: usize = 255;
/// How many bookings a venue can take at a time.
const UNITS_MAX: u32 = 100;
/// What an hour may cost, in minor units.
const PER_HOUR_MAX: i64 = 1_000_000_000_000;
/// How many rates a venue may have.
const RATES_MAX: usize = 100;
/// How many dates with hours of their own, and how many blackouts.
const DATES_MAX: usize = 366;
/// How often a venue may open on one day.
const HOURS_MAX: usize = 10;
/// How many steps a policy may have.
const TIERS_MAX: usize = 10;
/// Hundredths of a percent: all of it.
const POINTS_RATE_MAX: u16 = 10_000;
/// How long a buffer or a grace may be: a week.
const WEEK_MINUTES: u32 = 7 * 24 * 60;
/// How far ahead notice may look: ten years.
const NOTICE_MINUTES_MAX: u32 = 10 * SLOT_MINUTES_MAX;
/// How long a hold may last.
const HOLD_MINUTES_MAX: u32 = 120;
/// How long a customer who did not come is waited for when nobody says.
const NO_SHOW_GRACE_MINUTES: u32 = 15;
/// What is shown of a venue and not said by its operator; it may be sent back with the rest.
const SHOWN_ONLY: [&str; 2] = ["version", "_links"];

/// Something in a definition that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// Why, for programs.
    pub code: &'static str,
    /// Why, for people: what is allowed.
    pub detail: String,
}

impl Definition {
    /// Reads what an operator wrote; only the name must be given. An hour costs `default_price` when nobody says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(fields: Map<String, Value>, default_price: Money) -> Result<Self, Vec<Invalid>> {
        let mut of = Reader::over(fields);
        let price_per_hour = of
            .take("price_per_hour")
            .map_or(default_price, Price::money);
        let definition = Self {
            spacename: of.required("spacename"),
            timezone: of.take("timezone").unwrap_or_else(|| "UTC".to_owned()),
            units: of.take("units").unwrap_or(1),
            rates: of.take::<Vec<_>>("rates").unwrap_or_default(),
            points_rate: of.take("points_rate").unwrap_or(POINTS_RATE),
            opening_hours: of.take("opening_hours"),
            exceptions: of.take("exceptions").unwrap_or_default(),
            blackouts: of.take("blackouts").unwrap_or_default(),
            granularity_minutes: of.take("granularity_minutes"),
            min_duration_minutes: of.take("min_duration_minutes"),
            max_duration_minutes: of.take("max_duration_minutes"),
            min_notice_minutes: of.take("min_notice_minutes").unwrap_or(0),
            max_notice_minutes: of.take("max_notice_minutes"),
            buffer_before_minutes: of.take("buffer_before_minutes").unwrap_or(0),
            buffer_after_minutes: of.take("buffer_after_minutes").unwrap_or(0),
            cancellation: of
                .take("cancellation")
                .map_or_else(default_policy, Cancellation::policy),
            hold_minutes: of.take("hold_minutes").unwrap_or(HOLD_MINUTES),
            no_show_grace_minutes: of
                .take("no_show_grace_minutes")
                .unwrap_or(NO_SHOW_GRACE_MINUTES),
            overtime_per_hour: of
                .take("overtime_per_hour")
                .map_or(price_per_hour, Price::money),
            hand_over: of.take("hand_over").unwrap_or(Method::Key),
            unscheduled: of.take("unscheduled").unwrap_or(true),
            price_per_hour,
        };
        definition.finish(of)
    }

    fn finish(mut self, reader: Reader) -> Result<Self, Vec<Invalid>> {
        let mut errors = reader.finish();
        // What could not be read has its default here; it is not complained about twice.
        let read: Vec<_> = errors.iter().map(|it| it.pointer.clone()).collect();
        let mut found = Checks::default();
        self.check(&mut found);
        let is_new = |it: &Invalid| !read.iter().any(|pointer| same_field(pointer, &it.pointer));
        errors.extend(found.0.into_iter().filter(is_new));
        if !errors.is_empty() {
            return Err(errors);
        }
        // As the zone itself writes its name.
        let zone = zone(&self.timezone);
        if let Some(name) = zone.as_ref().and_then(jiff::tz::TimeZone::iana_name) {
            self.timezone = name.to_owned();
        }
        Ok(self)
    }

    fn check(&self, found: &mut Checks) {
        found.text("/spacename", &self.spacename);
        if zone(&self.timezone).is_none() {
            let detail = "must be the IANA name of a time zone, such as Asia/Seoul";
            found.add("/timezone", "no-such-timezone", detail);
        }
        found.number("/units", self.units, 1, UNITS_MAX);
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
        if self.points_rate.0 > POINTS_RATE_MAX {
            let detail =
                format!("must be at most {POINTS_RATE_MAX} basis points, which is everything");
            found.add("/points_rate", "out-of-range", detail);
        }
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

    fn check_rules(&self, found: &mut Checks) {
        if let Some(minutes) = self.granularity_minutes
            && !GRANULARITY_DAY.is_multiple_of(minutes)
        {
            let detail = "must divide a day: 5, 10, 15, 30, 60, 1440 and so on";
            found.add("/granularity_minutes", "out-of-range", detail);
        }
        for (pointer, minutes, least, most) in [
            (
                "/min_duration_minutes",
                self.min_duration_minutes,
                1,
                SLOT_MINUTES_MAX,
            ),
            (
                "/max_duration_minutes",
                self.max_duration_minutes,
                1,
                SLOT_MINUTES_MAX,
            ),
            (
                "/min_notice_minutes",
                Some(self.min_notice_minutes),
                0,
                NOTICE_MINUTES_MAX,
            ),
            (
                "/max_notice_minutes",
                self.max_notice_minutes,
                1,
                NOTICE_MINUTES_MAX,
            ),
            (
                "/buffer_before_minutes",
                Some(self.buffer_before_minutes),
                0,
                WEEK_MINUTES,
            ),
            (
                "/buffer_after_minutes",
                Some(self.buffer_after_minutes),
                0,
                WEEK_MINUTES,
            ),
            (
                "/hold_minutes",
                Some(self.hold_minutes),
                1,
                HOLD_MINUTES_MAX,
            ),
            (
                "/no_show_grace_minutes",
                Some(self.no_show_grace_minutes),
                0,
                WEEK_MINUTES,
            ),
        ] {
            if let Some(minutes) = minutes {
                found.number(pointer, minutes, least, most);
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

/// Everything back until two days before the start, and for an hour after the booking; half of it until one day
/// before; then nothing.
fn default_policy() -> Policy {
    let tier = |hours_before, refund_percent| Tier {
        hours_before,
        refund_percent,
    };
    Policy {
        grace_minutes: 60,
        tiers: vec![tier(48, 100), tier(24, 50)],
    }
}

fn check_policy(policy: &Policy, found: &mut Checks) {
    found.number(
        "/cancellation/grace_minutes",
        policy.grace_minutes,
        0,
        WEEK_MINUTES,
    );
    found.count("/cancellation/tiers", policy.tiers.len(), TIERS_MAX);
    let mut before: Option<&Tier> = None;
    for (place, tier) in policy.tiers.iter().enumerate() {
        let pointer = format!("/cancellation/tiers/{place}");
        let hours = format!("{pointer}/hours_before");
        let percent = format!("{pointer}/refund_percent");
        found.number(&hours, tier.hours_before, 0, SLOT_MINUTES_MAX / 60);
        found.number(&percent, tier.refund_percent.into(), 0, 100);
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

/// Whether two pointers are of the same field of the definition.
fn same_field(one: &str, other: &str) -> bool {
    let field = |pointer: &str| pointer.split('/').nth(1).map(str::to_owned);
    field(one) == field(other)
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

    fn number(&mut self, pointer: &str, number: u32, least: u32, most: u32) {
        if !(least..=most).contains(&number) {
            self.add(
                pointer,
                "out-of-range",
                format!("must be from {least} to {most}"),
            );
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

    fn price(&mut self, pointer: &str, price: Money, currency: Currency) {
        if !(0..=PER_HOUR_MAX).contains(&price.minor) {
            let detail = format!("must be from 0 to {PER_HOUR_MAX} minor units");
            self.add(&format!("{pointer}/amount"), "out-of-range", detail);
        }
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

/// The fields of a body on their way into a definition.
struct Reader {
    fields: Map<String, Value>,
    errors: Vec<Invalid>,
}

impl Reader {
    fn over(mut fields: Map<String, Value>) -> Self {
        for name in SHOWN_ONLY {
            fields.remove(name);
        }
        let errors = Vec::new();
        Self { fields, errors }
    }

    /// A field; nothing when it is absent, null, or cannot be read.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                self.errors.push(Invalid {
                    pointer: format!("/{name}{}", pointer(error.path())),
                    code: "malformed",
                    detail: error.into_inner().to_string(),
                });
                None
            }
        }
    }

    fn required(&mut self, name: &str) -> String {
        let before = self.errors.len();
        let text = self.take(name);
        if text.is_none() && self.errors.len() == before {
            self.errors.push(Invalid {
                pointer: format!("/{name}"),
                code: "required",
                detail: "must be given".to_owned(),
            });
        }
        text.unwrap_or_default()
    }

    /// What was wrong, and what nobody asked for.
    fn finish(self) -> Vec<Invalid> {
        let mut errors = self.errors;
        errors.extend(self.fields.into_iter().map(|(name, _)| Invalid {
            pointer: format!("/{}", escaped(&name)),
            code: "unknown-field",
            detail: "is nothing that a venue has".to_owned(),
        }));
        errors
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A policy as an operator writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    #[serde(default)]
    grace_minutes: u32,
    #[serde(default)]
    tiers: Vec<Step>,
}

/// A step of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    hours_before: u32,
    refund_percent: u8,
}

impl Cancellation {
    fn policy(self) -> Policy {
        let tier = |step: Step| Tier {
            hours_before: step.hours_before,
            refund_percent: step.refund_percent,
        };
        Policy {
            grace_minutes: self.grace_minutes,
            tiers: self.tiers.into_iter().map(tier).collect(),
        }
    }
}
