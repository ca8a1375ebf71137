//! Calls whose time was over long before they ended: a process that sleeps wakes up with one in hand.
//!
//! A charge counts as not made when the gateway does not know it long after every call for it must have ended. A process
//! that sleeps does not keep to that: its call may arrive when it wakes up, and its answer is lost, because everything
//! that was timed runs out at that moment. It finds that the charge counts as not made, and has the gateway asked again.

use domain::BookId;
use domain::order::CHARGE_JOB;
use domain::payment::{Payment, charge_key};
use journal::jobs::NewJob;
use journal::{Journal, StoreError, Trace};

use super::standing::counts_as_not_made;
use crate::jobs::notes::Told;

/// Has a worker ask what became of a call without an answer, if its charge counts as not made; else that is asked anyhow,
/// or known.
pub(super) async fn look(
    journal: &Journal,
    payid: BookId,
    charge_no: u32,
    trace: &Trace,
) -> Result<(), StoreError> {
    let payment = journal.history::<Payment>(payid).await?;
    if !payment.is_some_and(|payment| counts_as_not_made(&payment, charge_no)) {
        return Ok(());
    }
    let now = journal.clock().now();
    let key = charge_key(payid, charge_no);
    metrics::counter!("payment_calls_after_their_time_total").increment(1);
    tracing::warn!(
        key,
        bookid = payid.0,
        "a call ended when its charge counted as not made already; the gateway is asked again"
    );
    // A job of its own: the saga ends the charge's when it reads that the charge was not made, and that may be now.
    let job = NewJob {
        kind: CHARGE_JOB,
        key: format!("{key}:late"),
        bookid: payid.0,
        payload: Told::of_late_call(trace, charge_no, now).into_payload()?,
        due_at: now,
        timer: false,
    };
    journal.reopen_job(&job).await
}
