//! The end of a hold: a booking is let go when nobody sends its charge any more. (docs/adr/0022)

use domain::{Command, book};
use journal::jobs::{Finish, Job};
use journal::{CommandError, Request};
use uuid::Uuid;

use super::ChargeWork;
use super::case::Case;
use crate::jobs::notes::Told;
use crate::jobs::{Setback, delay};

/// The namespace of the ids of expiries.
const EXPIRY: Uuid = Uuid::from_u128(0x3a5d_90c4_7e1b_4b62_8f0d_c47e_15a9_602b);

impl ChargeWork {
    /// Lets a booking go whose slot was kept long enough, while nothing was sent or nothing arrived. That it is let go is
    /// noted first: a worker that lost the claim expires nothing, and the one that has the next sends nothing, whatever its
    /// clock says.
    /// The saga then undoes the payment, and this job ends with it.
    pub(super) async fn expire(&self, job: &Job, case: &Case) -> Result<Finish, Setback> {
        self.desk.note(job, Told::of_letting_go()).await?;
        let id = Uuid::new_v5(&EXPIRY, case.key().as_bytes());
        let trace = case.notes.trace.clone();
        let expire = Command::Book(case.payid, book::Command::Expire);
        let request = Request::one(id, trace, expire);
        match self.desk.journal.execute_one(request).await {
            Ok(_) => {
                // The saga undoes the payment, and has this job looked at again when it has.
                let reason = "the booking expired; its payment is being undone".to_owned();
                let claims = u32::try_from(job.attempts).unwrap_or(1);
                let pause = delay(claims, self.desk.journal.random());
                Ok(self.desk.again_after(pause, reason))
            }
            Err(CommandError::Store(error)) => Err(error.into()),
            Err(error) => Ok(self.again(case, error.to_string())),
        }
    }

    /// A wait that ends no later than the slot is kept, so that a booking that was never paid expires in time.
    pub(super) fn while_held(&self, case: &Case, finish: Finish) -> Finish {
        match (finish, case.notes.told.held_until) {
            (Finish::Again { due_at, reason }, Some(until)) if self.desk.now() < until => {
                Finish::Again {
                    due_at: due_at.min(until),
                    reason,
                }
            }
            (finish, _) => finish,
        }
    }
}
