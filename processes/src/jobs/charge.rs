//! Charges whose outcome is open: finds out, or sends them again under the same key.
//!
//! Nothing is guessed. What was perhaps sent is asked for first; what the gateway does not know is sent again
//! with its old key, which is the same charge. A charge that is no longer wanted, or whose slot is kept no longer, is
//! never sent; it counts as not charged only when it is certain that nothing was sent, or when the gateway does
//! not know it, twice, long after the last call for it must have ended.

mod case;
mod hold;
mod late;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::BookId;
use domain::order::CHARGE_JOB;
use domain::payment::Payment;
use domain::ports::{ChargeOutcome, LookupOutcome, PaymentGateway, PendingReason};
use jiff::Timestamp;
use journal::jobs::{Finish, Job};

use super::notes::{Notes, Told};
use super::{Desk, KEY_RETENTION, Setback, Work, delay, held, no_answer};
use crate::deadline::later;
use crate::guard::Guard;
use crate::payment::record::{NotRecorded, Record};
use crate::payment::standing::{requested_at, unanswered_at, void_at};
use crate::payment::verdict;
use case::{Case, Move};

/// How long after it was wanted a charge is worked on; then people look.
const BUDGET: Duration = Duration::from_hours(24);
/// How long the note before a call may take: less than what `PAYMENT_SETTLE_MS` allows for.
const NOTE_MAX: Duration = Duration::from_secs(15);
/// Why a charge that the gateway does not know is not settled by that.
const FORGOTTEN: &str =
    "the gateway does not know it, and its key is so old that it may have been forgotten";
/// How long after a "not found" the gateway is asked a second time.
const SECOND_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Work on charges.
pub(super) struct ChargeWork {
    desk: Desk,
    /// Only charges that were never sent stand before it: looking up, and sending again, is what ends an
    /// unknown outcome.
    guard: Arc<Guard>,
}

#[async_trait]
impl Work for ChargeWork {
    fn kind(&self) -> &'static str {
        CHARGE_JOB
    }

    async fn work(&self, job: &Job) -> Result<Finish, Setback> {
        let case = match self.open(job).await? {
            Ok(case) => case,
            Err(reason) => return Ok(Finish::Attention { reason }),
        };
        if let Some(since) = case.notes.told.late_since {
            if self.desk.is_held(job, &case.notes).await? {
                return Ok(held());
            }
            return self.look_for_late(job, &case, since).await;
        }
        let first = case.first_move(self.desk.now());
        if first != Move::Nothing && self.desk.is_held(job, &case.notes).await? {
            return Ok(held());
        }
        match first {
            Move::Nothing => Ok(Finish::Done),
            Move::SayNotCharged => self.say_not_charged(&case).await,
            Move::Charge => self.charge_first(job, &case).await,
            Move::Expire => self.expire(job, &case).await,
            Move::LookUp => self.look_up(job, &case).await,
        }
    }
}

impl ChargeWork {
    pub(super) fn new(desk: Desk) -> Self {
        let guard = Guard::new(
            "background",
            desk.settings.breaker.clone(),
            Arc::clone(desk.journal.clock()),
        );
        Self { desk, guard }
    }

    /// The case of a job as it stands now, or why there is none.
    async fn open(&self, job: &Job) -> Result<Result<Case, String>, Setback> {
        let notes = match Notes::read(job) {
            Ok(notes) => notes,
            Err(reason) => return Ok(Err(reason)),
        };
        let payid = BookId(job.bookid);
        let Some(history) = self.desk.journal.history::<Payment>(payid).await? else {
            return Ok(Err("there is no such payment".to_owned()));
        };
        let Some(requested_at) = requested_at(&history, notes.number) else {
            return Ok(Err("the payment has no such charge".to_owned()));
        };
        let requested_at = notes.wanted_since(requested_at);
        Ok(Ok(Case {
            payid,
            void_at: void_at(&history, notes.number),
            unanswered_at: unanswered_at(&history, notes.number),
            version: history.version,
            notes,
            payment: history.aggregate,
            requested_at,
        }))
    }

