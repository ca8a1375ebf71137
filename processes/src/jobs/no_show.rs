//! No-shows: when a customer has been waited for long enough, the registration says so.
//!
//! The job only wakes; whether nobody came is the registration's own decision, on its stream and by its time. A
//! booking that was moved has another timer for its new start, and this one finds nothing to do.

use async_trait::async_trait;
use domain::order::NO_SHOW_JOB;
use domain::space::{self, Space};
use domain::{BookId, Command, Refusal};
use journal::jobs::{Finish, Job};
use journal::{CommandError, Request};
use uuid::Uuid;

use super::notes::Notes;
use super::{Desk, Setback, Work};

/// The namespace of the ids of the commands.
const NAMESPACE: Uuid = Uuid::from_u128(0x9c1e_77a2_4d06_4f35_b8aa_21d3_6f40_5e18);

/// Work on no-shows.
pub(super) struct NoShowWork {
    desk: Desk,
}

#[async_trait]
impl Work for NoShowWork {
    fn kind(&self) -> &'static str {
        NO_SHOW_JOB
    }

    async fn work(&self, job: &Job) -> Result<Finish, Setback> {
        let notes = match Notes::read(job) {
            Ok(notes) => notes,
            Err(reason) => return Ok(Finish::Attention { reason }),
        };
        let spaceid = BookId(job.bookid);
        let Some((space, _)) = self.desk.journal.load::<Space>(spaceid).await? else {
            let reason = "there is no such registration".to_owned();
            return Ok(Finish::Attention { reason });
        };
        let is_another_slot = space.slot().map(|slot| slot.start) != notes.told.start;
        if is_another_slot || !may_still_come(space.stage) {
            return Ok(Finish::Done);
        }
        let no_show = space::Command::MarkNoShow {
            at: self.desk.now(),
            by: None,
        };
        let id = Uuid::new_v5(&NAMESPACE, job.key.as_bytes());
        let request = Request::one(id, notes.trace, Command::Space(spaceid, no_show));
        match self.desk.journal.execute_one(request).await {
            Ok(_) => Ok(Finish::Done),
            // The clock of whoever wrote the job was ahead of this one.
            Err(CommandError::Refused(Refusal::Space(space::Error::TooEarly { until }))) => {
                Ok(Finish::Again {
                    due_at: until,
                    reason: "the customer may still come".to_owned(),
                })
            }
            // They came, or the booking was cancelled, in this very moment.
            Err(CommandError::Refused(_)) => Ok(Finish::Done),
            Err(error) => match error.into_store() {
                Ok(error) => Err(error.into()),
                Err(refused) => Ok(Finish::Attention {
                    reason: refused.to_string(),
                }),
            },
        }
    }
}

impl NoShowWork {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

/// Whether the customer was expected and has not come.
fn may_still_come(stage: space::Stage) -> bool {
    use space::Stage as S;
    matches!(
        stage,
        S::Registered | S::Preparing | S::Prepared | S::HandedOver
    )
}
