//! Refunds: gives money back, under one key however often it is tried, and never under one that may be forgotten.

use async_trait::async_trait;
use domain::BookId;
use domain::order::REFUND_JOB;
use domain::payment::{Payment, Refund, refund_key};
use domain::ports::{PaymentGateway, RefundOutcome, RefundRequest};
use jiff::Timestamp;
use journal::jobs::{Finish, Job};

use super::notes::{Notes, Told};
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
        let refund = payment.aggregate.refund(notes.number);
        let requested_at = refund_requested_at(&payment, notes.number);
        match refund.zip(requested_at) {
            Some((refund, _)) if refund.done => Ok(Finish::Done),
            Some((refund, requested_at)) => {
                if self.desk.is_held(job, &notes).await? {
                    return Ok(held());
                }
                let since = notes.key_since(requested_at);
                self.give_back(job, &notes, refund, since).await
            }
            None => {
                let reason = "the payment has no such refund".to_owned();
                Ok(Finish::Attention { reason })
            }
        }
    }
}

/// Whether a refund's key that the gateway may know since this time may be forgotten there by now. A refund cannot be
/// asked for: its key is all that keeps it from being a second one.
pub(super) fn may_be_forgotten(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now >= later(since, KEY_RETENTION))
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
        since: Option<Timestamp>,
    ) -> Result<Finish, Setback> {
        let now = self.desk.now();
        if may_be_forgotten(since, now) {
            return Ok(not_sent(notes));
        }
        let (payid, refund_no) = (BookId(job.bookid), notes.number);
        let attempt = notes.tries().saturating_add(1);
        let request = RefundRequest {
            payid,
            refund_no,
            gateway_ref: refund.gateway_ref.clone(),
            refund: refund.amount,
            reason: refund.reason.clone(),
            idempotency_key: refund_key(payid, refund_no),
            correlation_id: notes.trace.correlation_id.clone(),
        };
        let first = notes.told.first_sent_at.or(since).unwrap_or(now);
        let sending = Told::of_giving_back(attempt, first);
        self.desk.note(job, sending).await?;
        // The last thing before it goes out: the note took its time.
        if may_be_forgotten(since.or(Some(now)), self.desk.now()) {
            return Ok(not_sent(notes));
        }
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
            Err(refused @ (NotRecorded::Refused(_) | NotRecorded::Changed)) => {
                Ok(Finish::Attention {
                    reason: refused.to_string(),
                })
            }
        }
    }
}

/// Why a refund is not sent again.
fn not_sent(notes: &Notes) -> Finish {
    if notes.told.imported.is_some() {
        return held();
    }
    Finish::Attention {
        reason: "it was perhaps made, and its key is so old that the gateway may have forgotten it: see there what became \
                 of it, then retry or resolve"
            .to_owned(),
    }
}
