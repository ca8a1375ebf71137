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
    /// When it last left the follower to the others, because its steps failed.
    aside_from: Option<Timestamp>,
}

impl Turn {
    fn is_to_be_asked(&self, now: Timestamp) -> bool {
        !self
            .asked_at
            .is_some_and(|asked| lasts(asked, ASK_EVERY_MS, now))
    }

    fn is_aside(&self, now: Timestamp) -> bool {
        self.aside_from
            .is_some_and(|from| lasts(from, ASIDE_MS, now))
    }
}

/// Whether what began at `from` and takes so long goes on. A clock that was set back ends it.
fn lasts(from: Timestamp, ms: i64, now: Timestamp) -> bool {
    (0..ms).contains(&(now.as_millisecond() - from.as_millisecond()))
}

impl<C: Checkpoints, H: Handler<C::Connection>> Follower<H, C> {
    /// A step, if it is our turn; else the lease is given back. One whose steps are `failing` goes on only while there
    /// is nobody else; so does one that left it to the others a short while ago, and finds that they are gone.
    pub(super) async fn step_in_turn(
        &mut self,
        turn: &mut Turn,
        failing: bool,
    ) -> Result<Step, HandlerError> {
        let now = self.journal.clock().now();
        if turn.is_to_be_asked(now) {
            let was_aside = turn.is_aside(now);
            let ours = self.checkpoints.turn(failing || was_aside).await?;
            if failing && !ours {
                self.step_aside().await;
                turn.aside_from = Some(now);
            }
            turn.ours = ours;
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
