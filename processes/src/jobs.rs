//! Works off jobs: charges whose outcome is open, refunds, and the hours at which a no-show is one.
//!
//! A [`Worker`] claims what is due, works on each claim with no transaction open, and finishes it with a
//! fenced update: a worker that took longer than its claim lasts finds that another one has the job, and changes
//! nothing. What fails comes again, later each time; what cannot succeed, or took too long, is left to
//! people. One worker for each kind of job, and as many claims at once as the bulkhead has places.

mod charge;
mod no_show;
pub(crate) mod notes;
pub mod people;
mod refund;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{PaymentGateway, Random};
use futures::future::BoxFuture;
use jiff::Timestamp;
use journal::jobs::{Finish, Job};
use journal::runtime::{Runtime, within};
use journal::{Journal, StoreError, fail_point};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::deadline::later;
use crate::gateway::Counted;
use crate::guard::permits;
use crate::payment::record::Recorder;
use crate::settings::PaymentSettings;
use charge::ChargeWork;
use no_show::NoShowWork;
use notes::{Elsewhere, Notes, Told};
use refund::RefundWork;

/// How long a worker with nothing to do waits before it looks again without being woken.
const POLL: Duration = Duration::from_millis(250);
/// How long a woken worker waits for more to come, so that a burst of checkpoints is one claim.
const GATHER: Duration = Duration::from_millis(20);
/// How long a worker waits when the database did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long a stopping worker waits for its calls in flight; what is left is taken over by others.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How many calls one claim makes at most, one after the other: asking, asking again or charging.
const CALLS_MAX_PER_CLAIM: u64 = 2;
/// How much longer than its calls a claim lasts, in milliseconds: for the database.
const CLAIM_MARGIN_MS: u64 = 10_000;
/// How long a gateway surely remembers a key. After that the same key could be a second charge or refund.
const KEY_RETENTION: Duration = Duration::from_hours(20);
/// The longest wait between two tries, in milliseconds.
const DELAY_MAX_MS: u64 = 60_000;
/// For how long a job whose booking no version can read is tried: what broke the row may be mended meanwhile.
const UNREADABLE_MAX: Duration = Duration::from_hours(24);

/// Works off charges, refunds and no-shows until stopped.
pub async fn run(
    journal: Journal,
    gateway: Arc<dyn PaymentGateway>,
    runtime: Arc<dyn Runtime>,
    settings: PaymentSettings,
    stop: CancellationToken,
) {
    let desk = Desk::new(journal, gateway, runtime, settings);
    let charges = Worker::charges(desk.clone());
    let refunds = Worker::refunds(desk.clone());
    let no_shows = Worker::no_shows(desk);
    futures::join!(
        charges.run(stop.clone()),
        refunds.run(stop.clone()),
        no_shows.run(stop)
    );
}

/// How long to wait before the next try after `tries` tries: 1, 2, 4 … 60 s, of which up to a half is omitted
/// by chance, so that what failed together does not come back together.
#[must_use]
pub fn delay(tries: u32, random: &dyn Random) -> Duration {
    let doublings = tries.saturating_sub(1).min(6);
    let full = (1_000u64 << doublings).min(DELAY_MAX_MS);
    Duration::from_millis(full - random.below(full / 2 + 1))
}

/// A kind of work.
#[async_trait]
trait Work: Send + Sync {
    /// The kind of job.
    fn kind(&self) -> &'static str;
    /// Works on one job; says how its claim ends.
    async fn work(&self, job: &Job) -> Result<Finish, Setback>;
}

/// Why a claim did not get to its end.
#[derive(Debug, thiserror::Error)]
enum Setback {
    /// Somebody else has the job by now: hands off.
    #[error("the claim was lost")]
    ClaimLost,
    /// The database; the job comes again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Works off one kind of job.
pub struct Worker {
    work: Arc<dyn Work>,
    desk: Desk,
    owner: Uuid,
    /// Places for claims at work.
    places: Arc<Semaphore>,
}

impl Worker {
    /// Charges whose outcome is open.
    #[must_use]
    pub fn charges(desk: Desk) -> Self {
        Self::new(Arc::new(ChargeWork::new(desk.clone())), desk)
    }

