//! Payloads of rows. Workers know texts by name; the table takes any JSON, and what a worker cannot read is shown to people
//! all the same.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// The name of a payload that has no names itself.
const WHOLE: &str = "payload";

/// A row's payload as it is stored: whatever JSON that is.
pub(crate) fn stored(row: &PgRow) -> Result<Box<RawValue>, sqlx::Error> {
    let Json(payload) = row.try_get("payload")?;
    Ok(payload)
}

/// What a worker knows; or why it cannot be read.
pub(crate) fn known(payload: &RawValue) -> Result<HashMap<String, String>, serde_json::Error> {
    serde_json::from_str(payload.get())
}

/// The same for people: a value that is no text is shown as its JSON, and so is a payload without names.
pub(crate) fn shown(payload: &RawValue) -> BTreeMap<String, String> {
    let named: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(payload.get());
    match named {
        Ok(named) => named
            .into_iter()
            .map(|(name, value)| (name, text(&value)))
            .collect(),
        Err(_) => BTreeMap::from([(WHOLE.to_owned(), text(payload))]),
    }
}

fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}
