//! What a scenario may do: to a journal, and to the database under it.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, Random};
use journal::append::{Append, Outcome};
use journal::follow::{Checkpoints, Slice};
use journal::jobs::NewJob;
use journal::store::Store;
use journal::{Journal, StoreError};
use uuid::Uuid;

/// How often a condition is looked at before a scenario gives up.
const LOOKS_MAX: u32 = 7_000;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// A database with a journal, alone on its server, and what can be done to it.
pub trait Stage {
    /// Checkpoints that lie in it.
    type Checkpoints: Checkpoints;
    /// A transaction that writes in another database of the same server; it ends when it is dropped.
    type Elsewhere;

    /// The store, as a process has it.
    fn store(&self) -> Arc<dyn Store>;
    /// Its clock and randomness.
    fn surroundings(&self) -> (Arc<dyn Clock>, Arc<dyn Random>);
    /// The checkpoint of a follower of this name, for one owner more.
    fn checkpoints(&self, name: &str) -> Self::Checkpoints;
    /// The same of one slice.
    fn slice(&self, name: &str, slice: Slice) -> Self::Checkpoints;
    /// Cuts a follower into so many slices.
    async fn cut(&self, name: &str, slices: i32);
    /// Waits a moment.
    async fn nap(&self, time: Duration);
    /// Lets leases and claims be so much older.
    async fn pass(&self, time: Duration);

    /// This command's transaction will stand still before its commit, with everything that it holds.
    async fn hold_still(&self, command: Uuid);
    /// It goes on.
    async fn let_go(&self, command: Uuid);
    /// It is rolled back.
    async fn cancel(&self, command: Uuid);
    /// How many statements wait for a lock, or stand still.
    async fn waiting(&self) -> usize;

    /// The server dies with `kill -9`, and is started again.
    async fn crash(&mut self);
    /// Ends every session that is in a transaction that writes.
    async fn terminate(&self);
    /// Begins a transaction that writes, in another database of the same server.
    async fn begin_elsewhere(&self) -> Self::Elsewhere;

    /// Writes jobs, in one transaction.
    async fn schedule(&self, jobs: &[NewJob]);
    /// Settles jobs, in one transaction.
    async fn settle(&self, kind: &str, keys: &[&str]);
    /// Has jobs looked at again, in one transaction.
    async fn look_again(&self, kind: &str, keys: &[&str]);
    /// People ask for a parked key of this follower to be tried again.
    async fn retry(&self, name: &str, key: &str);

    /// The journal.
    fn journal(&self) -> Journal {
        let (clock, random) = self.surroundings();
        Journal::over(self.store(), clock, random)
    }

    /// Appends one command by the journal.
    async fn append(&self, command: Append) -> Result<Outcome, StoreError> {
        self.journal().append(vec![command]).await.pop().unwrap()
    }

    /// Appends one command that must be stored; its last position.
    async fn stored(&self, command: Append) -> i64 {
        match self.append(command).await {
            Ok(Outcome::Stored(answer)) => answer.position,
            other => panic!("not stored: {other:?}"),
        }
    }

    /// Waits until so many statements wait.
    async fn until_waiting(&self, count: usize) {
        let what = format!("{count} statements wait");
        self.until(&what, async || self.waiting().await == count)
            .await;
    }

    /// Waits until `condition` holds.
    async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        for _ in 0..LOOKS_MAX {
            if condition().await {
                return;
            }
            self.nap(LOOK_EVERY).await;
        }
        panic!("it did not come to that: {what}");
    }

    /// Appends a command that draws its positions and rolls back.
    async fn rolled_back(&self, command: Append) {
        let id = command.command_id;
        self.hold_still(id).await;
        let store = self.store();
        let group = [command];
        let cancels = async {
            self.until_waiting(1).await;
            self.cancel(id).await;
        };
        let (outcome, ()) = futures::join!(store.append(&group), cancels);
        assert!(outcome.is_err(), "{outcome:?}");
    }
}
