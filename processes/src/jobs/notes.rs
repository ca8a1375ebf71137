//! What a job's row says to its worker: strings by name, written by the saga and by earlier claims.

use std::collections::HashMap;

use domain::order::Due;
use jiff::Timestamp;
use journal::jobs::Job;
use journal::recover::JobRow;
use journal::{Actor, Recorded, Trace};

/// Which charge or refund of the booking's payment.
const NUMBER: &str = "number";
/// Whether a charge may have reached the gateway: `no` is certain.
const SENT: &str = "sent";
/// How often a worker was about to call the gateway.
const TRIES: &str = "tries";
/// Up to which try it is certain that a worker sent nothing.
const NOT_SENT: &str = "not_sent";
/// That the booking is let go: no worker sends its charge any more.
const LET_GO: &str = "let_go";
/// When a worker was last about to send a charge.
const SENT_AT: &str = "sent_at";
/// When a worker was first about to send a refund.
const FIRST_SENT_AT: &str = "first_sent_at";
/// When a person saw that the gateway had not made a refund.
const LOOKED_AT: &str = "looked_at";
/// Until when the booking's slot is kept while nothing was sent.
const HELD_UNTIL: &str = "held_until";
/// Which start a no-show timer is for.
const START: &str = "start";
/// That the charge or refund was wanted in the journal that this one was imported from: `ask` or `hold`.
const ELSEWHERE: &str = "imported";
const CORRELATION_ID: &str = "correlation_id";
const CAUSATION_ID: &str = "causation_id";
const TRACEPARENT: &str = "traceparent";

/// What becomes of an imported charge or refund that has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The gateway is asked, as if somebody had perhaps sent it: somebody else perhaps did.
    Asked,
    /// People look.
    Held,
}

/// The notes of a charge's job.
pub(crate) fn of_charge(
    event: &Recorded,
    charge_no: u32,
    due: Due,
    held_until: Option<Timestamp>,
    imported: Option<Elsewhere>,
) -> HashMap<String, String> {
    let sent = match (due, imported) {
        (Due::Now, None) => "no",
        // A worker of the other system may have sent it after that: its notes stayed there.
        (Due::Now, Some(_)) | (Due::AfterInlineCall, _) => "maybe",
    };
    let mut notes = of_journey(event, charge_no, imported);
    notes.insert(SENT.to_owned(), sent.to_owned());
    notes.extend(held_until.map(|until| (HELD_UNTIL.to_owned(), until.to_string())));
    notes
}

/// The notes of a timer for a no-show.
pub(crate) fn of_no_show(event: &Recorded, start: Timestamp) -> HashMap<String, String> {
    let mut notes = of_journey(event, 0, None);
    notes.insert(START.to_owned(), start.to_string());
    notes
}

/// The notes of a refund's job.
pub(crate) fn of_refund(
    event: &Recorded,
    refund_no: u32,
    imported: Option<Elsewhere>,
) -> HashMap<String, String> {
    of_journey(event, refund_no, imported)
}

/// That a worker is about to call for the `tries`th time.
pub(super) fn of_try(tries: u32) -> HashMap<String, String> {
    HashMap::from([(TRIES.to_owned(), tries.to_string())])
}

/// The same, and that it is a charge that goes out now.
pub(super) fn of_sending(tries: u32, now: Timestamp) -> HashMap<String, String> {
    let mut notes = of_try(tries);
    notes.insert(SENT_AT.to_owned(), now.to_string());
    notes
}

/// That nothing was sent up to the `tries`th try.
pub(super) fn of_not_sent(tries: u32) -> HashMap<String, String> {
    HashMap::from([(NOT_SENT.to_owned(), tries.to_string())])
}

/// That the booking is let go.
pub(super) fn of_letting_go() -> HashMap<String, String> {
    HashMap::from([(LET_GO.to_owned(), "yes".to_owned())])
}

/// That a worker is about to send a refund for the `tries`th time, and when that was so for the first time.
pub(super) fn of_giving_back(tries: u32, first: Timestamp) -> HashMap<String, String> {
    let mut notes = of_try(tries);
    notes.insert(FIRST_SENT_AT.to_owned(), first.to_string());
    notes
}

/// That a person saw at this time that the gateway had not made a refund.
pub(super) fn of_looking(at: Timestamp) -> HashMap<String, String> {
    HashMap::from([(LOOKED_AT.to_owned(), at.to_string())])
}

