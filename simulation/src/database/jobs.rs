//! Jobs, as migrations/0003 has them.

use std::collections::HashMap;

use domain::order::REFUND_JOB;
use jiff::Timestamp;
use journal::jobs::{Finish, Job, NewJob};

use super::{Database, Inner};
use crate::mutation::Mutation;

/// What is to become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is worked on, or waits.
    Open,
    /// Nothing more to do.
    Done,
    /// People must look.
    Attention,
}

/// A job's row.
#[derive(Clone, Debug)]
pub struct JobRow {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) bookid: i64,
    pub(crate) payload: HashMap<String, String>,
    pub(crate) state: JobState,
    due_at_ms: i64,
    attempts: i32,
    fence: i64,
    claimed_until_ms: Option<i64>,
    pub(crate) last_error: Option<String>,
    created_at: Timestamp,
}

impl Database {
    pub(super) fn claim_due(&self, kinds: &[String], limit: i32, lease_ms: i32) -> Vec<Job> {
        let now = self.scheduler.now_ms();
        let mut inner = self.inner();
        let free = |job: &JobRow| match job.claimed_until_ms {
            None => true,
            Some(until) => until < now && !self.has(Mutation::JobClaimNeverEnds),
        };
        let mut due: Vec<(i64, i64)> = inner
            .jobs
            .iter()
            .filter(|(_, job)| job.state == JobState::Open && kinds.contains(&job.kind))
            .filter(|(_, job)| job.due_at_ms <= now && free(job))
            .map(|(id, job)| (job.due_at_ms, *id))
            .collect();
        due.sort_unstable();
        due.truncate(usize::try_from(limit).unwrap_or(0));
        let mut claimed = vec![];
        for (_, id) in due {
            let Some(job) = inner.jobs.get_mut(&id) else {
                continue;
            };
            job.fence += 1;
            job.attempts += 1;
            let took_over = job.claimed_until_ms.is_some();
            job.claimed_until_ms = Some(now + i64::from(lease_ms));
            let mut given = job.claimed(id);
            if self.has(Mutation::HoldNotKnown) {
                given.payload.remove("held_until");
            }
            claimed.push(given);
            self.scheduler
                .tell(|| format!("job {}: claimed, {:?}", job.key, job.payload));
            if took_over {
                inner.count("a job was taken over");
            }
        }
        claimed
    }

    /// Only a call that ended after its time asks for that.
    pub(super) fn reopen(&self, new: &NewJob) {
        if self.has(Mutation::LateCallNotAsked) {
            return;
        }
        let now = self.scheduler.now();
        let mut inner = self.inner();
        let about = |job: &&mut JobRow| job.kind == new.kind && job.key == new.key;
        let Some(job) = inner.jobs.values_mut().find(about) else {
            inner.schedule(new, now, true);
            return;
        };
        job.state = JobState::Open;
        job.fence += 1;
        job.claimed_until_ms = None;
        job.due_at_ms = new.due_at.as_millisecond();
        job.payload.extend(new.payload.clone());
    }

    pub(super) fn note(&self, job: &Job, notes: &HashMap<String, String>) -> bool {
        let mut inner = self.inner();
        let Some(row) = inner.jobs.get_mut(&job.id) else {
            return false;
        };
        if row.fence != job.fence || row.state != JobState::Open {
            inner.count("a job's fence was shut");
            return false;
        }
        let is_forgotten = self.has(Mutation::TryNotNoted)
            || (self.has(Mutation::RefundKeySentAfterRetention) && job.kind == REFUND_JOB);
        if !is_forgotten {
            row.payload.extend(notes.clone());
        }
        true
    }

    pub(super) fn finish(&self, job: &Job, finish: &Finish) -> bool {
        self.scheduler
            .tell(|| format!("job {}: {finish:?}", job.key));
        let mut inner = self.inner();
        let Some(row) = inner.jobs.get_mut(&job.id) else {
            return false;
        };
        let ours = row.fence == job.fence && row.state == JobState::Open;
        if !ours && !self.has(Mutation::JobFenceOpen) {
            inner.count("a job's fence was shut");
            return false;
        }
        row.claimed_until_ms = None;
        match finish {
            Finish::Done => row.state = JobState::Done,
            Finish::Again { due_at, reason } => {
                row.state = JobState::Open;
                row.due_at_ms = due_at.as_millisecond();
                row.last_error = Some(reason.clone());
            }
            Finish::Attention { reason } => {
                row.state = if self.has(Mutation::LeftToNobody) {
                    JobState::Done
                } else {
                    JobState::Attention
                };
                row.last_error = Some(reason.clone());
            }
        }
        true
    }
}

impl JobRow {
    fn claimed(&self, id: i64) -> Job {
        Job {
            id,
            kind: self.kind.clone(),
            key: self.key.clone(),
            bookid: self.bookid,
            payload: self.payload.clone(),
            attempts: self.attempts,
            fence: self.fence,
            created_at: self.created_at,
        }
    }
}

impl Inner {
    pub(super) fn schedule(&mut self, new: &NewJob, now: Timestamp, learns: bool) {
        let known = self
            .jobs
            .values_mut()
            .find(|job| job.kind == new.kind && job.key == new.key);
        if let Some(job) = known {
            if job.state == JobState::Open && job.attempts == 0 && learns {
                job.due_at_ms = job.due_at_ms.min(new.due_at.as_millisecond());
                job.payload.extend(new.payload.clone());
            }
            return;
        }
        self.last_job += 1;
        let id = self.last_job;
        let job = JobRow {
            kind: new.kind.to_owned(),
            key: new.key.clone(),
            bookid: new.bookid,
            payload: new.payload.clone(),
            state: JobState::Open,
            due_at_ms: new.due_at.as_millisecond(),
            attempts: 0,
            fence: 0,
            claimed_until_ms: None,
            last_error: None,
            created_at: now,
        };
        self.jobs.insert(id, job);
        self.count("a job was scheduled");
    }

    pub(super) fn settle(&mut self, kind: &str, keys: &[String]) {
        let about = |job: &JobRow| job.kind == kind && keys.contains(&job.key);
        self.jobs
            .retain(|_, job| !(about(job) && job.attempts == 0));
        for job in self.jobs.values_mut() {
            if about(job) && job.state != JobState::Done {
                job.state = JobState::Done;
                job.fence += 1;
                job.claimed_until_ms = None;
            }
        }
    }

    pub(super) fn look_again(&mut self, kind: &str, keys: &[String], now: Timestamp) {
        let about = |job: &&mut JobRow| {
            job.kind == kind && keys.contains(&job.key) && job.state != JobState::Done
        };
        for job in self.jobs.values_mut().filter(about) {
            if job.attempts > 0 {
                job.state = JobState::Open;
                job.fence += 1;
                job.claimed_until_ms = None;
                job.due_at_ms = job.due_at_ms.min(now.as_millisecond());
            }
        }
    }

    /// Bookings that people must look at.
    pub(crate) fn for_people(&self) -> impl Iterator<Item = i64> {
        let held = self
            .jobs
            .values()
            .filter(|job| job.state == JobState::Attention);
        held.map(|job| job.bookid)
    }

    /// Jobs that nobody has ended.
    pub(crate) fn open_jobs(&self) -> impl Iterator<Item = &JobRow> {
        self.jobs.values().filter(|job| job.state == JobState::Open)
    }
}
