//! What a gateway knows: charges and refunds under their keys, each for a day.

use std::collections::BTreeSet;

use domain::Money;
use domain::payment::Command;
use domain::ports::{ChargeOutcome, ChargeRequest, LookupOutcome, RefundOutcome, RefundRequest};

/// How long a key is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 24 * 3_600_000;

/// A charge in the gateway's books.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The booking.
    pub bookid: i64,
    /// Which charge.
    pub charge_no: u32,
    /// What was captured; nothing of one that was declined.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
    asked: i64,
    reference: String,
    declined: bool,
    /// When it arrived.
    pub(crate) at_ms: i64,
    key: String,
    /// Whether its process slept on the way, for longer than a charge is waited for.
    pub(crate) slept: bool,
}

/// Money that went back, or that the gateway would not give back.
struct Refund {
    bookid: i64,
    refused: bool,
    reference: String,
    at_ms: i64,
    key: String,
}

/// How something arrives, as it is drawn.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) now_ms: i64,
    /// Whether its process slept on the way.
    pub(super) slept: bool,
    /// Whether the gateway will not do it; of what it knows already that makes no difference.
    pub(super) refused: bool,
}

#[derive(Default)]
pub(super) struct Books {
    charges: Vec<Charge>,
    refunds: Vec<Refund>,
    /// Keys of charges that were taken in and are not decided on.
    pub(super) under_way: BTreeSet<String>,
}

impl Books {
    pub(super) fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// Bookings of which a refund was refused.
    pub(super) fn refused(&self) -> BTreeSet<i64> {
        let refused = self.refunds.iter().filter(|refund| refund.refused);
        refused.map(|refund| refund.bookid).collect()
    }

    fn charge_of(&self, key: &str, now_ms: i64) -> Option<&Charge> {
        self.charges
            .iter()
            .find(|charge| charge.key == key && now_ms - charge.at_ms <= REMEMBERED_MS)
    }

    /// The outcome of a charge, and whether it is a new one.
    pub(super) fn charge(
        &mut self,
        request: &ChargeRequest,
        arrival: Arrival,
    ) -> (ChargeOutcome, bool) {
        let key = &request.idempotency_key;
        if let Some(charge) = self.charge_of(key, arrival.now_ms) {
            return (charge.outcome(), false);
        }
        let asked = request.price.minor;
        let charge = Charge {
            bookid: request.payid.0,
            charge_no: request.charge_no,
            captured: if arrival.refused { 0 } else { asked },
            refunded: 0,
            asked,
            reference: format!("charge-{}", self.charges.len() + 1),
            declined: arrival.refused,
            at_ms: arrival.now_ms,
            key: key.clone(),
            slept: arrival.slept,
        };
        let outcome = charge.outcome();
        self.charges.push(charge);
        (outcome, true)
    }

    /// The outcome of a refund, and whether it is a new one.
    pub(super) fn give_back(
        &mut self,
        request: &RefundRequest,
        arrival: Arrival,
    ) -> (RefundOutcome, bool) {
        let key = &request.idempotency_key;
        let known =
            |refund: &&Refund| refund.key == *key && arrival.now_ms - refund.at_ms <= REMEMBERED_MS;
        if let Some(refund) = self.refunds.iter().find(known) {
            return (refund.outcome(), false);
        }
        let of_it = |charge: &&mut Charge| charge.reference == request.gateway_ref;
        let Some(charge) = self.charges.iter_mut().find(of_it) else {
            let code = "no-such-charge".to_owned();
            return (RefundOutcome::Rejected { code }, false);
        };
        if !arrival.refused {
            charge.refunded += request.refund.minor;
        }
        let refund = Refund {
            bookid: request.payid.0,
            refused: arrival.refused,
            reference: format!("refund-{}", self.refunds.len() + 1),
            at_ms: arrival.now_ms,
            key: key.clone(),
        };
        let outcome = refund.outcome();
        self.refunds.push(refund);
        (outcome, true)
    }

    pub(super) fn look_up(&self, key: &str, now_ms: i64) -> LookupOutcome {
        if self.under_way.contains(key) {
            return LookupOutcome::Pending;
        }
        match self.charge_of(key, now_ms).map(Charge::outcome) {
            Some(ChargeOutcome::Approved {
                gateway_ref,
                captured,
            }) => LookupOutcome::Approved {
                gateway_ref,
                captured,
            },
            Some(ChargeOutcome::Declined { code, message }) => {
                LookupOutcome::Declined { code, message }
            }
            _ => LookupOutcome::NotFound,
        }
    }

    /// One of the charges is said to be captured: its booking, what is said, and whether it was declined before.
    pub(super) fn speak_up_of(&mut self, number: usize) -> Option<(i64, Command, bool)> {
        let charge = self.charges.get_mut(number)?;
        let was_declined = std::mem::replace(&mut charge.declined, false);
        if was_declined {
            charge.captured = charge.asked;
        }
        let said = Command::RecordApproval {
            charge_no: charge.charge_no,
            gateway_ref: charge.reference.clone(),
            captured: Money::krw(charge.captured),
        };
        Some((charge.bookid, said, was_declined))
    }
}

impl Charge {
    fn outcome(&self) -> ChargeOutcome {
        if self.declined {
            return ChargeOutcome::Declined {
                code: "card-declined".to_owned(),
                message: "declined".to_owned(),
            };
        }
        ChargeOutcome::Approved {
            gateway_ref: self.reference.clone(),
            captured: Money::krw(self.captured),
        }
    }
}

impl Refund {
    fn outcome(&self) -> RefundOutcome {
        if self.refused {
            let code = "refused".to_owned();
            return RefundOutcome::Rejected { code };
        }
        let refund_ref = self.reference.clone();
        RefundOutcome::Refunded { refund_ref }
    }
}
