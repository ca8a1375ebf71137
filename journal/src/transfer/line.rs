//! The lines of a file, besides those of events ([`crate::feed::Stored`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Identity;

/// What the header calls the format.
pub const FORMAT: &str = "spacerent-journal";
/// Its version: another one means that a reader of this one would understand something wrong.
pub const VERSION: u64 = 1;

/// How the line of an event begins, and no other.
pub(super) const EVENT: &[u8] = b"{\"position\":";

/// A line that is not an event's: one object with one field, which says what it is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Header(Header),
    Mark(Mark),
    State(State),
    Footer(Footer),
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u64,
    /// The journal that the events are of, and its epoch.
    pub(super) journal: Uuid,
    pub(super) epoch: i64,
    /// Events from this position on; 1 for all of them.
    pub(super) first_position: i64,
    /// When the file was begun.
    pub(super) exported_at: Timestamp,
}

impl Header {
    pub(super) fn identity(&self) -> Identity {
        Identity {
            uuid: self.journal,
            epoch: self.epoch,
        }
    }
}

/// What the events before it come to, every so many of them: how far a file without a footer can be trusted.
#[derive(Serialize, Deserialize)]
pub(super) struct Mark {
    /// How many events.
    pub(super) events: i64,
    /// Over their lines, as in the footer.
    pub(super) sha256: String,
}

/// What is in no event and cannot be derived from one; and the slots, which can, but not from a piece.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// How far the saga had acted.
    Acted(Acted),
    /// A venue: what its units are called is in no event.
    Venue(KeptVenue),
    /// A slot that a booking holds.
    Claim(Claimed),
    /// A charge or refund that is for people, or that people have settled by hand; or the search for a late call.
    Job(KeptJob),
}

/// Up to where everything that follows from an event was done, and stands in the file if it left events.
#[derive(Serialize, Deserialize)]
pub(super) struct Acted {
    pub(super) to_position: i64,
}

/// A venue, its units and its changes, as rows of their tables; of one that was retired, too.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptVenue {
    pub(super) spacename: String,
    pub(super) venue: Box<RawValue>,
    pub(super) units: Box<RawValue>,
    pub(super) changes: Box<RawValue>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Claimed {
    pub(super) bookid: i64,
    pub(super) unit: i64,
    /// As Postgres writes a `tstzrange`, in UTC.
    pub(super) during: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptJob {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) bookid: i64,
    #[serde(deserialize_with = "texts")]
    pub(super) payload: BTreeMap<String, String>,
    /// `attention` or `done`; of the search for a late call also `open`.
    pub(super) state: String,
    pub(super) timer: bool,
    pub(super) attempts: i32,
    pub(super) last_error: Option<String>,
    pub(super) due_at: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
}

/// What a worker can read, and nothing else: a row with anything else is nobody's to work on.
fn texts<'de, D: Deserializer<'de>>(payload: D) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = BTreeMap::deserialize(payload);
    texts.map_err(|error| D::Error::custom(format!("a job's payload is no map of texts: {error}")))
}

/// The last line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Footer {
    /// How many events.
    pub(super) events: i64,
    /// Where the last of them stood; one before the first when there is none.
    pub(super) last_position: i64,
    /// Over the lines of events, with their line ends, in hex.
    pub(super) sha256: String,
    /// The same of the lines of state.
    pub(super) state_lines: i64,
    pub(super) state_sha256: String,
    /// When it was finished.
    pub(super) finished_at: Timestamp,
}
