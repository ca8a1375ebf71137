//! The jobs of a file: those that people have in hand or had settled, and the searches for late calls.

use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use super::{Settling, taken};
use crate::transfer::TransferError;
use crate::transfer::line::KeptJob;
use crate::transfer::state::{LATE_SINCE, RESOLVED};

/// What the payload of a job says that was wanted where the journal comes from, and of what becomes of it here: the
/// gateway is asked, or people are.
const IMPORTED: &str = "imported";
const ASK: &str = "ask";
const HOLD: &str = "hold";

impl Settling<'_> {
    /// Nobody has claimed it here, and an open one is due now: what its worker waited for there has its time in the payload.
    pub(in crate::transfer) async fn job(&mut self, job: KeptJob) -> Result<(), TransferError> {
        let what = format!("the {} job {}", job.kind, job.key);
        let is_late = job.payload.contains_key(LATE_SINCE);
        let kept = sqlx::query_scalar(
            "insert into jobs (kind, key, bookid, payload, state, timer, attempts, last_error,
                               due_at, created_at, finished_at)
             values ($1, $2, $3, case when $5 = 'done' then $4 || jsonb_build_object($12::text, 'elsewhere') else $4 end,
                     $5, $6, $7, $8, case when $5 = 'open' then least($9, clock_timestamp()) else $9 end, $10, $11)
             returning id",
        )
        .bind(job.kind)
        .bind(job.key)
        .bind(job.bookid)
        .bind(Json(job.payload))
        .bind(job.state)
        .bind(job.timer)
        .bind(job.attempts)
        .bind(job.last_error)
        .bind(job.due_at.to_sqlx())
        .bind(job.created_at.to_sqlx())
        .bind(job.finished_at.map(ToSqlx::to_sqlx))
        .bind(RESOLVED)
        .fetch_one(&mut *self.tx)
        .await;
        let id = taken(kept, what)?;
        if is_late {
            self.late.push(id);
        }
        self.settled.jobs += 1;
        Ok(())
    }

    /// Has the searches for late calls go on as everything else that was imported: where payments are held, people are
    /// asked and not the gateway. What one finds may have been found and given back there, too, under the same key; so it
    /// follows from the last event of its payment, and a refund of it is held with that, and as old.
    pub(in crate::transfer) async fn late_calls(
        &mut self,
        payments_held: bool,
    ) -> Result<(), TransferError> {
        sqlx::query(
            "update jobs j
             set payload = coalesce((
                     select jsonb_build_object('causation_id', e.event_id) from events e
                     where e.aggregate_type = 'Payment' and e.aggregate_id = j.bookid::text
                       and e.position between $2 and $3
                     order by e.sequence desc limit 1
                 ), '{}') || j.payload || jsonb_build_object($4::text, $5::text)
             where j.id = any ($1)",
        )
        .bind(&self.late)
        .bind(self.part.first)
        .bind(self.part.last)
        .bind(IMPORTED)
        .bind(if payments_held { HOLD } else { ASK })
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
