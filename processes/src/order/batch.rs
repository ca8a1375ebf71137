//! A batch of events, folded: which rows changed, which commands and jobs came out. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::order::{CHARGE_JOB, Due, Intent, NO_SHOW_JOB, Order, REFUND_JOB};
use domain::payment::{charge_key, refund_key};
use domain::{BookId, Command};
use jiff::Timestamp;
use journal::follow::HandlerError;
use journal::jobs::NewJob;
use journal::{Recorded, Request, Trace};
use uuid::Uuid;

use super::past::Past;
use crate::deadline::later;
use crate::jobs::notes::Told;
use crate::settings::PaymentSettings;

/// The namespace of the ids of the saga's commands.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f0d_6a4e_b1c3_4d58_9e77_0c8b_41f2_d605);
/// How long after the end of the customer's own call a worker takes over: what the clocks of two machines and
/// the recording of an answer may need.
const TAKE_OVER_MARGIN: Duration = Duration::from_secs(3);

/// An order as its row holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OrderRow {
    pub(super) order: Order,
    /// The last event that is in it.
    pub(super) position: i64,
}

/// Rows by booking.
pub(super) type Orders = BTreeMap<i64, OrderRow>;

/// Which event a command follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) position: i64,
}

/// What a batch is folded under.
pub(super) struct Terms<'t> {
    /// What of it happened elsewhere.
    pub(super) past: &'t Past,
    pub(super) settings: &'t PaymentSettings,
    pub(super) now: Timestamp,
}

impl Terms<'_> {
    /// When a worker sees to a charge that an event asks for.
    fn charge_due_at(&self, event: &Recorded, due: Due) -> Timestamp {
        match due {
            Due::Now => self.now,
            Due::AfterInlineCall => {
                let call_ends = later(event.metadata.occurred_at, self.settings.inline_max());
                later(call_ends, TAKE_OVER_MARGIN)
            }
        }
    }
}

/// What a batch comes to.
#[derive(Debug, Default)]
pub struct Plan {
    orders: Orders,
    changed: BTreeSet<i64>,
    requests: Vec<(Cause, Request)>,
    /// As they came out: the same job may be there twice.
    jobs: Vec<NewJob>,
    settled: BTreeSet<String>,
    unwanted: BTreeSet<String>,
}

impl Plan {
    /// Folds `events` into the rows that are there.
    pub(super) fn fold(
        orders: Orders,
        events: &[Recorded],
        terms: &Terms<'_>,
    ) -> Result<Self, HandlerError> {
        let mut plan = Self {
            orders,
            ..Self::default()
        };
        // A row that is read as several events is one cause: the steps that follow from it are counted through all
        // of them, so that no two of its commands have the same id, and a split that changes nothing changes no id.
        for parts in events.chunk_by(|one, next| one.position == next.position) {
            let Some(first) = parts.first() else { continue };
            let bookid = bookid(first)?;
            let row = plan.orders.entry(bookid).or_default();
            if first.position <= row.position {
                continue;
            }
            let react = |event| row.order.react(BookId(bookid), event);
            let intents: Vec<Intent> = parts
                .iter()
                .map(|part| &part.event)
                .flat_map(react)
                .collect();
            row.position = first.position;
            plan.changed.insert(bookid);
            for (step, intent) in (0..).zip(intents) {
                plan.take_up(BookId(bookid), first, step, intent, terms)?;
            }
        }
        Ok(plan)
    }