    /// Refunds.
    #[must_use]
    pub fn refunds(desk: Desk) -> Self {
        Self::new(Arc::new(RefundWork::new(desk.clone())), desk)
    }

    /// The hours at which a no-show is one.
    #[must_use]
    pub fn no_shows(desk: Desk) -> Self {
        Self::new(Arc::new(NoShowWork::new(desk.clone())), desk)
    }

    fn new(work: Arc<dyn Work>, desk: Desk) -> Self {
        Self {
            work,
            owner: desk.journal.random().uuid(),
            places: Arc::new(Semaphore::new(permits(
                desk.settings.breaker.max_concurrent,
            ))),
            desk,
        }
    }

    /// One step: claims what is due, as far as there are places, and starts on it. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; nothing is known to be claimed.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let mut places = Vec::new();
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            places.push(place);
        }
        let limit = i32::try_from(places.len()).unwrap_or(i32::MAX);
        if limit == 0 {
            return Ok(0);
        }
        let jobs = self
            .desk
            .journal
            .claim_jobs(&[self.work.kind()], self.owner, limit, self.claim_ms())
            .await?;
        let started = jobs.len();
        for (job, place) in jobs.into_iter().zip(places) {
            self.start(job, place);
        }
        Ok(started)
    }

    /// Returns when nothing that was started is at work any more.
    pub async fn idle(&self) {
        let all = self.desk.settings.breaker.max_concurrent;
        // The semaphore is never closed, and a permit is given back however its task ends.
        let _ = self.places.acquire_many(all).await;
    }

    fn start(&self, job: Job, place: OwnedSemaphorePermit) {
        let (work, desk) = (Arc::clone(&self.work), self.desk.clone());
        self.desk.runtime.spawn(Box::pin(async move {
            desk.see_to(&*work, &job).await;
            drop(place);
        }));
    }

    /// How long a claim lasts: longer than its work, so that nobody takes over what is still at work.
    fn claim_ms(&self) -> i32 {
        let work_ms = self
            .desk
            .settings
            .call_max_ms
            .saturating_mul(CALLS_MAX_PER_CLAIM);
        i32::try_from(work_ms.saturating_add(CLAIM_MARGIN_MS)).unwrap_or(i32::MAX)
    }

    async fn run(&self, stop: CancellationToken) {
        let runtime = &self.desk.runtime;
        // Jobs are written with checkpoints, so that is what wakes a worker; polling stays the truth.
        let mut moved = self.desk.journal.moved();
        while !stop.is_cancelled() {
            let wait: BoxFuture<'_, ()> = match self.step().await {
                Ok(0) if self.places.available_permits() == 0 => Box::pin(self.free_place()),
                Ok(0) => Box::pin(async {
                    tokio::select! {
                        biased;
                        Ok(()) = moved.changed() => runtime.sleep(GATHER).await,
                        () = runtime.sleep(POLL) => {}
                    }
                }),
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(kind = self.work.kind(), %error, "jobs cannot be claimed");
                    runtime.sleep(STORE_PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = wait => {}
            }
        }
        tokio::select! {
            biased;
            () = self.idle() => {}
            () = runtime.sleep(DRAIN_MAX) => {}
        }
    }

    async fn free_place(&self) {
        let _ = self.places.acquire().await;
    }
}

/// What work of every kind needs.
#[derive(Clone)]
pub struct Desk {
    journal: Journal,
    gateway: Counted,
    recorder: Recorder,
    runtime: Arc<dyn Runtime>,
    settings: PaymentSettings,
}

impl Desk {
    /// Charges and refunds through `gateway`, and records in `journal`.
    #[must_use]
    pub fn new(
        journal: Journal,
        gateway: Arc<dyn PaymentGateway>,
        runtime: Arc<dyn Runtime>,
        settings: PaymentSettings,
    ) -> Self {
        Self {
            gateway: Counted(gateway),
            recorder: Recorder::new(journal.clone(), Arc::clone(&runtime)),
            journal,
            runtime,
            settings,
        }
    }

