//! The shape of what an operator wrote, before it is read: what is read takes more than is meant, a list for an object
//! and a time for a date.

use serde_json::Value;

use crate::written;

/// Fields that are objects.
const OBJECTS: [&str; 4] = [
    "price_per_hour",
    "overtime_per_hour",
    "opening_hours",
    "cancellation",
];

/// The first thing in a field that does not have the shape that it must have: where it stands, and what it must be.
pub(super) fn wrong(name: &str, value: &Value) -> Option<(String, &'static str)> {
    wrong_at(&format!("/{}", super::read::escaped(name)), name, value)
}

fn wrong_at(pointer: &str, name: &str, value: &Value) -> Option<(String, &'static str)> {
    let must_be = |what| Some((pointer.to_owned(), what));
    match value {
        Value::Array(_) if OBJECTS.contains(&name) => must_be("must be an object"),
        Value::Array(parts) => parts.iter().enumerate().find_map(|(place, part)| {
            let pointer = format!("{pointer}/{place}");
            // Lists are of objects and of words.
            if part.is_array() {
                return Some((pointer, "must be an object"));
            }
            wrong_at(&pointer, "", part)
        }),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let pointer = format!("{pointer}/{}", super::read::escaped(name));
            wrong_at(&pointer, name, value)
        }),
        Value::String(text) => match name {
            "date" if written::date(text).is_none() => must_be(written::A_DATE),
            "start" | "end" if written::time(text).is_none() => must_be(written::A_TIME),
            _ => None,
        },
        _ => None,
    }
}
