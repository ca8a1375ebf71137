//! An event as a line: everything that is stored, or the seed's words.

use anyhow::anyhow;
use domain::seed;
use domain::version::Table;
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
    events: Table,
    /// The stored names of the events that the format has; empty for all of them.
    names: Vec<&'static str>,
}

/// A line of format `json`: the row, and which journal its position is of.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    stored: &'a Stored,
    journal: &'a str,
}

impl Writer {
    /// A writer of a format; `zone` is that of the seed's timestamps, `events` says how events are read.
    pub fn new(format: Format, zone: TimeZone, identity: Identity, events: Table) -> Self {
        let names = match format {
            Format::Json => vec![],
            Format::Seed => events.stored_names(&seed::NAMES),
        };
        Self {
            format,
            zone,
            journal: identity.to_string(),
            events,
            names,
        }
    }

    /// The stored names of the events that the format has; empty for all of them.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The lines of a stored event: one, or several when it is read as several; none when the format does not have
    /// it.
    pub fn lines(&self, stored: &Stored) -> anyhow::Result<Vec<String>> {
        match self.format {
            Format::Json => {
                let journal = &self.journal;
                Ok(vec![serde_json::to_string(&Line { stored, journal })?])
            }
            Format::Seed => self.seed(stored),
        }
    }

    fn seed(&self, stored: &Stored) -> anyhow::Result<Vec<String>> {
        let position = stored.position;
        let unreadable = |reason: &dyn std::fmt::Display| {
            anyhow!("event {position} cannot be read by this version of spacerent: {reason}")
        };
        // Before it is read: an event that the seed does not have is left out whether or not we can read it. One that
        // nobody here has heard of may be one of the seed's under another name.
        let ends = self.events.may_become(
            &stored.aggregate_type,
            &stored.event_type,
            &stored.event_version,
        );
        if ends.is_some_and(|ends| !ends.iter().any(|end| seed::NAMES.contains(end))) {
            return Ok(vec![]);
        }
        let events = stored.read(&self.events).map_err(|e| unreadable(&e))?;
        let at = stored.metadata().map_err(|e| unreadable(&e))?.occurred_at;
        let translated = events
            .into_iter()
            .filter_map(|event| seed::translate(event, at, &self.zone));
        let line = |event| Ok(serde_json::to_string(&seed::Line { event, position })?);
        translated.map(line).collect()
    }
}
