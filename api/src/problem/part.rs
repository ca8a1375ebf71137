//! What some problems say more of: fields, and other times.

use domain::terms::Slot;
use domain::venue::{self, Refused};
use jiff::Timestamp;
use serde::Serialize;

/// A field of the body that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Invalid {
    /// Which, as a JSON pointer.
    pub(crate) pointer: String,
    /// Why, for programs.
    pub(crate) code: &'static str,
    /// Why, for people.
    pub(crate) detail: String,
}

impl From<venue::Invalid> for Invalid {
    fn from(invalid: venue::Invalid) -> Self {
        Self {
            pointer: invalid.pointer,
            code: invalid.code,
            detail: invalid.detail,
        }
    }
}

impl From<Refused> for Invalid {
    fn from(refused: Refused) -> Self {
        Self {
            pointer: format!("/{}", refused.field()),
            code: refused.code(),
            detail: refused.to_string(),
        }
    }
}

/// A time that could be booked instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Alternative {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl From<Slot> for Alternative {
    fn from(slot: Slot) -> Self {
        Self {
            start: slot.start,
            end: slot.end,
        }
    }
}
