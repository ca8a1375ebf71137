//! Which of several nodes follows: the one whose turn it is.
//!
//! The lease keeps two from moving a checkpoint; turns spread the leases over the nodes that are there. Only the loop
//! of [`super::run`] takes turns. Whose turn it is may be seen differently by two nodes for a moment: then one of them
//! is denied the lease, or nobody has it until the other one looks again.

use jiff::Timestamp;

use super::{Checkpoints, Follower, Handler, HandlerError, Step};

/// How often a node says that it could follow, by its own clock: some times before it is counted as gone.
const ASK_EVERY_MS: i64 = 1_000;
/// How long one whose steps were failing leaves a follower to the others.
const ASIDE_MS: i64 = 30_000;

/// What a follower knows of its turn.
#[derive(Default)]
pub(super) struct Turn {
    ours: bool,
    asked_at: Option<Timestamp>,
    /// How long after that it is asked again.
    rest_ms: i64,
}

impl Turn {
    fn is_to_be_asked(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|asked| {
            let age_ms = now.as_millisecond() - asked.as_millisecond();
            !(0..self.rest_ms).contains(&age_ms)
        })
    }
}

impl<C: Checkpoints, H: Handler<C::Connection>> Follower<H, C> {
    /// A step, if it is our turn; else the lease is given back. One whose steps are `failing` goes on only while there
    /// is nobody else.
    pub(super) async fn step_in_turn(
        &mut self,
        turn: &mut Turn,
        failing: bool,
    ) -> Result<Step, HandlerError> {
        let now = self.journal.clock().now();
        if turn.is_to_be_asked(now) {
            let ours = self.checkpoints.turn(failing).await?;
            let aside = failing && !ours;
            if aside {
                self.step_aside().await;
            }
            *turn = Turn {
                ours,
                asked_at: Some(now),
                rest_ms: if aside { ASIDE_MS } else { ASK_EVERY_MS },
            };
        }
        if turn.ours {
            return self.step().await;
        }
        if self.lease.is_some() {
            tracing::info!(
                follower = self.checkpoints.name(),
                "the lease is given back: it is another node's turn"
            );
            self.release().await?;
        }
        Ok(Step::Denied)
    }

    /// After a failure nobody knows whether the lease is still held: it is taken once more to be given back.
    async fn step_aside(&mut self) {
        metrics::counter!("follower_turns_passed_on_total", "follower" => self.name()).increment(1);
        tracing::warn!(
            follower = self.checkpoints.name(),
            "its steps fail here: another node has its turn"
        );
        self.lease = self.checkpoints.hold().await.ok().flatten();
    }
}