    /// Sends a charge that was never sent, if the gateway is well.
    async fn charge_first(&self, job: &Job, case: &Case) -> Result<Finish, Setback> {
        let admitted = match self.guard.try_enter() {
            Ok(admitted) => admitted,
            Err(held_back) => {
                // Nothing was tried, so nothing of its budget is spent; but a long queue must not be claimed
                // and put back all the time.
                let claims = u32::try_from(job.attempts).unwrap_or(1);
                let pause = delay(claims, self.desk.journal.random());
                let reason = PendingReason::from(held_back).to_string();
                return Ok(self.while_held(case, self.desk.again_after(pause, reason)));
            }
        };
        if let Some(not_now) = self.about_to_send(job, case).await? {
            return Ok(not_now);
        }
        let outcome = self.charge(case).await;
        admitted.end(verdict(&outcome));
        if !matches!(outcome, ChargeOutcome::NotSent { .. }) {
            return self.conclude(case, outcome).await;
        }
        // That is certain, so it is as if it had not been tried: the hold ends in time.
        self.desk
            .note(job, Told::of_not_sent(case.this_try()))
            .await?;
        let finish = self.conclude(case, outcome).await?;
        Ok(self.while_held(case, finish))
    }

    /// Asks what became of a charge.
    async fn look_up(&self, job: &Job, case: &Case) -> Result<Finish, Setback> {
        self.desk.note_try(job, case.this_try()).await?;
        match self.ask(case).await {
            Found::Outcome(outcome) => self.conclude(case, outcome).await,
            Found::Nothing if self.is_old(case) => Ok(self.again(case, FORGOTTEN.to_owned())),
            Found::Nothing => match case.unwanted_at(self.desk.now()) {
                Some(unwanted_at) => self.not_found_and_unwanted(job, case, unwanted_at).await,
                None => self.send_again(job, case).await,
            },
            Found::Unclear(why) => Ok(self.again(case, why)),
        }
    }

    /// The gateway does not know a charge that is wanted: the same charge is sent, under the same key.
    async fn send_again(&self, job: &Job, case: &Case) -> Result<Finish, Setback> {
        // The look-up took its time: the charge may have been given up, or got its outcome.
        let case = match self.open(job).await? {
            Ok(now) if now.first_move(self.desk.now()) == Move::Nothing => return Ok(Finish::Done),
            Ok(now) if now.unwanted_at(self.desk.now()).is_some() => {
                return Ok(self.again(case, "it is no longer wanted".to_owned()));
            }
            Ok(now) => now,
            Err(reason) => return Ok(Finish::Attention { reason }),
        };
        if let Some(not_now) = self.about_to_send(job, &case).await? {
            return Ok(not_now);
        }
        // The last thing before it goes out again: whatever was waited for took its time.
        if self.is_old(&case) {
            return Ok(self.again(&case, FORGOTTEN.to_owned()));
        }
        let outcome = self.charge(&case).await;
        self.conclude(&case, outcome).await
    }

    /// Writes down that the charge goes out, and when: "not found" is believed long after that only. A claim that had to
    /// wait too long for its note sends nothing.
    async fn about_to_send(&self, job: &Job, case: &Case) -> Result<Option<Finish>, Setback> {
        let now = self.desk.now();
        let sending = Told::of_sending(case.this_try(), now);
        self.desk.note(job, sending).await?;
        let noted_at = self.desk.now();
        let too_late = noted_at >= later(now, NOTE_MAX) || case.unwanted_at(noted_at).is_some();
        let reason = "the database took too long to note that it is sent";
        Ok(too_late.then(|| self.again(case, reason.to_owned())))
    }

    /// Whether the gateway may have forgotten the charge's key: then sending it could be a second charge, and "not
    /// found" says nothing any more.
    fn is_old(&self, case: &Case) -> bool {
        self.desk.now() >= later(case.requested_at, KEY_RETENTION)
    }

