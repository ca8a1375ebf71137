//! Fills a generation from the feed, to one position exactly.

use std::sync::Arc;
use std::time::Duration;

use journal::follow::{Follower, FollowerId, Step};
use journal::runtime::Runtime;
use journal::{Journal, StoreError};

use super::ReplayError;
use super::witness::Memory;
use crate::live::Fill;
use crate::projection::Projection;

/// How long to wait at a hole, or for a lease, before looking again.
const HOLD: Duration = Duration::from_millis(20);
/// How often to look again: ten seconds.
const HOLDS_MAX: u32 = 500;

/// A generation that is being filled, and who fills it.
pub(super) struct Filling<'a> {
    projection: &'static Projection,
    journal: &'a Journal,
    runtime: &'a dyn Runtime,
    follower: Follower<Fill>,
    /// The generation's number.
    pub(super) number: i32,
    /// Everything up to here is in it, or parked.
    pub(super) position: i64,
    /// How many events were taken.
    pub(super) events: u64,
    /// What was written.
    pub(super) memory: Arc<Memory>,
}

impl<'a> Filling<'a> {
    /// Of a generation that stands at `position`.
    pub(super) fn new(
        projection: &'static Projection,
        journal: &'a Journal,
        runtime: &'a dyn Runtime,
        number: i32,
        position: i64,
    ) -> Self {
        let memory = Arc::new(Memory::new(projection.tables.len()));
        let fill = Fill::new(projection, number).witnessed_by(memory.clone());
        let id = FollowerId::new(projection.name, number);
        Self {
            projection,
            journal,
            runtime,
            follower: Follower::new(journal.clone(), id, fill),
            number,
            position,
            events: 0,
            memory,
        }
    }

    /// Takes everything up to `last`, or up to the last event there is.
    pub(super) async fn fill_to(&mut self, last: i64) -> Result<(), ReplayError> {
        let mut holds = 0;
        while self.position < last {
            let hole = match self.follower.step_to(last).await? {
                Step::Advanced { events, position } => {
                    self.events += events as u64;
                    self.position = position;
                    holds = 0;
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
            self.runtime.sleep(HOLD).await;
        }
        Ok(())
    }

    /// The highest committed position.
    pub(super) async fn head(&self) -> Result<i64, StoreError> {
        self.journal.head().await
    }

    /// Lets somebody else follow it.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        self.follower.release().await
    }

    /// A moment's rest, before something that was refused is tried again.
    pub(super) async fn rest(&self, how_long: Duration) {
        self.runtime.sleep(how_long).await;
    }
}
