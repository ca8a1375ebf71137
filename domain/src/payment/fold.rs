//! How a payment's events fold into its state. Nothing is decided here, and nothing can fail.

use std::collections::BTreeMap;

use super::{
    Charge, ChargeState, Event, Extra, FIRST_CHARGE, POINTS_RATE, Payment, Purpose, Refund, Stage,
    Void,
};
use crate::value::{BasisPoints, BookId, Money, UserId};

impl Payment {
    pub(super) fn fold(&mut self, event: Event) {
        use Event as E;
        match event {
            E::PaymentRequested {
                payid,
                userid,
                spacename,
                price,
                points_rate,
                ..
            } => {
                let rate = points_rate.unwrap_or(POINTS_RATE);
                self.requested(payid, userid, spacename, price, rate);
            }
            E::PaymentOutcomeUnknown { charge_no, .. } => self.unknown(charge_no),
            E::Approved {
                captured,
                gateway_ref,
                ..
            } => self.approved(captured, gateway_ref),
            E::PaymentDeclined { .. } => self.declined(),
            E::ChargeRequested {
                charge_no,
                price,
                purpose,
                ..
            } => self.charge_requested(charge_no, price, purpose),
            E::ChargeApproved {
                charge_no,
                captured,
                gateway_ref,
                ..
            } => self.captured_as(charge_no, captured, gateway_ref),
            E::ChargeDeclined { charge_no, .. } => self.not_captured(charge_no),
            E::LateApproval {
                charge_no,
                captured,
                gateway_ref,
                ..
            }
            | E::DuplicateCharge {
                charge_no,
                captured,
                gateway_ref,
                ..
            } => self.captured_unwanted(charge_no, captured, gateway_ref),
            E::VoidRequested { refund, reason, .. } => self.void = Some(Void { refund, reason }),
            E::RefundRequested {
                refund_no,
                refund,
                purpose,
                gateway_ref,
                reason,
                ..
            } => {
                let refund = Refund {
                    amount: refund,
                    purpose,
                    gateway_ref,
                    reason,
                    done: false,
                };
                self.refund_requested(refund_no, refund);
            }
            E::PartiallyRefunded { refund_no, .. } | E::SurplusRefunded { refund_no, .. } => {
                self.refund_done(refund_no);
            }
            E::Cancelled { .. } => self.cancellation_done(),
            E::PointsSpent { points, .. } => self.points_spent += points,
            E::PointsReturned { points, .. } => self.points_returned += points,
            E::PointsAccrued { points, .. } => self.points_earned += points,
            E::PointsClawedBack { points, .. } => self.points_clawed_back += points,
            E::RefundFailed { .. } => self.refund_failed = true,
        }
    }

    fn requested(
        &mut self,
        payid: BookId,
        userid: Option<UserId>,
        spacename: String,
        price: Money,
        points_rate: BasisPoints,
    ) {
        *self = Self {
            stage: Stage::Requested,
            payid: Some(payid),
            userid,
            spacename,
            price,
            points_rate,
            charges: BTreeMap::from([(FIRST_CHARGE, asked(price, None))]),
            ..Self::default()
        };
    }

    fn unknown(&mut self, charge_no: u32) {
        if charge_no == FIRST_CHARGE {
            self.stage = Stage::Unknown;
        }
    }

    fn approved(&mut self, captured: Money, gateway_ref: String) {
        self.stage = Stage::Approved;
        self.captured_as(FIRST_CHARGE, captured, gateway_ref);
    }

    fn declined(&mut self) {
        self.stage = Stage::Declined;
        self.not_captured(FIRST_CHARGE);
    }

    fn charge_requested(&mut self, charge_no: u32, price: Money, purpose: Extra) {
        if purpose == Extra::Outstanding {
            self.replace_declined();
        }
        self.charges.insert(charge_no, asked(price, Some(purpose)));
    }

    fn captured_as(&mut self, charge_no: u32, captured: Money, gateway_ref: String) {
        if let Some(charge) = self.charges.get_mut(&charge_no) {
            charge.amount = captured;
            charge.outcome = ChargeState::Approved(gateway_ref);
        }
    }

    fn captured_unwanted(&mut self, charge_no: u32, captured: Money, gateway_ref: String) {
        if self.is_charge_open(charge_no) {
            // A further charge that was no longer wanted: this is its outcome.
            self.not_captured(charge_no);
        }
        self.surplus.insert(gateway_ref, captured.minor);
    }

    fn replace_declined(&mut self) {
        let further = self.charges.range_mut(FIRST_CHARGE + 1..);
        for (_, charge) in further.filter(|(_, charge)| charge.outcome == ChargeState::Declined) {
            charge.outcome = ChargeState::Replaced;
        }
    }

    fn not_captured(&mut self, charge_no: u32) {
        if let Some(charge) = self.charges.get_mut(&charge_no) {
            charge.outcome = ChargeState::Declined;
        }
    }

    fn refund_requested(&mut self, refund_no: u32, refund: Refund) {
        if refund.purpose == Purpose::Cancellation {
            self.stage = Stage::Refunding;
        }
        self.refunds.insert(refund_no, refund);
    }

    fn refund_done(&mut self, refund_no: u32) {
        if let Some(refund) = self.refunds.get_mut(&refund_no) {
            refund.done = true;
            self.refund_failed = false;
        }
    }

    fn cancellation_done(&mut self) {
        self.stage = Stage::Cancelled;
        for refund in self
            .refunds
            .values_mut()
            .filter(|r| r.purpose == Purpose::Cancellation)
        {
            refund.done = true;
            self.refund_failed = false;
        }
    }
}

/// A charge whose outcome is open.
fn asked(amount: Money, extra: Option<Extra>) -> Charge {
    Charge {
        amount,
        extra,
        outcome: ChargeState::Open,
    }
}
