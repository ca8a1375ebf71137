//! Whether one more booking may wait for its payment.
//!
//! Open jobs of first charges are the bookings that wait for money, in the whole cluster; what a booking is charged
//! later (a move, time past the end) is nobody's reason to turn others away. The count is kept for
//! [`FRESH`] by each router that takes bookings, so that a storm of them asks the database five times a second (twice
//! that where a process opens the gateway's port beside the role's own) and not once each; a failed
//! count is kept as long, so that a storage that is away is waited for once and not once each.

use domain::order::{CHARGE_JOB, FIRST_CHARGE_ENDS};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::problem::Problem;
use crate::state::Api;

/// How long a count is believed.
const FRESH: SignedDuration = SignedDuration::from_millis(200);

/// The last count, and when it was taken.
#[derive(Default)]
pub(crate) struct Backlog(Mutex<Option<(Timestamp, Result<i64, Problem>)>>);

impl Api {
    /// Refuses when too many bookings wait. Nothing was stored then.
    pub(crate) async fn admit_booking(&self) -> Result<(), Problem> {
        let waiting = self.waiting_for_money().await?;
        if waiting > self.settings.payment_backlog_max {
            metrics::counter!("bookings_refused_total", "reason" => "payment-overloaded")
                .increment(1);
            return Err(Problem::PaymentOverloaded);
        }
        Ok(())
    }

    async fn waiting_for_money(&self) -> Result<i64, Problem> {
        let mut last = self.backlog.0.lock().await;
        let now = self.journal.clock().now();
        match &*last {
            // A clock that was set back makes a count older than it looks, not younger.
            Some((at, count)) if now.duration_since(*at).abs() < FRESH => count.clone(),
            _ => {
                let count = self
                    .journal
                    .open_jobs_ending(CHARGE_JOB, FIRST_CHARGE_ENDS)
                    .await
                    .map_err(Problem::from);
                if let Ok(count) = count {
                    metrics::gauge!("pending_payments")
                        .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
                }
                *last = Some((self.journal.clock().now(), count.clone()));
                count
            }
        }
    }
}
