//! Refunds: gives money back, under one key however often it is tried.

use async_trait::async_trait;
use domain::BookId;
use domain::order::REFUND_JOB;
use domain::payment::{Payment, Refund, refund_key};
use domain::ports::{PaymentGateway, RefundOutcome, RefundRequest};
use journal::jobs::{Finish, Job};

use super::notes::Notes;
use super::{Desk, KEY_RETENTION, Setback, Work, delay, held, no_answer};
use crate::deadline::later;
use crate::payment::record::{NotRecorded, Record};
use crate::payment::standing::refund_requested_at;

/// How often a refund is tried before people look.
const TRIES_MAX: u32 = 8;
/// What stands for the gateway's code when it did not say anything.
const NO_CODE: &str = "unknown";

/// Work on refunds.
pub(super) struct RefundWork {
    desk: Desk,
}

#[async_trait]
impl Work for RefundWork {
    fn kind(&self) -> &'static str {
        REFUND_JOB
    }

    async fn work(&self, job: &Job) -> Result<Finish, Setback> {
        let notes = match Notes::read(job) {
            Ok(notes) => notes,
            Err(reason) => return Ok(Finish::Attention { reason }),
        };
        let payment = self.desk.journal.history::<Payment>(job.bookid).await?;
        let Some(payment) = payment else {
            let reason = "there is no such payment".to_owned();
            return Ok(Finish::Attention { reason });
        };
        match payment.aggregate.refund(notes.number) {
            Some(refund) if refund.done => Ok(Finish::Done),
            Some(refund) => {
                // A refund cannot be asked for: its key is all that keeps it from being a second one.
                let too_old = refund_requested_at(&payment, notes.number)
                    .is_none_or(|at| self.desk.now() >= later(at, KEY_RETENTION));
                if self.desk.is_held(job, &notes, too_old).await? {
                    return Ok(held());
                }
                self.give_back(job, &notes, refund).await
            }
            None => {
                let reason = "the payment has no such refund".to_owned();
                Ok(Finish::Attention { reason })
            }
        }
    }
}

impl RefundWork {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk }
    }

    async fn give_back(
        &self,
        job: &Job,
        notes: &Notes,
        refund: &Refund,
    ) -> Result<Finish, Setback> {
        let (payid, refund_no) = (BookId(job.bookid), notes.number);
        let attempt = notes.tries.saturating_add(1);
        let request = RefundRequest {
            payid,
            refund_no,
            gateway_ref: refund.gateway_ref.clone(),
            refund: refund.amount,
            reason: refund.reason.clone(),
            idempotency_key: refund_key(payid, refund_no),
            correlation_id: notes.trace.correlation_id.clone(),
        };
        self.desk.note_try(job, attempt).await?;
        let outcome = self.desk.in_time(self.desk.gateway.refund(request)).await;
        match outcome.unwrap_or_else(|| RefundOutcome::Unknown { why: no_answer() }) {
            RefundOutcome::Refunded { refund_ref } => {
                let record = Record::refunded(payid, refund_no, refund_ref);
                self.record(record, notes, Finish::Done).await
            }
            RefundOutcome::Rejected { code } => {
                let reason = format!("the gateway refused: {code}");
                let record = Record::refund_failed(payid, refund_no, attempt, code);
                self.record(record, notes, Finish::Attention { reason })
                    .await
            }
            RefundOutcome::Unknown { why } => {
                let record = Record::refund_failed(payid, refund_no, attempt, NO_CODE.to_owned());
                let finish = if attempt >= TRIES_MAX {
                    Finish::Attention { reason: why }
                } else {
                    let pause = delay(attempt, self.desk.journal.random());
                    self.desk.again_after(pause, why)
                };
                self.record(record, notes, finish).await
            }
        }
    }

    /// Writes a record; the claim then ends with `finish`, unless the payment refuses the record.
    async fn record(
        &self,
        record: Record,
        notes: &Notes,
        finish: Finish,
    ) -> Result<Finish, Setback> {
        match self.desk.recorder.record(record, notes.trace.clone()).await {
            Ok(_position) => Ok(finish),
            Err(NotRecorded::Store(error)) => Err(error.into()),
            Err(refused @ NotRecorded::Refused(_)) => Ok(Finish::Attention {
                reason: refused.to_string(),
            }),
        }
    }
}