    /// Works on one claimed job and ends the claim.
    async fn see_to(&self, work: &dyn Work, job: &Job) {
        let kind = work.kind();
        fail_point!("job-claimed", kind);
        let finish = match work.work(job).await {
            Ok(finish) => finish,
            Err(Setback::Store(error)) if error.is_transient() => {
                tracing::warn!(job = job.id, kind, %error, "the database was away in the middle of a job");
                self.again_after(delay(1, self.journal.random()), error.to_string())
            }
            Err(Setback::Store(error @ StoreError::Unreadable(_))) if self.is_stale(job) => {
                // Not one that a newer program could read: nobody will, until people have looked.
                tracing::error!(job = job.id, kind, %error, "a job is left to people: its booking cannot be read");
                let reason = error.to_string();
                Finish::Attention { reason }
            }
            Err(Setback::Store(error)) => {
                // Another node, or a newer one, may be able to. Nothing changes in a second.
                tracing::error!(job = job.id, kind, %error, "a job's booking cannot be read or written here");
                let claims = u32::try_from(job.attempts).unwrap_or(u32::MAX);
                self.again_after(delay(claims, self.journal.random()), error.to_string())
            }
            Err(Setback::ClaimLost) => return fence_shut(kind, job),
        };
        fail_point!("job-worked", kind);
        match self.journal.finish_job(job, &finish).await {
            Ok(true) => {
                let how = match finish {
                    Finish::Done => "done",
                    Finish::Again { .. } => "again",
                    Finish::Attention { .. } => "attention",
                };
                metrics::counter!("jobs_finished_total", "kind" => kind, "how" => how).increment(1);
            }
            Ok(false) => fence_shut(kind, job),
            // The claim runs out by itself, and the job comes again.
            Err(error) => tracing::warn!(job = job.id, kind, %error, "a job was not finished"),
        }
    }

    fn now(&self) -> Timestamp {
        self.journal.clock().now()
    }

    fn is_stale(&self, job: &Job) -> bool {
        self.now() >= later(job.created_at, UNREADABLE_MAX)
    }

    fn again_after(&self, pause: Duration, reason: String) -> Finish {
        Finish::Again {
            due_at: later(self.now(), pause),
            reason,
        }
    }

    /// Whether an imported job is left to people, because those who imported the journal said so. Until somebody decides
    /// that it shall be tried.
    async fn is_held(&self, job: &Job, notes: &Notes) -> Result<bool, StoreError> {
        let held = notes.told.imported == Some(Elsewhere::Held);
        Ok(held && !self.journal.job_was_retried(job.id).await?)
    }

    /// Writes down that the gateway is about to be called, before it is: whoever claims the job after a crash
    /// knows that something may have been sent. Also the last look at the fence.
    async fn note_try(&self, job: &Job, tries: u32) -> Result<(), Setback> {
        self.note(job, Told::of_try(tries)).await
    }

    async fn note(&self, job: &Job, told: Told) -> Result<(), Setback> {
        if self.journal.note_job(job, &told.into_payload()?).await? {
            fail_point!("job-noted", job.kind);
            Ok(())
        } else {
            Err(Setback::ClaimLost)
        }
    }

    /// Waits for a call, as long as a call may take.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        within(&*self.runtime, self.settings.call_max(), call).await
    }
}

/// What stands for an answer that was not waited for.
fn no_answer() -> String {
    "no answer in time".to_owned()
}

/// Why an imported job is left to people.
fn held() -> Finish {
    Finish::Attention {
        reason: "it was wanted where this journal was imported from, and is not sent from here: see at the gateway what \
                 became of it, then retry or resolve"
            .to_owned(),
    }
}

fn fence_shut(kind: &'static str, job: &Job) {
    metrics::counter!("jobs_fence_shut_total", "kind" => kind).increment(1);
    tracing::info!(
        job = job.id,
        kind,
        bookid = job.bookid,
        "the job was settled or taken over meanwhile; nothing was changed"
    );
}
