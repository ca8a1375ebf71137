//! Which followers of this process have moved: readers of their own writes wait for one of them, and are not woken by
//! the others.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::Journal;

/// How often the checkpoints of each follower moved in this process, of all its generations and slices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves(BTreeMap<String, u64>);

impl Moves {
    /// One more of the follower of this name.
    pub(crate) fn count(&mut self, follower: &str) {
        match self.0.get_mut(follower) {
            Some(moves) => *moves = moves.wrapping_add(1),
            None => {
                self.0.insert(follower.to_owned(), 1);
            }
        }
    }

    fn of(&self, follower: &str) -> u64 {
        self.0.get(follower).copied().unwrap_or(0)
    }
}

/// Waits for one follower of this process to move.
pub struct MovesOf {
    follower: String,
    seen: u64,
    moves: watch::Receiver<Moves>,
}

impl MovesOf {
    fn new(follower: &str, moves: watch::Receiver<Moves>) -> Self {
        let seen = moves.borrow().of(follower);
        Self {
            follower: follower.to_owned(),
            seen,
            moves,
        }
    }

    /// Returns when the follower has moved since this was made, or since the last call. Dropped before, it forgets
    /// nothing.
    pub async fn moved(&mut self) {
        let Self {
            follower,
            seen,
            moves,
        } = self;
        let now = moves.wait_for(|moves| moves.of(follower) != *seen).await;
        let now = now.ok().map(|moves| moves.of(follower));
        match now {
            Some(now) => *seen = now,
            // The journal is gone; nobody will ever signal.
            None => std::future::pending().await,
        }
    }
}

impl Journal {
    /// A signal that carries no data: this follower moved in this process. Polling stays the truth.
    #[must_use]
    pub fn moved_of(&self, follower: &str) -> MovesOf {
        MovesOf::new(follower, self.moved())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_reader_is_woken_by_the_follower_it_waits_for_and_by_no_other() {
        let sender = watch::Sender::new(Moves::default());
        let count = |name: &str| sender.send_modify(|moves| moves.count(name));
        count("books");
        let mut books = MovesOf::new("books", sender.subscribe());
        assert_eq!(books.moved().now_or_never(), None, "that was before");
        count("points");
        assert_eq!(books.moved().now_or_never(), None, "that was another");
        count("books");
        count("points");
        assert_eq!(books.moved().now_or_never(), Some(()));
        assert_eq!(books.moved().now_or_never(), None, "once is told once");
    }
}