    fn take_up(
        &mut self,
        bookid: BookId,
        event: &Recorded,
        step: u32,
        intent: Intent,
        terms: &Terms<'_>,
    ) -> Result<(), HandlerError> {
        let origin = terms.past.origin(event);
        match intent {
            // It was sent there, and what it did stands behind it.
            Intent::Command(_) if origin.is_done() => {}
            Intent::Command(command) => self.requests.push(request(event, step, command)),
            Intent::ChargeSettled { charge_no } => {
                self.settled.insert(charge_key(bookid, charge_no));
            }
            // What people had in hand where it comes from is theirs.
            Intent::ChargeUnwanted { .. } if origin.is_done() => {}
            Intent::ChargeUnwanted { charge_no } => {
                self.unwanted.insert(charge_key(bookid, charge_no));
            }
            Intent::Charge {
                charge_no,
                due,
                held_until,
            } => self.jobs.push(NewJob {
                kind: CHARGE_JOB,
                key: charge_key(bookid, charge_no),
                bookid: bookid.0,
                payload: Told::of_charge(event, charge_no, due, held_until, origin.wanted())
                    .into_payload()?,
                due_at: terms.charge_due_at(event, due),
                timer: false,
            }),
            Intent::Refund { refund_no } => self.jobs.push(NewJob {
                kind: REFUND_JOB,
                key: refund_key(bookid, refund_no),
                bookid: bookid.0,
                payload: Told::of_refund(event, refund_no, origin.wanted()).into_payload()?,
                due_at: terms.now,
                timer: false,
            }),
            Intent::NoShowTimer { start, at } => self.jobs.push(NewJob {
                kind: NO_SHOW_JOB,
                key: format!("no-show:{bookid}:{start}"),
                bookid: bookid.0,
                payload: Told::of_no_show(event, start).into_payload()?,
                due_at: at,
                timer: true,
            }),
        }
        Ok(())
    }

    /// The commands to send, each with its cause.
    pub(super) fn take_requests(&mut self) -> Vec<(Cause, Request)> {
        std::mem::take(&mut self.requests)
    }

    /// The rows that changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = (i64, &OrderRow)> {
        let changed = |(bookid, _): &(&i64, _)| self.changed.contains(bookid);
        self.orders
            .iter()
            .filter(changed)
            .map(|(bookid, row)| (*bookid, row))
    }

    /// Keys of the charges that have their outcome.
    pub(super) fn settled(&self) -> Vec<String> {
        self.settled.iter().cloned().collect()
    }

    /// Keys of the charges that are not wanted any more.
    pub(super) fn unwanted(&self) -> Vec<String> {
        self.unwanted.iter().cloned().collect()
    }

    /// The jobs to write, the same one perhaps twice: [`journal::jobs::schedule`] makes one of them. A charge that has its
    /// outcome needs none: most bookings never get a row.
    pub(super) fn jobs(&self) -> Vec<NewJob> {
        let open = |job: &&NewJob| job.kind != CHARGE_JOB || !self.settled.contains(&job.key);
        self.jobs.iter().filter(open).cloned().collect()
    }
}

/// The bookings that a batch is about.
pub(super) fn bookids(events: &[Recorded]) -> Result<Vec<i64>, HandlerError> {
    let bookids: Result<BTreeSet<_>, _> = events.iter().map(bookid).collect();
    Ok(bookids?.into_iter().collect())
}

/// Nothing more can be done for this booking.
pub(super) fn poison_of(booking: i64, events: &[Recorded], reason: &str) -> HandlerError {
    let first = events
        .iter()
        .find(|event| bookid(event).is_ok_and(|id| id == booking));
    HandlerError::Poison {
        position: first.map_or(0, |event| event.position),
        reason: format!("its order cannot be read: {reason}"),
    }
}

fn bookid(event: &Recorded) -> Result<i64, HandlerError> {
    event.key().parse().map_err(|error| HandlerError::Poison {
        position: event.position,
        reason: format!("its stream is not named by a booking's number: {error}"),
    })
}

fn request(event: &Recorded, step: u32, command: Command) -> (Cause, Request) {
    let trace = Trace::caused_by(event.event_id, &event.metadata, "order");
    let cause = Cause {
        position: event.position,
    };
    (
        cause,
        Request::one(command_id(event.event_id, step), trace, command),
    )
}

/// The same event and step give the same id: sent twice, it happens once.
fn command_id(event_id: Uuid, step: u32) -> Uuid {
    let mut name = [0; 20];
    name[..16].copy_from_slice(event_id.as_bytes());
    name[16..].copy_from_slice(&step.to_be_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
