//! What the saga knows of a booking with a time, and what it wants because of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Due, Intent, Order};
use crate::payment::FIRST_CHARGE;
use crate::terms::{Slot, Terms, later, overtime};
use crate::value::{BookId, Money};
use crate::{Command, payment};

/// What the saga must know of a booking with a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Timed {
    pub(super) slot: Slot,
    held_until: Timestamp,
    pub(super) no_show_grace_minutes: u32,
    /// Per hour.
    overtime: Money,
}

impl Timed {
    /// What an event says of it: all, or nothing.
    pub(super) fn of(
        slot: Option<Slot>,
        terms: Option<&Terms>,
        held_until: Option<Timestamp>,
    ) -> Option<Self> {
        let (slot, terms, held_until) = (slot?, terms?, held_until?);
        Some(Self {
            slot,
            held_until,
            no_show_grace_minutes: terms.no_show_grace_minutes,
            overtime: terms.overtime_per_hour,
        })
    }
}

impl Order {
    pub(super) fn charge(&self, charge_no: u32, due: Due) -> Intent {
        let hold = self.timed.filter(|_| charge_no == FIRST_CHARGE);
        Intent::Charge {
            charge_no,
            due,
            held_until: hold.map(|timed| timed.held_until),
        }
    }

    pub(super) fn no_show_timer(&self) -> Option<Intent> {
        let Timed {
            slot,
            no_show_grace_minutes,
            ..
        } = self.timed?;
        Some(Intent::NoShowTimer {
            start: slot.start,
            at: later(slot.start, no_show_grace_minutes),
        })
    }

    pub(super) fn charge_overtime(&self, bookid: BookId, minutes: u32) -> Option<Intent> {
        let amount = overtime(self.timed?.overtime, minutes);
        let charge = payment::Command::ChargeOvertime { amount };
        (amount.minor > 0).then_some(Intent::Command(Command::Payment(bookid, charge)))
    }
}
