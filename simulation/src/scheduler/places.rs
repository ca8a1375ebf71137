//! Where tasks run, and what is done to all of a place at once.

use std::time::Duration;

use super::{Scheduler, lock, millis, mix};

/// Where a task runs: what can be killed or stopped as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The database's server. It has faults of its own.
    Server,
    /// The payment gateway, and the network to it.
    Gateway,
    /// A customer or a member of staff, outside.
    Outside,
    /// A process of spacerent, by number.
    Node(usize),
}

impl Scheduler {
    /// Drops every task of a place where it stands.
    pub fn kill(&self, place: Place) {
        let mut state = lock(&self.state);
        let ids: Vec<_> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.place == place)
            .map(|(id, _)| *id)
            .collect();
        let killed: Vec<_> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        state.stopped.remove(&place);
        state.trace = mix(state.trace, ids.len() as u64);
        drop(state);
        // What is dropped may look at the time.
        drop(killed);
    }

    /// Stops a place: none of its tasks goes on before the time is over, though its timers run.
    pub fn stop(&self, place: Place, time: Duration) {
        let mut state = lock(&self.state);
        let until = state.now_ms + millis(time);
        state.stopped.insert(place, until);
    }

    /// Stops whatever asks for it, from its next await on.
    pub(crate) fn stop_here(&self, pause: Duration) {
        let here = lock(&self.state).here;
        if let Some(place) = here {
            self.stop(place, pause);
        }
    }

    /// Whether something is stopped that will go on.
    pub(crate) fn is_any_stopped(&self) -> bool {
        let state = lock(&self.state);
        state.stopped.values().any(|until| *until > state.now_ms)
    }

    /// How many tasks of a place there are.
    #[must_use]
    pub fn tasks_at(&self, place: Place) -> usize {
        let state = lock(&self.state);
        state.tasks.values().filter(|t| t.place == place).count()
    }
}
