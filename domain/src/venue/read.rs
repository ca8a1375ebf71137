//! Reads a definition as an operator wrote it: strictly, with the defaults filled in, and with everything that is
//! wrong said at once, each with a pointer to where it stands.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::definition::{Definition, HOLD_MINUTES, Price};
use super::{shape, words, zone};
use crate::payment::POINTS_RATE;
use crate::space::Method;
use crate::terms::{Policy, Tier};
use crate::value::Money;

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
        // It is the price of an hour when nobody says otherwise.
        let overtime_per_hour = of.take("overtime_per_hour").map(Price::money);
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
                .take::<Cancellation>("cancellation")
                .unwrap_or_default()
                .policy(),
            hold_minutes: of.take("hold_minutes").unwrap_or(HOLD_MINUTES),
            no_show_grace_minutes: of
                .take("no_show_grace_minutes")
                .unwrap_or(NO_SHOW_GRACE_MINUTES),
            overtime_per_hour: overtime_per_hour.unwrap_or(price_per_hour),
            hand_over: of.take("hand_over").unwrap_or(Method::Key),
            unscheduled: of.take("unscheduled").unwrap_or(false),
            price_per_hour,
        };
        definition.finish(of, overtime_per_hour.is_some())
    }

    fn finish(mut self, reader: Reader, overtime_is_said: bool) -> Result<Self, Vec<Invalid>> {
        let mut errors = reader.finish();
        // What could not be read has its default here; it is not complained about twice, nor is what follows from it:
        // an overtime that nobody said, which is the price again, and the currency that other prices must have.
        let mut told: Vec<_> = errors.iter().map(|it| it.pointer.clone()).collect();
        if !overtime_is_said {
            told.push("/overtime_per_hour".to_owned());
        }
        let is_told = |at: &str| told.iter().any(|pointer| same_field(pointer, at));
        let is_new = |it: &Invalid| {
            let follows = it.code == "other-currency" && is_told("/price_per_hour");
            !follows && !is_told(&it.pointer)
        };
        errors.extend(self.invalid().into_iter().filter(is_new));
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

/// Whether two pointers are of the same field of the definition.
fn same_field(one: &str, other: &str) -> bool {
    let field = |pointer: &str| pointer.split('/').nth(1).map(str::to_owned);
    field(one) == field(other)
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
        if let Some((pointer, detail)) = shape::wrong(name, &value) {
            self.malformed(pointer, detail.to_owned());
            return None;
        }
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                let pointer = format!("/{name}{}", pointer(error.path()));
                let detail = words::plain(&error.into_inner().to_string(), &pointer);
                self.malformed(pointer, detail);
                None
            }
        }
    }

    fn malformed(&mut self, pointer: String, detail: String) {
        self.errors.push(Invalid {
            pointer,
            code: "malformed",
            detail,
        });
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

pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A policy as an operator writes it: what is left out has its default, as everywhere. No tiers at all have to be said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    #[serde(default)]
    grace_minutes: Option<u32>,
    #[serde(default)]
    tiers: Option<Vec<Step>>,
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
        let Policy {
            grace_minutes,
            tiers,
        } = default_policy();
        Policy {
            grace_minutes: self.grace_minutes.unwrap_or(grace_minutes),
            tiers: self
                .tiers
                .map_or(tiers, |steps| steps.into_iter().map(tier).collect()),
        }
    }
}
