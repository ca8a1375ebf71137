//! How a payment's events fold into its state. Nothing is decided here, and nothing can fail.

use super::{
    Charge, ChargeState, Event, Extra, FIRST_CHARGE, POINTS_RATE, Payment, Purpose, Refund, Stage,
    Void,
};
use crate::value::Money;

impl Payment {
    pub(super) fn fold(&mut self, event: Event) {
        match event {
            Event::PaymentRequested {
                payid,
                userid,
                spacename,
                price,
                points_rate,
                ..
            } => {
                *self = Self {
                    stage: Stage::Requested,
                    payid: Some(payid),
                    userid,
                    spacename,
                    price,
                    points_rate: points_rate.unwrap_or(POINTS_RATE),
                    ..Self::default()
                };
                self.charges.insert(FIRST_CHARGE, asked(price, None));
            }
            Event::Approved {
                captured,
                gateway_ref,
                ..
            } => {
                self.stage = Stage::Approved;
                self.captured_as(FIRST_CHARGE, captured, gateway_ref);
            }
            Event::ChargeRequested {
                charge_no,
                price,
                purpose,
                ..
            } => {
                if purpose == Extra::Outstanding {
                    self.replace_declined();
                }
                self.charges.insert(charge_no, asked(price, Some(purpose)));
            }
            Event::ChargeApproved {
                charge_no,
                captured,
                gateway_ref,
                ..
            } => self.captured_as(charge_no, captured, gateway_ref),
            Event::ChargeDeclined { charge_no, .. } => self.not_captured(charge_no),
            Event::PointsSpent { points, .. } => self.points_spent += points,
            Event::PointsReturned { points, .. } => self.points_returned += points,
            Event::PointsAccrued { points, .. } => self.points_earned += points,
            Event::PointsClawedBack { points, .. } => self.points_clawed_back += points,
            Event::PaymentDeclined { .. } => {
                self.stage = Stage::Declined;
                self.not_captured(FIRST_CHARGE);
            }
            Event::PaymentOutcomeUnknown { charge_no, .. } => {
                if charge_no == FIRST_CHARGE {
                    self.stage = Stage::Unknown;
                }
            }
            Event::VoidRequested { refund, reason, .. } => {
                self.void = Some(Void { refund, reason });
            }
            Event::RefundRequested {
                refund_no,
                refund,
                purpose,
                gateway_ref,
                reason,
                ..
            } => {
                if purpose == Purpose::Cancellation {
                    self.stage = Stage::Refunding;
                }
                let refund = Refund {
                    amount: refund,
                    purpose,
                    gateway_ref,
                    reason,
                    done: false,
                };
                self.refunds.insert(refund_no, refund);
            }
            Event::PartiallyRefunded { refund_no, .. }
            | Event::SurplusRefunded { refund_no, .. } => {
                self.refund_done(refund_no);
            }
            Event::Cancelled { .. } => {
                self.stage = Stage::Cancelled;
                self.cancellation_done();
            }
            Event::LateApproval {
                charge_no,
                captured,
                gateway_ref,
                ..
            }
            | Event::DuplicateCharge {
                charge_no,
                captured,
                gateway_ref,
                ..
            } => {
                if self.is_charge_open(charge_no) {
                    // A further charge that was no longer wanted: this is its outcome.
                    self.not_captured(charge_no);
                }
                self.surplus.insert(gateway_ref, captured.minor);
            }
            Event::RefundFailed { .. } => self.refund_failed = true,
        }
    }

    fn captured_as(&mut self, charge_no: u32, captured: Money, gateway_ref: String) {
        if let Some(charge) = self.charges.get_mut(&charge_no) {
            charge.amount = captured;
            charge.outcome = ChargeState::Approved(gateway_ref);
        }
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

    fn refund_done(&mut self, refund_no: u32) {
        if let Some(refund) = self.refunds.get_mut(&refund_no) {
            refund.done = true;
            self.refund_failed = false;
        }
    }

    fn cancellation_done(&mut self) {
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
