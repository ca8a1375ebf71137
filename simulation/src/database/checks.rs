//! What must hold whenever something is committed.

use std::collections::BTreeMap;

use journal::StreamId;

use super::slots::Slot;
use super::{Inner, Row};

impl Inner {
    pub(super) fn check_new_rows(&mut self, rows: &[Row]) {
        let mut found = vec![];
        for row in rows {
            let stored = &row.stored;
            let (position, name) = (stored.position, &stored.event_type);
            let stream = StreamId::new(&stored.aggregate_type, &stored.aggregate_id);
            for ((follower, ..), checkpoint) in &self.followers {
                if checkpoint.position >= position {
                    found.push(format!(
                        "{follower} stood at {} when {name} at {position} came: it is passed over",
                        checkpoint.position
                    ));
                }
            }
            if self.events.contains_key(&position) {
                found.push(format!("two events stand at {position}"));
            }
            let before = stored.sequence - 1;
            let stands = before == 0
                || self
                    .streams
                    .get(&stream)
                    .is_some_and(|rows| rows.contains_key(&before))
                || rows.iter().any(|row| {
                    row.stored.sequence == before
                        && row.stored.aggregate_type == stored.aggregate_type
                        && row.stored.aggregate_id == stored.aggregate_id
                });
            if !stands {
                found.push(format!(
                    "{name} is number {} of {} {}, and {before} is missing",
                    stored.sequence, stored.aggregate_type, stored.aggregate_id
                ));
            }
            if name == "Registered" && !self.is_paid(&stored.aggregate_id) {
                found.push(format!(
                    "{} is registered and not paid",
                    stored.aggregate_id
                ));
            }
            let twin = self
                .events
                .values()
                .find(|other| other.stored.command_id == stored.command_id);
            if twin.is_some() {
                found.push(format!("command {} was stored twice", stored.command_id));
            }
        }
        found.dedup();
        self.violations.extend(found);
    }

    fn is_paid(&self, booking: &str) -> bool {
        let stream = StreamId::new("Payment", booking);
        let positions = self
            .streams
            .get(&stream)
            .into_iter()
            .flat_map(BTreeMap::values);
        positions
            .filter_map(|at| self.events.get(at))
            .any(|row| row.stored.event_type == "Approved")
    }

    pub(super) fn check_new_slot(&mut self, new: &Slot) {
        if let Some(other) = self.slots.iter().find(|other| other.overlaps(new)) {
            let found = format!(
                "bookings {} and {} have unit {} at the same time",
                other.bookid, new.bookid, new.unit
            );
            self.violations.push(found);
        }
    }

    pub(super) fn check_applied(
        &mut self,
        follower: &str,
        position: i64,
        stream: &StreamId,
        sequence: i64,
    ) {
        let times = self
            .applied
            .entry((follower.to_owned(), position))
            .or_default();
        *times += 1;
        let twice = *times > 1;
        let reached = self
            .reached
            .entry((follower.to_owned(), stream.clone()))
            .or_default();
        let in_order = sequence == *reached + 1;
        let before = std::mem::replace(reached, sequence);
        if twice {
            let found = format!("{follower} wrote the event at {position} twice");
            self.violations.push(found);
        } else if !in_order {
            let found = format!(
                "{follower} wrote number {sequence} of {} {} after {before}",
                stream.aggregate_type, stream.aggregate_id
            );
            self.violations.push(found);
        }
    }
}
