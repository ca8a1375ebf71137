//! How events are written and read back: names, versions, and the way from what was once written to today.
//!
//! A stored event is for ever. Its name and version stand in the journal beside the payload; a frozen JSON sample
//! of every name and version ever written lies in `domain/samples/`. A changed shape gets a new version and a step
//! in [`TODAY`]; no sample is edited (docs/changing-events.md). A row is read as none, one or several events of
//! today ([`Table::read`]); what the table does not know was written by a newer version of this code, and is never
//! passed over ([`DecodeError::Unknown`]).

mod table;
mod today;

use cqrs_es::{Aggregate, DomainEvent};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use table::{Becomes, Lineage, Reshape, Shape, Split, Step, Stream, Table, shape, unchanged};
pub use today::TODAY;

use crate::book::Book;
use crate::payment::Payment;
use crate::space::Space;
use crate::{Event, book, payment, space};

/// How many steps lead from a stored event to one of today at most. A table that leads in a circle ends here.
pub const STEPS_MAX: u32 = 64;

/// Why a stored event cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The table does not have it: a newer version of this code wrote it.
    #[error(
        "{aggregate_type} event {event_type:?} version {event_version:?} is not known to this version of \
         spacerent: a newer one wrote it"
    )]
    Unknown {
        /// Which aggregate.
        aggregate_type: String,
        /// The stored name.
        event_type: String,
        /// The stored version.
        event_version: String,
    },
    /// The payload is not what its name and version say.
    #[error(
        "{aggregate_type} event {event_type:?} version {event_version:?} cannot be read: {reason}"
    )]
    Unreadable {
        /// Which aggregate.
        aggregate_type: String,
        /// The stored name.
        event_type: String,
        /// The stored version.
        event_version: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A stored event, as its row says it.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// `Book`, `Payment` or `Space`.
    pub aggregate_type: &'a str,
    /// Its name.
    pub event_type: &'a str,
    /// The version that it was written with.
    pub event_version: &'a str,
    /// What happened.
    pub payload: Payload<'a>,
}

/// A payload, in the form in which somebody has it. Nothing is taken apart before it has to be.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// JSON, as the database gives it.
    Text(&'a str),
    /// JSON that was read already.
    Tree(Value),
}

/// What a stored event is read as.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<E> {
    /// It is of today's version.
    Today(E),
    /// It was written differently: no event, one or several, in order.
    Upcast(Vec<E>),
}

impl<E> Reading<E> {
    /// The events.
    #[must_use]
    pub fn into_events(self) -> Vec<E> {
        match self {
            Self::Today(event) => vec![event],
            Self::Upcast(events) => events,
        }
    }

    fn map<F>(self, each: fn(E) -> F) -> Reading<F> {
        match self {
            Self::Today(event) => Reading::Today(each(event)),
            Self::Upcast(events) => Reading::Upcast(events.into_iter().map(each).collect()),
        }
    }
}

impl Table {
    /// Reads a stored event of any aggregate.
    ///
    /// # Errors
    /// [`DecodeError`] when the table does not have it, or its payload is not what it should be.
    pub fn read(&self, stored: Stored<'_>) -> Result<Reading<Event>, DecodeError> {
        let reading = match stored.aggregate_type {
            Book::TYPE => self
                .parse(stored, |event: &book::Event, name| event.name() == name)?
                .map(Event::Book),
            Payment::TYPE => self
                .parse(stored, |event: &payment::Event, name| event.name() == name)?
                .map(Event::Payment),
            Space::TYPE => self
                .parse(stored, |event: &space::Event, name| event.name() == name)?
                .map(Event::Space),
            _ => return Err(Named::of(&stored).unknown()),
        };
        Ok(reading)
    }