fn of_journey(
    event: &Recorded,
    number: u32,
    imported: Option<Elsewhere>,
) -> HashMap<String, String> {
    let mut notes = HashMap::from([
        (NUMBER.to_owned(), number.to_string()),
        (
            CORRELATION_ID.to_owned(),
            event.metadata.correlation_id.clone(),
        ),
        (CAUSATION_ID.to_owned(), event.event_id.to_string()),
    ]);
    let traceparent = event.metadata.traceparent.clone();
    notes.extend(traceparent.map(|traceparent| (TRACEPARENT.to_owned(), traceparent)));
    notes.extend(imported.map(|imported| {
        let word = match imported {
            Elsewhere::Asked => "ask",
            Elsewhere::Held => "hold",
        };
        (ELSEWHERE.to_owned(), word.to_owned())
    }));
    notes
}

/// The notes, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notes {
    /// Which charge or refund.
    pub(super) number: u32,
    /// Whether the customer's own call may have sent something.
    pub(super) inline_sent: bool,
    /// How often a worker was about to call before.
    pub(super) tries: u32,
    /// Up to which of them it is certain that nothing was sent.
    not_sent: u32,
    /// Whether the booking is let go.
    pub(super) let_go: bool,
    /// When a worker was last about to send it, by its own clock.
    pub(super) sent_at: Option<Timestamp>,
    /// When a worker was first about to send a refund.
    pub(super) first_sent_at: Option<Timestamp>,
    /// When a person saw that the gateway had not made a refund.
    looked_at: Option<Timestamp>,
    /// Until when the booking's slot is kept while nothing was sent.
    pub(super) held_until: Option<Timestamp>,
    /// Which start a no-show timer is for.
    pub(super) start: Option<Timestamp>,
    /// Whether it was wanted elsewhere, and what then.
    pub(super) imported: Option<Elsewhere>,
    /// The journey that recordings belong to.
    pub(super) trace: Trace,
}

impl Notes {
    /// Reads a job's notes; says what is wrong with them.
    pub(super) fn read(job: &Job) -> Result<Self, String> {
        Self::of(&job.kind, |name| job.payload.get(name).cloned())
    }

    /// The same, of a row that a person looks at.
    pub(super) fn of_row(job: &JobRow) -> Result<Self, String> {
        Self::of(&job.kind, |name| job.payload.get(name).cloned())
    }

    fn of(kind: &str, text: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let count = |name: &str| {
            text(name).map(|n| n.parse::<u32>().map_err(|error| format!("{name}: {error}")))
        };
        let time = |name: &str| {
            let read = |at: String| at.parse().map_err(|error| format!("{name}: {error}"));
            text(name).map(read).transpose()
        };
        Ok(Self {
            number: count(NUMBER).ok_or("it does not say which number it is about")??,
            // Only a clear no is a no.
            inline_sent: text(SENT).is_none_or(|sent| sent != "no"),
            tries: count(TRIES).transpose()?.unwrap_or(0),
            not_sent: count(NOT_SENT).transpose()?.unwrap_or(0),
            let_go: text(LET_GO).is_some(),
            sent_at: time(SENT_AT)?,
            first_sent_at: time(FIRST_SENT_AT)?,
            looked_at: time(LOOKED_AT)?,
            held_until: time(HELD_UNTIL)?,
            start: time(START)?,
            imported: text(ELSEWHERE).map(|word| match word.as_str() {
                "ask" => Elsewhere::Asked,
                _ => Elsewhere::Held,
            }),
            trace: Trace {
                correlation_id: text(CORRELATION_ID).unwrap_or_default(),
                causation_id: text(CAUSATION_ID).and_then(|id| id.parse().ok()),
                traceparent: text(TRACEPARENT),
                actor: Actor::System,
                actor_id: Some(kind.to_owned()),
            },
        })
    }

    /// Whether it is certain that no charge was ever sent.
    pub(super) fn nothing_sent(&self) -> bool {
        !self.inline_sent && self.tries == self.not_sent
    }

    /// Since when the gateway may know a refund's key; none when it was never sent. Who wanted it elsewhere may have
    /// sent it since; what a person did not find there is as if it had been sent now for the first time.
    pub(super) fn key_since(&self, requested_at: Timestamp) -> Option<Timestamp> {
        let sent_at = match (self.imported, self.tries) {
            (None, 0) => return None,
            (None, _) => self.first_sent_at.unwrap_or(requested_at),
            (Some(_), _) => requested_at,
        };
        Some(self.looked_at.map_or(sent_at, |looked| looked.max(sent_at)))
    }
}
