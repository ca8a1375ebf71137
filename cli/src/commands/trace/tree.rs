//! The causation tree: which command followed from which event.

use std::collections::{BTreeMap, BTreeSet};

use domain::Event;
use domain::version::{DecodeError, Table};
use journal::feed::Stored;
use serde::Serialize;
use uuid::Uuid;

/// A command, as its events show it: they were stored in one commit.
#[derive(Debug, Serialize)]
pub struct CommandNode {
    pub command_id: Uuid,
    pub correlation_id: String,
    /// `customer`, `manager`, `system`; empty when its events do not say.
    pub actor: String,
    pub actor_id: Option<String>,
    /// The event that led to it, when that is told elsewhere: another booking's.
    pub caused_by: Option<Uuid>,
    pub events: Vec<EventNode>,
}

/// An event, and what it led to.
#[derive(Debug, Serialize)]
pub struct EventNode {
    pub position: i64,
    pub event_id: Uuid,
    pub stream: String,
    pub sequence: i64,
    /// As it is stored.
    pub event_type: String,
    /// As it is stored.
    pub event_version: String,
    /// The names of today that it is read as, where that is not the stored one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_as: Option<Vec<&'static str>>,
    /// Whether this version of spacerent cannot read it; `waits_for` says why.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    pub recorded_at: jiff::Timestamp,
    pub led_to: Vec<CommandNode>,
}

/// A stored event, and what is read from it today.
pub struct Told<'a> {
    pub stored: &'a Stored,
    pub reading: Result<Vec<Event>, DecodeError>,
}

impl<'a> Told<'a> {
    pub fn of(stored: &'a Stored, events: &Table) -> Self {
        let reading = stored.read(events);
        Self { stored, reading }
    }

    /// Why it cannot be read, if so.
    pub fn unreadable(&self) -> Option<String> {
        let error = self.reading.as_ref().err()?;
        Some(format!("position {}: {error}", self.stored.position))
    }

    fn read_as(&self) -> Option<Vec<&'static str>> {
        let names: Vec<_> = self
            .reading
            .as_ref()
            .ok()?
            .iter()
            .map(Event::name)
            .collect();
        (names != [self.stored.event_type.as_str()]).then_some(names)
    }
}

/// Puts events into a tree. Every event is in it exactly once, whatever their metadata say.
pub fn grow(events: &[Told<'_>]) -> Vec<CommandNode> {
    let mut commands: BTreeMap<Uuid, Vec<&Told<'_>>> = BTreeMap::new();
    for event in events {
        commands
            .entry(event.stored.command_id)
            .or_default()
            .push(event);
    }
    let stored = events.iter().map(|told| told.stored);
    let known: BTreeMap<Uuid, i64> = stored.map(|e| (e.event_id, e.position)).collect();
    let mut below: BTreeMap<Uuid, BTreeSet<(i64, Uuid)>> = BTreeMap::new();
    let mut roots = BTreeSet::new();
    for (id, its) in &commands {
        let Some(first) = its.first().map(|told| told.stored) else {
            continue;
        };
        let place = (first.position, *id);
        // What happened cannot follow from what came later: a wrong id must not make a ring.
        match cause(first).filter(|cause| known.get(cause).is_some_and(|at| *at < first.position)) {
            Some(cause) => below.entry(cause).or_default().insert(place),
            None => roots.insert(place),
        };
    }
    let plot = Plot { commands, below };
    roots
        .iter()
        .map(|(_, id)| plot.command(*id, true))
        .collect()
}

struct Plot<'a> {
    commands: BTreeMap<Uuid, Vec<&'a Told<'a>>>,
    /// The commands that follow from an event, in order.
    below: BTreeMap<Uuid, BTreeSet<(i64, Uuid)>>,
}

