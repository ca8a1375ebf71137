//! What a job's row says to its worker, written by the saga and by earlier claims.
//!
//! The row holds texts by name, numbers and times too, and the names are the fields of [`Told`]. Versions meet in a
//! rolling upgrade: a name that is not known is passed over, and one that is new must be one to do without.

use std::collections::HashMap;

use domain::order::Due;
use jiff::Timestamp;
use journal::jobs::Job;
use journal::recover::JobRow;
use journal::{Actor, Recorded, StoreError, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is told of a job: by one writer a part, in the row all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// Which charge or refund of the booking's payment; zero of a timer.
    #[serde(with = "as_text")]
    number: Option<u32>,
    /// Whether the customer's own call may have sent something.
    sent: Option<Sent>,
    /// How often a worker was about to call the gateway.
    #[serde(with = "as_text")]
    tries: Option<u32>,
    /// Up to which try it is certain that a worker sent nothing.
    #[serde(with = "as_text")]
    not_sent: Option<u32>,
    /// That the booking is let go: no worker sends its charge any more.
    let_go: Option<LetGo>,
    /// When a worker was last about to send a charge, by its own clock.
    pub(super) sent_at: Option<Timestamp>,
    /// When a worker was first about to send a refund.
    pub(super) first_sent_at: Option<Timestamp>,
    /// When a person saw that the gateway had not made a refund.
    looked_at: Option<Timestamp>,
    /// Until when the booking's slot is kept while nothing was sent.
    pub(super) held_until: Option<Timestamp>,
    /// Which start a no-show timer is for.
    pub(super) start: Option<Timestamp>,
    /// That a charge counts as not made, and when a call for it ended all the same, by the caller's clock.
    pub(super) late_since: Option<Timestamp>,
    /// That the charge or refund was wanted in the journal that this one was imported from, and what then.
    pub(super) imported: Option<Elsewhere>,
    /// Since when it may have been wanted there, where that is before it was wanted here.
    wanted_since: Option<Timestamp>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    traceparent: Option<String>,
}

/// Whether a charge may have reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sent {
    /// Certainly not.
    No,
    /// Only a clear no is a no.
    #[serde(other)]
    Maybe,
}

/// A booking is let go, whatever word says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LetGo {
    #[serde(other)]
    Yes,
}

/// What becomes of an imported charge or refund that has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Elsewhere {
    /// The gateway is asked, as if somebody had perhaps sent it: somebody else perhaps did.
    #[serde(rename = "ask")]
    Asked,
    /// People look.
    #[serde(rename = "hold", other)]
    Held,
}

/// A charge or refund that is wanted, or perhaps wanted, elsewhere too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What becomes of it.
    pub(crate) then: Elsewhere,
    /// Since when, where that is before it was wanted here.
    pub(crate) since: Option<Timestamp>,
}

impl Told {
    /// Of a charge, by the saga.
    pub(crate) fn of_charge(
        event: &Recorded,
        charge_no: u32,
        due: Due,
        held_until: Option<Timestamp>,
        wanted: Option<Wanted>,
    ) -> Self {
        let sent = match (due, wanted) {
            (Due::Now, None) => Sent::No,
            // A worker of the other system may have sent it after that: its notes stayed there.
            (Due::Now, Some(_)) | (Due::AfterInlineCall, _) => Sent::Maybe,
        };
        Self {
            sent: Some(sent),
            held_until,
            ..Self::of_money(event, charge_no, wanted)
        }
    }

    /// Of a timer for a no-show, by the saga.
    pub(crate) fn of_no_show(event: &Recorded, start: Timestamp) -> Self {
        Self {
            start: Some(start),
            ..Self::of_journey(event, 0)
        }
    }

    /// Of a refund, by the saga.
    pub(crate) fn of_refund(event: &Recorded, refund_no: u32, wanted: Option<Wanted>) -> Self {
        Self::of_money(event, refund_no, wanted)
    }

    fn of_money(event: &Recorded, number: u32, wanted: Option<Wanted>) -> Self {
        Self {
            imported: wanted.map(|wanted| wanted.then),
            wanted_since: wanted.and_then(|wanted| wanted.since),
            ..Self::of_journey(event, number)
        }
    }

    /// Of a call for a charge that counts as not made, by whoever gave the call up.
    pub(crate) fn of_late_call(trace: &Trace, charge_no: u32, since: Timestamp) -> Self {
        Self {
            number: Some(charge_no),
            late_since: Some(since),
            correlation_id: Some(trace.correlation_id.clone()),
            causation_id: trace.causation_id.map(|id| id.to_string()),
            traceparent: trace.traceparent.clone(),
            ..Self::default()
        }
    }

    fn of_journey(event: &Recorded, number: u32) -> Self {
        Self {
            number: Some(number),
            correlation_id: Some(event.metadata.correlation_id.clone()),
            causation_id: Some(event.event_id.to_string()),
            traceparent: event.metadata.traceparent.clone(),
            ..Self::default()
        }
    }

