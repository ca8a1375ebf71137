//! Fills a generation from the feed, to one position exactly.
//!
//! By the very follower that fills the live one: its lease, its checkpoint as the first statement, its parking,
//! its holding at holes. In bulk several of them take a slice of the keys each ([`super::slices`]), with larger
//! batches whose new rows are copied in; [`Filling::steadily`] makes one of them go on as the live one does.

use std::sync::Arc;
use std::time::Duration;

use journal::StoreError;
use journal::follow::{Follower, FollowerId, HandlerError, Step};
use sqlx::PgConnection;

use super::resume::HalfBuilt;
use super::slices::Slices;
use super::witness::{Memory, Sum};
use super::{Rebuilder, ReplayError};
use crate::live::{Fill, Pace};
use crate::projection::Projection;

/// How long to wait at a hole, or for a lease, before looking again.
const HOLD: Duration = Duration::from_millis(20);
/// How often to look again: ten seconds.
const HOLDS_MAX: u32 = 500;

/// A generation that is being filled, and the followers that fill it.
pub(super) struct Filling<'a> {
    rebuilder: Rebuilder<'a>,
    projection: &'static Projection,
    writing: Writing<'a>,
    /// The generation's number.
    pub(super) number: i32,
    /// Everything up to here is in it, or parked.
    pub(super) position: i64,
    /// Where the slice stood that was furthest when an earlier run ended.
    furthest: i64,
    /// Where it is to stand in the end, as far as that is known: for telling people how far it is.
    pub(super) aim: i64,
    /// How many events were taken.
    pub(super) events: u64,
    /// What was written; while it is filled in bulk the slices have theirs.
    pub(super) memory: Arc<Memory>,
}

/// The followers that write.
enum Writing<'a> {
    InBulk(Box<Slices<'a>>),
    Steadily(Box<Follower<Fill>>),
}

impl Writing<'_> {
    async fn step_to(&mut self, last: i64) -> Result<Step, HandlerError> {
        match self {
            Self::InBulk(slices) => slices.step_to(last).await,
            Self::Steadily(follower) => follower.step_to(last).await,
        }
    }
}

impl<'a> Filling<'a> {
    /// Goes on in bulk with what is there.
    pub(super) fn in_bulk(
        rebuilder: Rebuilder<'a>,
        projection: &'static Projection,
        half: &HalfBuilt,
    ) -> Self {
        Self {
            writing: Writing::InBulk(Box::new(Slices::of(&rebuilder, projection, half))),
            rebuilder,
            projection,
            number: half.number,
            position: half.position,
            furthest: half.furthest,
            aim: half.position,
            events: 0,
            memory: Arc::new(Memory::of_addition(projection)),
        }
    }

    /// Goes on with a finished generation that stands at `position`, as the live one is filled.
    pub(super) fn of_finished(
        rebuilder: Rebuilder<'a>,
        projection: &'static Projection,
        number: i32,
        position: i64,
    ) -> Self {
        let memory = Arc::new(Memory::of_addition(projection));
        Self {
            writing: steady(&rebuilder, projection, number, &memory),
            rebuilder,
            projection,
            number,
            position,
            furthest: position,
            aim: position,
            events: 0,
            memory,
        }
    }

    /// Brings slices that an earlier run left at different places to one: where the first of them stands.
    pub(super) async fn level(&mut self) -> Result<(), ReplayError> {
        self.fill_to(self.furthest).await
    }

    /// Goes on as the live follower does.
    pub(super) async fn steadily(&mut self, owner: &mut PgConnection) -> Result<(), ReplayError> {
        if let Writing::InBulk(slices) = &mut self.writing {
            let merged = slices.merge(owner, self.projection, self.number).await?;
            self.memory = Arc::new(merged);
            self.writing = steady(&self.rebuilder, self.projection, self.number, &self.memory);
        }
        Ok(())
    }

    /// Takes everything up to `last`, or up to the last event there is. Stops between two batches when it is told
    /// to.
    pub(super) async fn fill_to(&mut self, last: i64) -> Result<(), ReplayError> {
        let mut holds = 0;
        while self.position < last {
            self.rebuilder.go_on(self.projection)?;
            let hole = match self.writing.step_to(last).await? {
                Step::Advanced { events, position } => {
                    self.events += events as u64;
                    self.position = position;
                    holds = 0;
                    let progress = self.rebuilder.progress;
                    progress.filled(self.events, position, last.max(self.aim));
                    continue;
                }
                Step::Idle { hole: None } => break,
                Step::Lost => return Err(ReplayError::TakenOver(self.projection.name)),
                Step::Idle { hole } => hole,
                // Whoever followed it while it was live has not noticed, or is gone: its lease runs out.
                Step::Denied => None,
            };
            holds += 1;
            if holds == HOLDS_MAX {
                return Err(match hole {
                    Some(hole) => ReplayError::Held {
                        first: hole.first,
                        last: hole.last,
                    },
                    None => ReplayError::TakenOver(self.projection.name),
                });
            }
            self.rebuilder.runtime.sleep(HOLD).await;
        }
        Ok(())
    }

    /// Holds what was found in the table at `place` against what was folded into it.
    pub(super) fn check(&self, place: usize, found: Sum) -> Result<(), ReplayError> {
        let folded = self.memory.sum(place);
        if found == folded {
            return Ok(());
        }
        Err(ReplayError::Damaged {
            table: self
                .projection
                .tables
                .get(place)
                .map_or("", |table| table.name),
            folded: folded.rows,
            found: found.rows,
        })
    }

    /// Lets somebody else follow it.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        match &mut self.writing {
            Writing::InBulk(slices) => slices.release().await,
            Writing::Steadily(follower) => follower.release().await,
        }
    }
}

fn steady<'a>(
    rebuilder: &Rebuilder<'_>,
    projection: &'static Projection,
    number: i32,
    memory: &Arc<Memory>,
) -> Writing<'a> {
    let witness = Arc::clone(memory);
    let fill = Fill::new(projection, &projection.schema(number), Pace::Steady);
    let id = FollowerId::new(projection.name, number);
    let follower = Follower::new(rebuilder.journal.clone(), id, fill.witnessed_by(witness));
    Writing::Steadily(Box::new(follower))
}
