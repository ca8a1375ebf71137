//! A charge as a claim finds it, and what the claim does first.

use domain::payment::{Payment, charge_key};
use domain::ports::ChargeRequest;
use domain::{BookId, Money};
use jiff::Timestamp;

use crate::jobs::notes::Notes;

/// A charge, as the journal knows it.
pub(super) struct Case {
    pub(super) payid: BookId,
    pub(super) notes: Notes,
    pub(super) payment: Payment,
    pub(super) requested_at: Timestamp,
    /// When it was no longer wanted, if so.
    pub(super) void_at: Option<Timestamp>,
    /// When a call for it last ended without an answer, as the payment knows it.
    pub(super) unanswered_at: Option<Timestamp>,
    /// The version of the payment that all this is of.
    pub(super) version: i64,
}

/// What a claim does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It has its outcome.
    Nothing,
    /// Nothing was sent, and nothing will be.
    SayNotCharged,
    /// Nothing was sent: send it.
    Charge,
    /// Nothing was sent, and the slot is kept no longer: let the booking go.
    Expire,
    /// Something may have been sent: ask.
    LookUp,
}

impl Case {
    pub(super) fn first_move(&self, now: Timestamp) -> Move {
        let is_open = self.payment.is_charge_open(self.notes.number);
        // Another call for the same charge may have gone out, and the payment knows that it was not answered.
        let nothing_sent = self.notes.nothing_sent() && self.unanswered_at.is_none();
        match (is_open, nothing_sent, self.void_at) {
            (false, _, _) => Move::Nothing,
            (true, true, Some(_)) => Move::SayNotCharged,
            (true, true, None) if self.hold_ended_at(now).is_some() => Move::Expire,
            (true, true, None) => Move::Charge,
            (true, false, _) => Move::LookUp,
        }
    }

    /// Since when nobody sends it any more, if so: it was given up, or its slot is kept no longer.
    pub(super) fn unwanted_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.void_at.or_else(|| self.hold_ended_at(now))
    }

    /// When the hold ended: by the clock, or because somebody with a claim has noted that the booking is let go.
    fn hold_ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        let is_over = |until: &Timestamp| *until <= now || self.notes.is_let_go();
        self.notes.told.held_until.filter(is_over)
    }

    /// What the charge asks.
    fn amount(&self) -> Money {
        let charge = self.payment.charge(self.notes.number);
        charge.map_or_else(|| self.payment.price(), |charge| charge.amount)
    }

    pub(super) fn key(&self) -> String {
        charge_key(self.payid, self.notes.number)
    }

    /// The number of this claim's try to charge; the customer's own call was the first one.
    pub(super) fn attempt(&self) -> u32 {
        self.this_try() + u32::from(self.notes.inline_sent())
    }

    pub(super) fn this_try(&self) -> u32 {
        self.notes.tries().saturating_add(1)
    }

    pub(super) fn request(&self) -> ChargeRequest {
        ChargeRequest {
            payid: self.payid,
            charge_no: self.notes.number,
            spacename: self.payment.spacename().to_owned(),
            price: self.amount(),
            idempotency_key: self.key(),
            correlation_id: self.notes.trace.correlation_id.clone(),
        }
    }
}
