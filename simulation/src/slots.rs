//! Times that people want: a wish, what is agreed to, and whether what is held is what was promised.

use std::collections::{BTreeMap, BTreeSet};

use domain::book::{self, Scheduled};
use domain::space::Method;
use domain::terms::{self, Policy, Terms, Tier};
use domain::{Event, payment};
use jiff::{SignedDuration, Timestamp};
use journal::Recorded;
use journal::append::Claim;

use crate::database::Inner;
use crate::gateway::Charge;
use crate::people::PRICE;
use crate::scheduler::Scheduler;

/// The start of the first slot there is, in seconds after a schedule begins. What happens before is the storm's; what
/// follows from the hour (a no-show) comes afterwards.
const FIRST_SECOND: i64 = 30;
/// Slots begin at one of these, in seconds after the first, and overlap with the next ones.
const STEP: i64 = 15;
/// How long a slot is, in seconds.
const LENGTH: i64 = 30;

/// How long after the end of a hold a charge may arrive that was about to be sent before: clocks that differ, the note
/// before it, and the way.
const AFTER_HOLD_MAX_MS: i64 = 40_000;

/// A wish for a slot: which unit, or the next one, and at which step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) unit: i64,
    step: i64,
}

impl Wish {
    /// One of few, so that people want the same.
    pub(crate) fn draw(scheduler: &Scheduler) -> Self {
        let below = |bound| i64::try_from(scheduler.below(bound)).unwrap_or(0);
        Self {
            unit: 1 + below(2),
            step: below(4),
        }
    }

    pub(crate) fn slot(self) -> terms::Slot {
        let second = |second| Scheduler::begins_at() + SignedDuration::from_secs(second);
        let from = FIRST_SECOND + self.step * STEP;
        terms::Slot::new(second(from), second(from + LENGTH))
    }

    pub(crate) fn claim(self, bookid: i64) -> Claim {
        let slot = self.slot();
        Claim {
            bookid,
            units: vec![self.unit, self.unit + 1],
            start: slot.start,
            end: slot.end,
        }
    }

    /// What is agreed to when it is booked at `now`.
    pub(crate) fn scheduled(self, now: Timestamp) -> Scheduled {
        Scheduled {
            slot: self.slot(),
            terms: Terms {
                venue_version: 1,
                timezone: "Asia/Seoul".to_owned(),
                policy: Policy {
                    grace_minutes: 0,
                    tiers: vec![Tier {
                        hours_before: 0,
                        refund_percent: 50,
                    }],
                },
                buffer_before_minutes: 0,
                buffer_after_minutes: 0,
                hold_minutes: 1,
                no_show_grace_minutes: 0,
                overtime_per_hour: PRICE,
                hand_over: Method::Key,
            },
            booked_at: now,
        }
    }
}

/// What of the promises about times and points does not hold.
pub(crate) fn check(inner: &Inner, events: &[Recorded], charges: &[Charge]) -> Vec<String> {
    let mut promised = Promised::default();
    for event in events {
        promised.take(event);
    }
    let held: BTreeMap<i64, terms::Slot> = inner.slots.iter().map(as_wanted).collect();
    let mut found = vec![];
    if held != promised.slots {
        let slots = &promised.slots;
        found.push(format!("held is {held:?}, and promised is {slots:?}"));
    }
    found.extend(promised.ends_that_exclude_each_other(charges));
    found.extend(promised.charges_after_the_hold(charges));
    // What was taken back for a refund may leave less than nothing; what was spent may not.
    for (user, left) in promised.points.iter().filter(|(_, left)| **left < 0) {
        found.push(format!("user {user} spent {} points too many", -left));
    }
    found
}

/// What the events promise, by booking; points by user.
#[derive(Default)]
struct Promised<'e> {
    slots: BTreeMap<i64, terms::Slot>,
    /// Until when a slot is kept while nothing is paid.
    holds: BTreeMap<i64, i64>,
    names: BTreeMap<i64, BTreeSet<&'e str>>,
    points: BTreeMap<i64, i64>,
}

impl<'e> Promised<'e> {
    fn take(&mut self, event: &'e Recorded) {
        let bookid = event.key().parse().unwrap_or(0);
        self.names
            .entry(bookid)
            .or_default()
            .insert(event.event_type);
        match &event.event {
            Event::Book(event) => self.take_of_book(bookid, event),
            Event::Payment(event) => self.take_points(event),
            Event::Space(_) => {}
        }
    }

    fn take_of_book(&mut self, bookid: i64, event: &book::Event) {
        use book::Event as E;
        if let E::Booked {
            held_until: Some(until),
            ..
        } = event
        {
            self.holds.insert(bookid, until.as_millisecond());
        }
        match event {
            E::Booked {
                slot: Some(slot), ..
            }
            | E::Rescheduled { slot, .. } => {
                self.slots.insert(bookid, *slot);
            }
            E::Bookcancelled { .. } | E::BookRejected { .. } | E::BookExpired { .. } => {
                self.slots.remove(&bookid);
            }
            _ => {}
        }
    }

    fn take_points(&mut self, event: &payment::Event) {
        use payment::Event as E;
        let (user, more) = match event {
            E::PointsAccrued {
                userid: Some(user),
                points,
                ..
            }
            | E::PointsReturned {
                userid: Some(user),
                points,
                ..
            } => (user, *points),
            E::PointsSpent {
                userid: Some(user),
                points,
                ..
            } => (user, -points),
            _ => return,
        };
        *self.points.entry(user.0).or_default() += more;
    }

    fn ends_that_exclude_each_other(&self, charges: &[Charge]) -> Vec<String> {
        let mut found = vec![];
        for (bookid, names) in &self.names {
            if names.contains("Bookcancelled") && names.contains("HandedOver") {
                found.push(format!("booking {bookid} is cancelled and handed over"));
            }
            // What a process that slept has in hand arrives whenever it wakes up.
            let was_sent = |charge: &Charge| {
                charge.bookid == *bookid && charge.charge_no == 1 && !charge.slept
            };
            if names.contains("BookExpired") && charges.iter().any(was_sent) {
                found.push(format!("booking {bookid} expired, and its charge was sent"));
            }
        }
        found
    }

    fn charges_after_the_hold(&self, charges: &[Charge]) -> Vec<String> {
        let too_late = |charge: &&Charge| {
            let until = self.holds.get(&charge.bookid);
            charge.charge_no == 1
                && !charge.slept
                && until.is_some_and(|until| charge.at_ms > until + AFTER_HOLD_MAX_MS)
        };
        let said = |charge: &Charge| {
            let bookid = charge.bookid;
            format!("booking {bookid} was charged when its slot was kept no longer")
        };
        charges.iter().filter(too_late).map(said).collect()
    }
}

fn as_wanted(slot: &crate::database::Slot) -> (i64, terms::Slot) {
    let slot_of_it = terms::Slot {
        start: slot.start,
        end: slot.end,
        unit: Some(slot.unit),
    };
    (slot.bookid, slot_of_it)
}