impl Plot<'_> {
    fn command(&self, id: Uuid, is_root: bool) -> CommandNode {
        let events = self.commands.get(&id).map_or(&[][..], Vec::as_slice);
        let metadata = events
            .first()
            .and_then(|first| first.stored.metadata().ok());
        CommandNode {
            command_id: id,
            correlation_id: metadata
                .as_ref()
                .map(|m| m.correlation_id.clone())
                .unwrap_or_default(),
            actor: metadata
                .as_ref()
                .map(|m| m.actor_type.as_str().to_owned())
                .unwrap_or_default(),
            actor_id: metadata.as_ref().and_then(|m| m.actor_id.clone()),
            caused_by: metadata.and_then(|m| m.causation_id).filter(|_| is_root),
            events: events.iter().map(|event| self.event(event)).collect(),
        }
    }

    fn event(&self, told: &Told<'_>) -> EventNode {
        let event = told.stored;
        let below = self.below.get(&event.event_id);
        EventNode {
            position: event.position,
            event_id: event.event_id,
            stream: format!("{}/{}", event.aggregate_type, event.aggregate_id),
            sequence: event.sequence,
            event_type: event.event_type.clone(),
            event_version: event.event_version.clone(),
            read_as: told.read_as(),
            unreadable: told.reading.is_err(),
            recorded_at: event.recorded_at,
            led_to: below
                .into_iter()
                .flatten()
                .map(|(_, id)| self.command(*id, false))
                .collect(),
        }
    }
}

fn cause(event: &Stored) -> Option<Uuid> {
    event.metadata().ok().and_then(|m| m.causation_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(position: i64, command: u128, metadata: &str) -> Stored {
        let raw = |json: String| serde_json::value::RawValue::from_string(json).unwrap();
        Stored {
            position,
            event_id: Uuid::from_u128(position.unsigned_abs().into()),
            command_id: Uuid::from_u128(command),
            aggregate_type: "Book".into(),
            aggregate_id: "7".into(),
            sequence: position,
            event_type: "Booked".into(),
            event_version: "1".into(),
            recorded_at: jiff::Timestamp::UNIX_EPOCH,
            payload: raw("{}".into()),
            metadata: raw(metadata.into()),
        }
    }

    fn caused_by(event: u128) -> String {
        let cause = Uuid::from_u128(event);
        format!(
            r#"{{"occurred_at":"2026-11-22T08:40:01Z","actor_type":"system","causation_id":"{cause}"}}"#
        )
    }

    fn told(events: &[Stored]) -> Vec<Told<'_>> {
        let told = |event| Told::of(event, &domain::version::TODAY);
        events.iter().map(told).collect()
    }

    fn drawn(commands: &[CommandNode]) -> String {
        let event = |e: &EventNode| format!("{}{}", e.position, drawn(&e.led_to));
        let command = |c: &CommandNode| c.events.iter().map(event).collect::<Vec<_>>().join(",");
        let all: Vec<_> = commands.iter().map(command).collect();
        if all.is_empty() {
            String::new()
        } else {
            format!("({})", all.join(" "))
        }
    }

    #[test]
    fn what_follows_stands_below_what_it_follows_from() {
        let events = [
            stored(1, 91, "{}"),
            stored(2, 91, "{}"),
            stored(3, 93, &caused_by(2)),
            stored(4, 94, &caused_by(2)),
            stored(5, 95, &caused_by(3)),
        ];
        assert_eq!(drawn(&grow(&told(&events))), "(1,2(3(5) 4))");
    }

    #[test]
    fn a_cause_that_is_elsewhere_or_later_makes_a_root_and_no_event_is_lost() {
        let events = [
            stored(1, 91, &caused_by(2)),
            stored(2, 92, &caused_by(1)),
            stored(3, 93, &caused_by(77)),
            stored(4, 94, &caused_by(4)),
        ];
        let tree = grow(&told(&events));
        assert_eq!(drawn(&tree), "(1(2) 3 4)");
        assert_eq!(tree[1].caused_by, Some(Uuid::from_u128(77)));
    }
}
