//! Which of several nodes follows: the one whose turn it is.
//!
//! The lease keeps two from moving a checkpoint; turns spread the leases over the nodes that are there. Only the loop
//! of [`super::run`] takes turns. Whose turn it is may be seen differently by two nodes for a moment: then one of them
//! is denied the lease, or nobody has it until the other one looks again.

use jiff::Timestamp;

use super::{Checkpoints, Follower, Handler, HandlerError, Step};

/// How often a node says that it could follow, by its own clock: some times before it is counted as gone.
const ASK_EVERY_MS: i64 = 1_000;

/// What a follower knows of its turn.
#[derive(Default)]
pub(super) struct Turn {
    ours: bool,
    asked_at: Option<Timestamp>,
}

impl Turn {
    fn is_to_be_asked(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|asked| {
            let age_ms = now.as_millisecond() - asked.as_millisecond();
            !(0..ASK_EVERY_MS).contains(&age_ms)
        })
    }
}

impl<C: Checkpoints, H: Handler<C::Connection>> Follower<H, C> {
    /// A step, if it is our turn; else the lease is given back. One that is `failing` does not ask to go on: after a
    /// while it is somebody else's turn.
    pub(super) async fn step_in_turn(
        &mut self,
        turn: &mut Turn,
        failing: bool,
    ) -> Result<Step, HandlerError> {
        let now = self.journal.clock().now();
        if turn.is_to_be_asked(now) && !(turn.ours && failing) {
            turn.ours = self.checkpoints.turn().await?;
            turn.asked_at = Some(now);
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
}
