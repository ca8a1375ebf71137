//! How a payment's events fold into its state. Nothing is decided here, and nothing can fail.

use super::{Event, Payment, Purpose, Refund, Stage, Void};

impl Payment {
    pub(super) fn fold(&mut self, event: Event) {
        match event {
            Event::PaymentRequested {
                payid,
                userid,
                spacename,
                price,
                charge_no,
                ..
            } => {
                *self = Self {
                    stage: Stage::Requested,
                    payid: Some(payid),
                    userid,
                    spacename,
                    price,
                    charge_no,
                    ..Self::default()
                };
            }
            Event::Approved {
                captured,
                gateway_ref,
                ..
            } => {
                self.stage = Stage::Approved;
                self.captured += captured.minor;
                self.gateway_ref = Some(gateway_ref);
            }
            Event::PointsAccrued { points, .. } => self.points_earned += points,
            Event::PointsClawedBack { points, .. } => self.points_clawed_back += points,
            Event::PaymentDeclined { .. } => self.stage = Stage::Declined,
            Event::PaymentOutcomeUnknown { .. } => self.stage = Stage::Unknown,
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
                captured,
                gateway_ref,
                ..
            }
            | Event::DuplicateCharge {
                captured,
                gateway_ref,
                ..
            } => {
                self.surplus.insert(gateway_ref, captured.minor);
            }
            Event::RefundFailed { .. } => {}
        }
    }

    fn refund_done(&mut self, refund_no: u32) {
        if let Some(refund) = self.refunds.get_mut(&refund_no) {
            refund.done = true;
        }
    }

    fn cancellation_done(&mut self) {
        for refund in self
            .refunds
            .values_mut()
            .filter(|r| r.purpose == Purpose::Cancellation)
        {
            refund.done = true;
        }
    }
}
