//! Takes a payment while the customer waits: asks the gateway, and writes down what it said.
//!
//! Whatever happens here, the charge's outcome ends up in the Payment stream: recorded by this call, by the
//! same call when it goes on without its customer, or by a worker that asks the gateway later (`jobs`). An
//! outcome that stands there already is answered from there; the gateway is not called again.

mod late;
pub(crate) mod record;
pub(crate) mod standing;

use std::sync::Arc;

use async_trait::async_trait;
use domain::payment::charge_key;
use domain::ports::{
    ChargeOutcome, ChargeRequest, PaymentDue, PaymentGateway, PendingReason, TakePayment, Taken,
};
use journal::runtime::Runtime;
use journal::{Actor, Journal, StoreError, Trace};

use crate::breaker::Verdict;
use crate::gateway::Counted;
use crate::guard::Guard;
use crate::guarded::{Call, Guarded, Limits, pending};
use crate::settings::PaymentSettings;
use record::{Record, Recorder};
use standing::Standing;

/// The number of a customer's own call among the tries to charge.
const FIRST_ATTEMPT: u32 = 1;

/// Takes payments in this process.
pub struct InlinePayment {
    journal: Journal,
    settings: PaymentSettings,
    charges: Arc<Guarded<Charge>>,
}

impl InlinePayment {
    /// Asks `gateway`, and records in `journal`.
    #[must_use]
    pub fn new(
        journal: Journal,
        gateway: Arc<dyn PaymentGateway>,
        runtime: Arc<dyn Runtime>,
        settings: PaymentSettings,
    ) -> Self {
        let charge = Charge {
            gateway: Counted(gateway),
            recorder: Recorder::new(journal.clone(), Arc::clone(&runtime)),
        };
        let limits = Limits {
            patience: settings.timeout(),
            unanswered: settings.timeout(),
            call_max: settings.call_max(),
            late_max: settings.late_max,
        };
        let guard = Guard::new(
            "inline",
            settings.breaker.clone(),
            Arc::clone(journal.clock()),
        );
        Self {
            charges: Guarded::new(charge, guard, limits, Arc::clone(journal.clock()), runtime),
            journal,
            settings,
        }
    }

    /// What can be answered without calling anybody; none when the charge is to be sent.
    async fn answer_at_once(&self, due: &PaymentDue) -> Result<Option<Taken>, StoreError> {
        let standing = Standing::of(&self.journal, due.bookid, due.charge_no, &self.settings);
        Ok(match standing.await? {
            Standing::Wanted => None,
            // Recorded again: that changes nothing, and answers with the position.
            Standing::Known(outcome) => Some(self.charges.call().conclude(due, outcome).await),
            Standing::NotOurs => Some(pending(PendingReason::Timeout, true)),
            Standing::Unasked => {
                tracing::error!(
                    bookid = due.bookid.0,
                    "a payment was due that nobody asked for"
                );
                Some(pending(PendingReason::NotRecorded, false))
            }
        })
    }
}

#[async_trait]
impl TakePayment for InlinePayment {
    async fn take(&self, due: PaymentDue) -> Taken {
        let mut patience = self.charges.patience();
        let known = tokio::select! {
            biased;
            known = self.answer_at_once(&due) => known,
            () = &mut patience.over => return pending(PendingReason::NotRecorded, true),
        };
        match known {
            Ok(Some(taken)) => taken,
            Ok(None) => self.charges.take(due, patience).await,
            Err(error) => {
                tracing::warn!(bookid = due.bookid.0, %error, "where a payment stands cannot be read");
                // Nothing is sent now; whether something was sent before is what could not be read.
                pending(PendingReason::NotRecorded, true)
            }
        }
    }
}

/// A charge at the gateway, with its outcome in the journal.
struct Charge {
    gateway: Counted,
    recorder: Recorder,
}

#[async_trait]
impl Call for Charge {
    type Answer = ChargeOutcome;

    async fn send(&self, due: &PaymentDue) -> ChargeOutcome {
        let request = ChargeRequest {
            payid: due.bookid,
            charge_no: due.charge_no,
            spacename: due.spacename.clone(),
            price: due.price,
            idempotency_key: charge_key(due.bookid, due.charge_no),
            correlation_id: due.correlation_id.clone(),
        };
        self.gateway.charge(request).await
    }

    fn unanswered(&self, why: &str) -> ChargeOutcome {
        ChargeOutcome::Unknown {
            why: why.to_owned(),
        }
    }

    fn verdict(&self, outcome: &ChargeOutcome) -> Verdict {
        verdict(outcome)
    }

    async fn conclude(&self, due: &PaymentDue, outcome: ChargeOutcome) -> Taken {
        let Some(record) = Record::of_charge(due.bookid, due.charge_no, &outcome, FIRST_ATTEMPT)
        else {
            return pending(PendingReason::Unreachable, false);
        };
        let trace = Trace {
            correlation_id: due.correlation_id.clone(),
            causation_id: None,
            traceparent: due.traceparent.clone(),
            actor: Actor::System,
            actor_id: Some("payment".to_owned()),
        };
        let Ok(position) = self.recorder.record(record, trace).await else {
            return pending(PendingReason::NotRecorded, true);
        };
        match outcome {
            ChargeOutcome::Approved { .. } => Taken::Approved { position },
            ChargeOutcome::Declined { code, message } => Taken::Declined {
                code,
                message,
                position,
            },
            ChargeOutcome::Unknown { .. } | ChargeOutcome::NotSent { .. } => {
                pending(PendingReason::Unreachable, true)
            }
        }
    }
}

/// What a charge's outcome says about the gateway's health.
pub(crate) fn verdict(outcome: &ChargeOutcome) -> Verdict {
    match outcome {
        ChargeOutcome::Approved { .. } | ChargeOutcome::Declined { .. } => Verdict::Answered,
        ChargeOutcome::NotSent { .. } | ChargeOutcome::Unknown { .. } => Verdict::Failed,
    }
}
