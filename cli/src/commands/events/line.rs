//! An event as a line: everything that is stored, or the seed's words.

use anyhow::anyhow;
use domain::seed;
use jiff::tz::TimeZone;
use journal::Identity;
use journal::feed::Stored;
use serde::Serialize;

use crate::args::events::Format;

/// Writes events as lines.
pub struct Writer {
    format: Format,
    zone: TimeZone,
    journal: String,
}

/// A line of format `json`: the row, and which journal its position is of.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    stored: &'a Stored,
    journal: &'a str,
}

impl Writer {
    /// A writer of a format; `zone` is that of the seed's timestamps.
    pub fn new(format: Format, zone: TimeZone, identity: Identity) -> Self {
        Self {
            format,
            zone,
            journal: identity.to_string(),
        }
    }

    /// The names of the events that the format has; empty for all of them.
    pub fn names(&self) -> &'static [&'static str] {
        match self.format {
            Format::Json => &[],
            Format::Seed => &seed::NAMES,
        }
    }

    /// The line of an event; none when the format does not have it.
    pub fn line(&self, stored: &Stored) -> anyhow::Result<Option<String>> {
        match self.format {
            Format::Json => {
                let journal = &self.journal;
                Ok(Some(serde_json::to_string(&Line { stored, journal })?))
            }
            Format::Seed => self.seed(stored),
        }
    }

    fn seed(&self, stored: &Stored) -> anyhow::Result<Option<String>> {
        // Before it is read: an event that the seed does not have is left out whether or not we can read it.
        if !seed::NAMES.contains(&stored.event_type.as_str()) {
            return Ok(None);
        }
        let position = stored.position;
        let (event, at) = stored.decode().map_err(|reason| {
            anyhow!("event {position} cannot be read by this version of spacerent: {reason}")
        })?;
        let Some(event) = seed::translate(event, at, &self.zone) else {
            return Ok(None);
        };
        let line = seed::Line { event, position };
        Ok(Some(serde_json::to_string(&line)?))
    }
}
