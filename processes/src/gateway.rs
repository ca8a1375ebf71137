//! Adapters for the companies that move money, and how calls to them are counted.
//!
//! There is one adapter so far: [`stub`], which plays such a company in development and tests.

pub mod stub;

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{
    ChargeOutcome, ChargeRequest, LookupOutcome, PaymentGateway, RefundOutcome, RefundRequest,
};
use journal::fail_point;

/// A gateway whose calls are counted, the ones whose answer nobody waited for too.
#[derive(Clone)]
pub(crate) struct Counted(pub(crate) Arc<dyn PaymentGateway>);

#[async_trait]
impl PaymentGateway for Counted {
    async fn charge(&self, request: ChargeRequest) -> ChargeOutcome {
        let count = Count::of("charge");
        fail_point!("charge-due");
        let outcome = self.0.charge(request).await;
        fail_point!("charge-answered");
        count.ended(match outcome {
            ChargeOutcome::Approved { .. } => "approved",
            ChargeOutcome::Declined { .. } => "declined",
            ChargeOutcome::NotSent { .. } => "not_sent",
            ChargeOutcome::Unknown { .. } => "unknown",
        });
        outcome
    }

    async fn refund(&self, request: RefundRequest) -> RefundOutcome {
        let count = Count::of("refund");
        fail_point!("refund-due");
        let outcome = self.0.refund(request).await;
        fail_point!("refund-answered");
        count.ended(match outcome {
            RefundOutcome::Refunded { .. } => "refunded",
            RefundOutcome::Rejected { .. } => "rejected",
            RefundOutcome::Unknown { .. } => "unknown",
        });
        outcome
    }

    async fn look_up(&self, idempotency_key: &str) -> LookupOutcome {
        let count = Count::of("look_up");
        let outcome = self.0.look_up(idempotency_key).await;
        fail_point!("look-up-answered");
        count.ended(match outcome {
            LookupOutcome::Approved { .. } => "approved",
            LookupOutcome::Declined { .. } => "declined",
            LookupOutcome::Pending => "pending",
            LookupOutcome::NotFound => "not_found",
            LookupOutcome::Unknown { .. } => "unknown",
        });
        outcome
    }
}

/// One call in the count, whichever way it ends.
struct Count {
    op: &'static str,
    outcome: &'static str,
}

impl Count {
    fn of(op: &'static str) -> Self {
        let outcome = "unanswered";
        Self { op, outcome }
    }

    fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        metrics::counter!(
            "payment_gateway_calls_total", "op" => self.op, "outcome" => self.outcome
        )
        .increment(1);
    }
}