    /// Reads a stored event of an aggregate whose events are of type `E`.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_as<E: DomainEvent>(&self, stored: Stored<'_>) -> Result<Reading<E>, DecodeError> {
        self.parse(stored, |event: &E, name| event.event_type() == name)
    }

    /// `is_named`: whether the payload says the same name as the row.
    fn parse<E: DeserializeOwned>(
        &self,
        stored: Stored<'_>,
        is_named: fn(&E, &str) -> bool,
    ) -> Result<Reading<E>, DecodeError> {
        let row = Named::of(&stored);
        let stream = self.stream(row.aggregate_type);
        let known = stream.and_then(|stream| Some((stream, stream.lineage(row.event_type)?)));
        let Some((stream, lineage)) = known else {
            return Err(row.unknown());
        };
        let finish = |parsed: serde_json::Result<E>, name: &str| match parsed {
            Ok(event) if is_named(&event, name) => Ok(event),
            Ok(_) => Err(row.unreadable(format!("its payload is not a {name}"))),
            Err(error) => Err(row.unreadable(error.to_string())),
        };
        if lineage.today == Some(row.event_version) {
            // The way of nearly every event: one look into the table, and no tree of the payload.
            let parsed = match stored.payload {
                Payload::Text(text) => serde_json::from_str(text),
                Payload::Tree(tree) => serde_json::from_value(tree),
            };
            return Ok(Reading::Today(finish(parsed, row.event_type)?));
        }
        let tree = match stored.payload {
            Payload::Text(text) => {
                serde_json::from_str(text).map_err(|error| row.unreadable(error.to_string()))?
            }
            Payload::Tree(tree) => tree,
        };
        let events = upcast(stream, row, tree)?.into_iter();
        let events = events.map(|(name, tree)| finish(serde_json::from_value(tree), name));
        Ok(Reading::Upcast(events.collect::<Result<_, _>>()?))
    }
}

/// Takes a payload along its steps, to payloads of today with their names.
fn upcast(
    stream: &Stream,
    row: Named<'_>,
    payload: Value,
) -> Result<Vec<(&'static str, Value)>, DecodeError> {
    let mut today = Vec::new();
    // The next one is the last: parts come out in their order.
    let mut waiting = vec![(row.event_type, row.event_version, payload, 0)];
    while let Some((name, version, payload, steps)) = waiting.pop() {
        let lineage = stream.lineage(name).ok_or_else(|| row.unknown())?;
        if lineage.today == Some(version) {
            today.push((lineage.event_type, payload));
            continue;
        }
        let step = lineage.step(version).ok_or_else(|| row.unknown())?;
        if steps == STEPS_MAX {
            return Err(row.unreadable(format!("{STEPS_MAX} steps do not lead to today")));
        }
        let parts = step
            .take(payload)
            .map_err(|reason| row.unreadable(format!("{name} version {version}: {reason}")))?;
        let parts = parts.into_iter().rev();
        waiting.extend(
            parts.map(|(to, payload)| (to.event_type, to.event_version, payload, steps + 1)),
        );
    }
    Ok(today)
}

/// What a row is called, for what is said about it.
#[derive(Clone, Copy)]
struct Named<'a> {
    aggregate_type: &'a str,
    event_type: &'a str,
    event_version: &'a str,
}

impl<'a> Named<'a> {
    fn of(stored: &Stored<'a>) -> Self {
        Self {
            aggregate_type: stored.aggregate_type,
            event_type: stored.event_type,
            event_version: stored.event_version,
        }
    }

    fn unknown(self) -> DecodeError {
        DecodeError::Unknown {
            aggregate_type: self.aggregate_type.to_owned(),
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
        }
    }

    fn unreadable(self, reason: String) -> DecodeError {
        DecodeError::Unreadable {
            aggregate_type: self.aggregate_type.to_owned(),
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
            reason,
        }
    }
}

/// The version that production writes an event with. Every event is in [`TODAY`]: a test holds that.
pub(crate) fn written(aggregate_type: &str, event_type: &str) -> String {
    TODAY
        .written(aggregate_type, event_type)
        .unwrap_or_default()
        .to_owned()
}
