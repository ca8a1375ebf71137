//! Whose charge the gateway knows under a reference.

use crate::{Journal, StoreError};

/// How many positions a statement looks through: a journal of any size is then looked through without one that takes
/// long. No index serves this; people ask, a few times a year.
const STEP: i64 = 500_000;

impl Journal {
    /// Another booking than `bookid` whose payment has a charge under this reference.
    ///
    /// Reads the events of all payments, in steps: about a second for a million events.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn charged_under(
        &self,
        gateway_ref: &str,
        bookid: i64,
    ) -> Result<Option<i64>, StoreError> {
        let head = self.head().await?;
        let mut behind = 0;
        while behind < head {
            let found: Option<i64> = sqlx::query_scalar(
                "select aggregate_id::bigint from events
                 where position > $1 and position <= $2 and aggregate_type = 'Payment'
                   and event_type in ('Approved', 'ChargeApproved', 'LateApproval', 'DuplicateCharge')
                   and payload ->> 'gateway_ref' = $3 and aggregate_id <> $4::bigint::text
                 limit 1",
            )
            .bind(behind)
            .bind(behind + STEP)
            .bind(gateway_ref)
            .bind(bookid)
            .fetch_optional(self.pool())
            .await?;
            if found.is_some() {
                return Ok(found);
            }
            behind += STEP;
        }
        Ok(None)
    }
}