    /// The gateway does not know a charge that is not wanted: that is believed when it is late enough, and
    /// when the gateway says so twice.
    async fn not_found_and_unwanted(
        &self,
        job: &Job,
        case: &Case,
        unwanted_at: Timestamp,
    ) -> Result<Finish, Setback> {
        // A worker may have sent it when the void was decided and not seen yet.
        let unwanted_at = case
            .notes
            .told
            .sent_at
            .map_or(unwanted_at, |sent| sent.max(unwanted_at));
        let settings = &self.desk.settings;
        // A call that ended after its time, because its process slept, may have gone out just before it ended.
        let ended_at = case.unanswered_at.unwrap_or(unwanted_at);
        let settled_at =
            later(unwanted_at, settings.settled_after()).max(later(ended_at, settings.settle()));
        if self.desk.now() < settled_at {
            return Ok(Finish::Again {
                due_at: settled_at,
                reason: "the gateway does not know it yet".to_owned(),
            });
        }
        self.desk.runtime.sleep(SECOND_LOOK_PAUSE).await;
        match self.ask(case).await {
            Found::Outcome(outcome) => self.conclude(case, outcome).await,
            Found::Nothing if self.is_old(case) => Ok(self.again(case, FORGOTTEN.to_owned())),
            Found::Nothing if case.void_at.is_none() => self.expire(job, case).await,
            Found::Nothing => self.say_not_charged(case).await,
            Found::Unclear(why) => Ok(self.again(case, why)),
        }
    }

    async fn charge(&self, case: &Case) -> ChargeOutcome {
        let call = self.desk.gateway.charge(case.request());
        let unknown = || ChargeOutcome::Unknown { why: no_answer() };
        self.desk.in_time(call).await.unwrap_or_else(unknown)
    }

    async fn ask(&self, case: &Case) -> Found {
        let key = case.key();
        match self.desk.in_time(self.desk.gateway.look_up(&key)).await {
            Some(LookupOutcome::Approved {
                gateway_ref,
                captured,
            }) => Found::Outcome(ChargeOutcome::Approved {
                gateway_ref,
                captured,
            }),
            Some(LookupOutcome::Declined { code, message }) => {
                Found::Outcome(ChargeOutcome::Declined { code, message })
            }
            Some(LookupOutcome::NotFound) => Found::Nothing,
            Some(LookupOutcome::Pending) => {
                Found::Unclear("it is under way at the gateway".to_owned())
            }
            Some(LookupOutcome::Unknown { why }) => Found::Unclear(why),
            None => Found::Unclear(no_answer()),
        }
    }

    async fn say_not_charged(&self, case: &Case) -> Result<Finish, Setback> {
        // Whoever says meanwhile that a call ended without an answer has it asked for anew.
        let record = Record::not_charged(case.payid, case.notes.number).at(case.version);
        Ok(self.record(case, record).await?.unwrap_or(Finish::Done))
    }

    /// Records an outcome; an open one is worked on again.
    async fn conclude(&self, case: &Case, outcome: ChargeOutcome) -> Result<Finish, Setback> {
        let record = Record::of_charge(case.payid, case.notes.number, &outcome, case.attempt());
        if let Some(record) = record
            && let Some(finish) = self.record(case, record).await?
        {
            return Ok(finish);
        }
        Ok(match outcome {
            ChargeOutcome::Approved { .. } | ChargeOutcome::Declined { .. } => Finish::Done,
            ChargeOutcome::Unknown { why } | ChargeOutcome::NotSent { why } => {
                self.again(case, why)
            }
        })
    }

    /// Writes a record; says how the claim must end when the payment refuses it.
    async fn record(&self, case: &Case, record: Record) -> Result<Option<Finish>, Setback> {
        match self
            .desk
            .recorder
            .record(record, case.notes.trace.clone())
            .await
        {
            Ok(_position) => Ok(None),
            Err(NotRecorded::Store(error)) => Err(error.into()),
            Err(changed @ NotRecorded::Changed) => Ok(Some(self.again(case, changed.to_string()))),
            Err(refused @ NotRecorded::Refused(_)) => Ok(Some(Finish::Attention {
                reason: refused.to_string(),
            })),
        }
    }

    /// Once more, later; or people, when it has taken too long.
    fn again(&self, case: &Case, reason: String) -> Finish {
        if self.desk.now() >= later(case.requested_at, BUDGET) {
            return Finish::Attention { reason };
        }
        let pause = delay(case.this_try(), self.desk.journal.random());
        self.desk.again_after(pause, reason)
    }
}

/// What a look-up found.
enum Found {
    /// The outcome.
    Outcome(ChargeOutcome),
    /// No such charge, as of now.
    Nothing,
    /// No answer to rely on.
    Unclear(String),
}
