//! A group of commands as the array arguments of `journal_append`.

use jiff_sqlx::ToSqlx;
use serde_json::Value;
use uuid::Uuid;

use crate::append::{Append, Claim, event_id};

/// A group as the columns of the SQL function.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) command_ids: Vec<Uuid>,
    pub(super) event_ordinals: Vec<i32>,
    pub(super) aggregate_types: Vec<String>,
    pub(super) aggregate_ids: Vec<String>,
    pub(super) sequences: Vec<i64>,
    pub(super) event_types: Vec<String>,
    pub(super) event_versions: Vec<String>,
    pub(super) payloads: Vec<Value>,
    pub(super) metadatas: Vec<Value>,
    pub(super) event_ids: Vec<Uuid>,
    pub(super) claim_ordinals: Vec<i32>,
    pub(super) claim_bookids: Vec<i64>,
    pub(super) claim_starts: Vec<jiff_sqlx::Timestamp>,
    pub(super) claim_ends: Vec<jiff_sqlx::Timestamp>,
    /// Which claim, from 1 through all commands, may have which unit.
    pub(super) candidate_claims: Vec<i32>,
    pub(super) candidate_units: Vec<i64>,
    pub(super) release_ordinals: Vec<i32>,
    pub(super) release_bookids: Vec<i64>,
    pub(super) spend_ordinals: Vec<i32>,
    pub(super) spend_userids: Vec<i64>,
    pub(super) spend_points: Vec<i64>,
}

impl Columns {
    pub(super) fn of(group: &[Append]) -> Self {
        let mut columns = Self::default();
        for (ordinal, command) in (1..).zip(group) {
            columns.command_ids.push(command.command_id);
            columns.push_events(ordinal, command);
            columns.push_claims(ordinal, &command.claims);
            for bookid in &command.release {
                columns.release_ordinals.push(ordinal);
                columns.release_bookids.push(*bookid);
            }
            if let Some(spend) = command.spend {
                columns.spend_ordinals.push(ordinal);
                columns.spend_userids.push(spend.userid);
                columns.spend_points.push(spend.points);
            }
        }
        columns
    }

    fn push_events(&mut self, ordinal: i32, command: &Append) {
        let metadata = Value::from_iter(command.metadata.to_map());
        let events = command.streams.iter().flat_map(|s| {
            (s.expected_version + 1..)
                .zip(&s.events)
                .map(move |event| (&s.stream, event))
        });
        for (number, (stream, (sequence, event))) in events.enumerate() {
            self.event_ordinals.push(ordinal);
            self.aggregate_types.push(stream.aggregate_type.clone());
            self.aggregate_ids.push(stream.aggregate_id.clone());
            self.sequences.push(sequence);
            self.event_types.push(event.event_type.clone());
            self.event_versions.push(event.event_version.clone());
            self.payloads.push(event.payload.clone());
            self.metadatas.push(metadata.clone());
            self.event_ids.push(event_id(command.command_id, number));
        }
    }

    fn push_claims(&mut self, ordinal: i32, claims: &[Claim]) {
        for claim in claims {
            self.claim_ordinals.push(ordinal);
            self.claim_bookids.push(claim.bookid);
            self.claim_starts.push(claim.start.to_sqlx());
            self.claim_ends.push(claim.end.to_sqlx());
            let number = i32::try_from(self.claim_ordinals.len()).unwrap_or(i32::MAX);
            for unit in &claim.units {
                self.candidate_claims.push(number);
                self.candidate_units.push(*unit);
            }
        }
    }
}