    /// That a worker is about to call for the `tries`th time.
    pub(super) fn of_try(tries: u32) -> Self {
        Self {
            tries: Some(tries),
            ..Self::default()
        }
    }

    /// The same, and that it is a charge that goes out now.
    pub(super) fn of_sending(tries: u32, now: Timestamp) -> Self {
        Self {
            sent_at: Some(now),
            ..Self::of_try(tries)
        }
    }

    /// The same of a refund, and when that was so for the first time.
    pub(super) fn of_giving_back(tries: u32, first: Timestamp) -> Self {
        Self {
            first_sent_at: Some(first),
            ..Self::of_try(tries)
        }
    }

    /// That nothing was sent up to the `tries`th try.
    pub(super) fn of_not_sent(tries: u32) -> Self {
        Self {
            not_sent: Some(tries),
            ..Self::default()
        }
    }

    /// That the booking is let go.
    pub(super) fn of_letting_go() -> Self {
        Self {
            let_go: Some(LetGo::Yes),
            ..Self::default()
        }
    }

    /// That a person saw at this time that the gateway had not made a refund.
    pub(super) fn of_looking(at: Timestamp) -> Self {
        Self {
            looked_at: Some(at),
            ..Self::default()
        }
    }

    /// As the row holds it: what is told, and no name beside.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for a field that is not a text; there is none.
    pub(crate) fn into_payload(self) -> Result<HashMap<String, String>, StoreError> {
        let named: HashMap<String, Option<String>> = serde_json::to_value(self)
            .and_then(serde_json::from_value)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(named
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)))
            .collect())
    }

    fn read<'p>(payload: impl Iterator<Item = (&'p String, &'p String)>) -> Result<Self, String> {
        let named: Value = payload
            .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
            .collect();
        serde_path_to_error::deserialize(named).map_err(|error| error.to_string())
    }
}

/// Numbers, as the row holds them.
mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        number: &Option<u32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number
            .map(|number| number.to_string())
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u32>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// A job's notes, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notes {
    /// Which charge or refund.
    pub(super) number: u32,
    /// The journey that recordings belong to.
    pub(super) trace: Trace,
    /// All that was told.
    pub(super) told: Told,
}

impl Notes {
    /// Reads a job's notes; says what is wrong with them.
    pub(super) fn read(job: &Job) -> Result<Self, String> {
        Self::of(&job.kind, Told::read(job.payload.iter())?)
    }

    /// The same, of a row that a person looks at.
    pub(super) fn of_row(job: &JobRow) -> Result<Self, String> {
        Self::of(&job.kind, Told::read(job.payload.iter())?)
    }

    fn of(kind: &str, told: Told) -> Result<Self, String> {
        let causation_id = told.causation_id.as_deref();
        Ok(Self {
            number: told
                .number
                .ok_or("it does not say which number it is about")?,
            trace: Trace {
                correlation_id: told.correlation_id.clone().unwrap_or_default(),
                causation_id: causation_id.and_then(|id| id.parse().ok()),
                traceparent: told.traceparent.clone(),
                actor: Actor::System,
                actor_id: Some(kind.to_owned()),
            },
            told,
        })
    }

    /// Whether the customer's own call may have sent something.
    pub(super) fn inline_sent(&self) -> bool {
        self.told.sent != Some(Sent::No)
    }

    /// How often a worker was about to call before.
    pub(super) fn tries(&self) -> u32 {
        self.told.tries.unwrap_or(0)
    }

    /// Whether the booking is let go.
    pub(super) fn is_let_go(&self) -> bool {
        self.told.let_go.is_some()
    }

    /// Whether it is certain that no charge was ever sent.
    pub(super) fn nothing_sent(&self) -> bool {
        !self.inline_sent() && self.tries() == self.told.not_sent.unwrap_or(0)
    }

    /// Since when it may have been wanted, here or elsewhere: its key is no younger.
    pub(super) fn wanted_since(&self, requested_at: Timestamp) -> Timestamp {
        let elsewhere = self.told.wanted_since.unwrap_or(requested_at);
        elsewhere.min(requested_at)
    }

    /// Since when the gateway may know a refund's key; none when it was never sent. The other system may have sent it
    /// since it was wanted there; what a person did not find at the gateway is as if it had been sent now for the first
    /// time.
    pub(super) fn key_since(&self, requested_at: Timestamp) -> Option<Timestamp> {
        let sent_at = match (self.told.imported, self.tries()) {
            (None, 0) => return None,
            (None, _) => self.told.first_sent_at.unwrap_or(requested_at),
            (Some(_), _) => self.wanted_since(requested_at),
        };
        let looked_at = self.told.looked_at;
        Some(looked_at.map_or(sent_at, |looked| looked.max(sent_at)))
    }
}

#[cfg(test)]
#[path = "notes_tests.rs"]
mod tests;
