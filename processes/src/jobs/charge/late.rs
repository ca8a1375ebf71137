//! A call that ended when its charge counted as not made already. (`payment::late`)

use jiff::Timestamp;
use journal::jobs::{Finish, Job};

use super::case::Case;
use super::{BUDGET, ChargeWork, FORGOTTEN, Found};
use crate::deadline::later;
use crate::jobs::{KEY_RETENTION, Setback, delay};

impl ChargeWork {
    /// Asks for the charge, again and again for as long as something that went out with the end of the call may take to
    /// arrive. What is found is recorded, and its money goes back; when the gateway still knows nothing then, and did not
    /// at an earlier look, nothing was made.
    pub(super) async fn look_for_late(
        &self,
        job: &Job,
        case: &Case,
        since: Timestamp,
    ) -> Result<Finish, Setback> {
        let desk = &self.desk;
        desk.note_try(job, case.this_try()).await?;
        let asked_at = desk.now();
        let settled_at = later(since, desk.settings.settle());
        let why = match self.ask(case).await {
            Found::Outcome(outcome) => return self.conclude(case, outcome).await,
            Found::Nothing if asked_at >= later(since, KEY_RETENTION) => {
                return Ok(Finish::Attention {
                    reason: FORGOTTEN.to_owned(),
                });
            }
            Found::Nothing if asked_at >= settled_at && case.notes.tries() > 0 => {
                return Ok(Finish::Done);
            }
            Found::Nothing => "the gateway does not know it yet".to_owned(),
            Found::Unclear(why) => why,
        };
        if asked_at >= later(since, BUDGET) {
            return Ok(Finish::Attention { reason: why });
        }
        let pause = delay(case.this_try(), desk.journal.random());
        Ok(desk.again_after(pause, why))
    }
}
