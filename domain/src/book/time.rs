//! A booking's time: what was agreed to with it, what a cancellation then gives back, and moves to another one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Book, Error, Event, Stage};
use crate::payment::Difference;
use crate::status::Status;
use crate::terms::{Slot, Terms, earlier, later, percent_of};
use crate::value::{BookId, Money};

/// How often a booking can be moved.
pub const MOVES_MAX: u32 = 50;

/// The time of a booking, and what was agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The time that was booked.
    pub slot: Slot,
    /// Under which terms.
    pub terms: Terms,
    /// When it was booked.
    pub booked_at: Timestamp,
}

impl Scheduled {
    /// How long the slot is kept while nothing was paid.
    #[must_use]
    pub fn held_until(&self) -> Timestamp {
        later(self.booked_at, self.terms.hold_minutes)
    }
}

/// What a cancellation would give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundQuote {
    /// What is given back.
    pub refund: Money,
    /// What is kept.
    pub fee: Money,
    /// What of the price is given back, in percent.
    pub percent: u8,
    /// Until when it stays so; for ever where there is no time.
    pub until: Option<Timestamp>,
}

impl Scheduled {
    /// What an event says of a booking's time: all of it, or nothing.
    pub(super) fn of(
        slot: Option<Slot>,
        terms: Option<Terms>,
        held_until: Option<Timestamp>,
    ) -> Option<Self> {
        let (slot, terms, held_until) = (slot?, terms?, held_until?);
        let booked_at = earlier(held_until, terms.hold_minutes);
        Some(Self {
            slot,
            terms,
            booked_at,
        })
    }
}

impl Book {
    /// For when it is, and under which terms; nothing for an unscheduled booking.
    #[must_use]
    pub fn scheduled(&self) -> Option<&Scheduled> {
        self.scheduled.as_ref()
    }

    /// For when it is.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.scheduled.as_ref().map(|scheduled| scheduled.slot)
    }

    /// What a cancellation at `at` would give back. A booking that is not confirmed yet, and one without a time, get
    /// everything back.
    #[must_use]
    pub fn refund_quote(&self, at: Timestamp) -> RefundQuote {
        let (percent, until) = match &self.scheduled {
            Some(scheduled) if self.stage == Stage::Confirmed => {
                let Scheduled {
                    slot,
                    terms,
                    booked_at,
                } = scheduled;
                let most = self.refund_percent_max.unwrap_or(100);
                let policy = &terms.policy;
                policy.refund_percent_capped(most, *booked_at, slot.start, at)
            }
            _ => (100, None),
        };
        let refund = percent_of(self.price, percent);
        RefundQuote {
            refund,
            fee: self.price.with_minor(self.price.minor - refund.minor),
            percent,
            until,
        }
    }

    /// What a move at `at` to a time that costs `to` changes.
    #[must_use]
    pub fn difference(&self, to: Money, at: Timestamp) -> Difference {
        Difference {
            from: self.price,
            kept: self.kept,
            to,
            refund_percent: self.refund_quote(at).percent,
        }
    }

    /// What is kept, and not used, after a move to this price.
    pub(super) fn kept_after(&self, price: Money, refund_percent: u8) -> i64 {
        let less = self.price.minor.saturating_sub(price.minor);
        if less > 0 {
            let back = percent_of(self.price.with_minor(less), refund_percent).minor;
            self.kept.saturating_add(less - back)
        } else {
            self.kept.saturating_add(less).max(0)
        }
    }

    pub(super) fn reschedule(
        &self,
        bookid: BookId,
        slot: Slot,
        difference: Difference,
        at: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        let from = self.slot().ok_or(Error::Unscheduled)?;
        match self.stage {
            Stage::Confirmed => self.before_the_start(at)?,
            current => {
                let asked = "moved to another time";
                return Err(Error::IllegalTransition { current, asked });
            }
        }
        // Refused, not absorbed: payment and registration are asked in the same commit, and would go on alone.
        if (from.start, from.end) == (slot.start, slot.end) {
            return Err(Error::SameTime);
        }
        if self.moves >= MOVES_MAX {
            return Err(Error::MovedTooOften);
        }
        if difference != self.difference(difference.to, at) {
            return Err(Error::PriceChanged {
                current: self.price,
            });
        }
        Ok(vec![Event::Rescheduled {
            bookid,
            status: Status::SuccessRegister,
            from,
            slot,
            price: difference.to,
            refund_percent_max: difference.refund_percent,
        }])
    }

    /// Refuses what is too late when the time that was booked has come.
    pub(super) fn before_the_start(&self, at: Timestamp) -> Result<(), Error> {
        match self.slot() {
            Some(Slot { start, .. }) if at >= start => Err(Error::Started { start }),
            _ => Ok(()),
        }
    }
}
