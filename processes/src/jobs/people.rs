//! What people decide about charges and refunds that were left to them.
//!
//! A refund cannot be asked for, so one whose key the gateway may have forgotten goes out again only when somebody says
//! that it was not made; the name stays with the decision. What somebody says became of a charge or refund is
//! recorded as a worker records it, in their name, and the order goes on from there.

use std::collections::HashMap;

use domain::BookId;
use domain::order::{CHARGE_JOB, REFUND_JOB};
use domain::payment::Payment;
use domain::ports::ChargeOutcome;
use jiff::Timestamp;
use journal::recover::{Decided, Decision, JobRow};
use journal::{Actor, CommandError, Done, Journal, StoreError};

use super::notes::{Notes, Told};
use super::refund::may_be_forgotten;
use crate::payment::record::Record;
use crate::payment::standing::refund_requested_at;

/// The number of people's word among the tries to charge; it counts for nothing that is recorded here.
const NO_TRY: u32 = 0;

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

/// Gives a job that is for people back to its worker. `not_refunded` says that the gateway has not made the refund: the
/// person that decides has looked there.
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
        said = Told::of_looking(now).into_payload()?;
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

/// What somebody says became of a charge or refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The charge was not made, and nobody will make it.
    NotCharged,
    /// The charge was made, as it was asked, under this reference of the gateway's.
    Charged(String),
    /// The money is back, under this reference: the gateway's, or a bank transfer's.
    Refunded(String),
}

/// Why nothing was recorded, and nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum NotResolved {
    /// It is about a charge, and the job about a refund; or the other way round.
    #[error("that says nothing of a {0}")]
    NotAbout(String),
    /// The job's row or its payment does not say what it is about.
    #[error("it cannot be told what it is about: {0}")]
    Unclear(String),
    /// Something else is recorded.
    #[error("its payment has an outcome already")]
    Known,
    /// The reference is that of another booking's charge: money would go back to somebody else.
    #[error("{reference} is the reference of a charge of booking {bookid}")]
    OfAnother {
        /// The gateway's reference.
        reference: String,
        /// Whose it is.
        bookid: i64,
    },
    /// The payment refuses it.
    #[error("it cannot be recorded: {0}")]
    Refused(CommandError),
    /// The database did not answer, or the decision names nobody or no reason.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Ends a job that is for people, by what they say: it is appended to the payment, in the name of the person that decides.
///
/// # Errors
/// [`NotResolved`]: the job is as it was. When it is for another reason than the database, nothing was appended.
pub async fn resolve(
    journal: &Journal,
    id: i64,
    decision: &Decision<'_>,
    said: &Said,
) -> Result<Decided, NotResolved> {
    let Some(job) = journal.job(id).await? else {
        return Ok(Decided::Unknown);
    };
    let notes = Notes::of_row(&job).map_err(NotResolved::Unclear)?;
    let record = record(journal, &job, notes.number, said).await?;
    let mut trace = notes.trace;
    trace.actor = Actor::Manager;
    trace.actor_id = Some(decision.by.to_owned());
    let request = record.into_request(trace);
    let append = async {
        match journal.execute_one(request).await {
            Ok(Done::Stored(_) | Done::Already(_)) => Ok(()),
            Ok(Done::Unchanged(_)) => Err(NotResolved::Known),
            Err(CommandError::Store(error)) => Err(error.into()),
            Err(refused) => Err(NotResolved::Refused(refused)),
        }
    };
    journal
        .resolve_job_recorded(id, decision, &said.in_words(), append)
        .await
}

async fn record(
    journal: &Journal,
    job: &JobRow,
    number: u32,
    said: &Said,
) -> Result<Record, NotResolved> {
    let payid = BookId(job.bookid);
    match (job.kind.as_str(), said) {
        (CHARGE_JOB, Said::NotCharged) => Ok(Record::not_charged(payid, number)),
        (CHARGE_JOB, Said::Charged(gateway_ref)) => {
            if let Some(bookid) = journal.charged_under(gateway_ref, payid.0).await? {
                let reference = gateway_ref.clone();
                return Err(NotResolved::OfAnother { reference, bookid });
            }
            let payment = journal.load::<Payment>(payid).await?;
            let charge = payment.as_ref().and_then(|(it, _)| it.charge(number));
            let unclear = || NotResolved::Unclear("there is no such charge".to_owned());
            let outcome = ChargeOutcome::Approved {
                gateway_ref: gateway_ref.clone(),
                captured: charge.ok_or_else(unclear)?.amount,
            };
            Record::of_charge(payid, number, &outcome, NO_TRY).ok_or_else(unclear)
        }
        (REFUND_JOB, Said::Refunded(refund_ref)) => {
            Ok(Record::refunded(payid, number, refund_ref.clone()))
        }
        (kind, _) => Err(NotResolved::NotAbout(kind.to_owned())),
    }
}

impl Said {
    /// As the decision keeps it.
    fn in_words(&self) -> HashMap<String, String> {
        let (what, reference) = match self {
            Self::NotCharged => ("not charged", None),
            Self::Charged(reference) => ("charged", Some(reference)),
            Self::Refunded(reference) => ("refunded", Some(reference)),
        };
        let mut words = HashMap::from([("outcome".to_owned(), what.to_owned())]);
        words.extend(reference.map(|reference| ("reference".to_owned(), reference.clone())));
        words
    }
}
