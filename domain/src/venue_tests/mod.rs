//! What venues do, given a definition, a time zone's clock and a moment.

mod clocks;
mod free;
mod money;
mod ranges;
mod read;
mod rules;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Definition, Invalid, Venue};
use crate::terms::Slot;
use crate::value::Money;

/// Far before everything that tests book.
pub(super) const LONG_AGO: &str = "2020-01-01T00:00:00Z";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn slot(start: &str, end: &str) -> Slot {
    Slot::new(at(start), at(end))
}

pub(super) fn read(body: &Value) -> Result<Definition, Vec<Invalid>> {
    let fields: Map<String, Value> = body.as_object().unwrap().clone();
    Definition::read(fields, Money::krw(10_000))
}

/// A venue, its name filled in.
pub(super) fn venue(mut body: Value) -> Venue {
    body["spacename"] = json!("numberone");
    Venue::new(read(&body).unwrap(), 1).unwrap()
}
