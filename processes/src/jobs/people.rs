//! What people decide about charges and refunds that were left to them.
//!
//! A refund cannot be asked for, so one whose key the gateway may have forgotten goes out again only when somebody says
//! that it was not made; who said so stays with the decision.

use std::collections::HashMap;

use domain::BookId;
use domain::order::REFUND_JOB;
use domain::payment::Payment;
use jiff::Timestamp;
use journal::recover::{Decided, Decision, JobRow};
use journal::{Journal, StoreError};

use super::notes::{self, Notes};
use super::refund::may_be_forgotten;
use crate::payment::standing::refund_requested_at;

/// What became of a decision to try once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It was taken, or there was nothing to take.
    Decided(Decided),
    /// Nothing was changed: since this time the gateway may know the refund's key, and may have forgotten it by now.
    MayBeASecondRefund(Timestamp),
    /// Nothing was changed: that a refund was not made says nothing of this job.
    NoRefund,
}

/// Gives a job that is for people back to its worker. `not_refunded` says that the gateway has not made the refund: who
/// decides has looked there.
///
/// # Errors
/// [`StoreError`] when the database does not answer, or the decision names nobody or no reason.
pub async fn retry(
    journal: &Journal,
    id: i64,
    decision: &Decision<'_>,
    not_refunded: bool,
) -> Result<Retried, StoreError> {
    let Some(job) = journal.job(id).await? else {
        return Ok(Retried::Decided(Decided::Unknown));
    };
    let now = journal.clock().now();
    let mut said = HashMap::new();
    if not_refunded {
        if job.kind != REFUND_JOB {
            return Ok(Retried::NoRefund);
        }
        said = notes::of_looking(now);
    } else if let Some(since) = key_since(journal, &job).await?
        && may_be_forgotten(Some(since), now)
    {
        return Ok(Retried::MayBeASecondRefund(since));
    }
    let decided = journal.retry_job(id, decision, &said).await?;
    Ok(Retried::Decided(decided))
}

/// Since when the gateway may know the key of a refund; none of other jobs, and of those that say too little to be sent.
async fn key_since(journal: &Journal, job: &JobRow) -> Result<Option<Timestamp>, StoreError> {
    if job.kind != REFUND_JOB {
        return Ok(None);
    }
    let Ok(notes) = Notes::of_row(job) else {
        return Ok(None);
    };
    let payment = journal.history::<Payment>(BookId(job.bookid)).await?;
    let requested_at = payment.and_then(|payment| refund_requested_at(&payment, notes.number));
    Ok(requested_at.and_then(|at| notes.key_since(at)))
}
