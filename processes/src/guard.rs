//! What stands before a call to the outside: a breaker, and a bulkhead of places for calls in flight.
//!
//! A caller gets an [`Admitted`] or the reason why not. Being held back is no failure: only what was
//! admitted and ended with a verdict is counted. A place is taken before the breaker is asked for good, so
//! that a probe is never waiting while it blocks the others; whoever drops an [`Admitted`] without a verdict
//! gives both back as if nothing had been.

use std::sync::{Arc, Mutex, PoisonError};

use domain::ports::{Clock, PendingReason};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::breaker::{Breaker, Position, Ticket, Verdict};
use crate::settings::BreakerSettings;

/// How many callers wait for a place at most; more are turned away at once.
const WAITING_MAX_CALLS: usize = 1_000;

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldBack {
    /// The breaker is open.
    BreakerOpen,
    /// No place came free in time.
    BulkheadFull,
}

impl HeldBack {
    fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::BulkheadFull => "bulkhead_full",
        }
    }
}

impl From<HeldBack> for PendingReason {
    fn from(reason: HeldBack) -> Self {
        match reason {
            HeldBack::BreakerOpen => Self::BreakerOpen,
            HeldBack::BulkheadFull => Self::BulkheadFull,
        }
    }
}

/// A breaker and a bulkhead in front of one kind of call.
pub(crate) struct Guard {
    name: &'static str,
    breaker: Mutex<Breaker>,
    places: Arc<Semaphore>,
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
}

impl Guard {
    /// `name` labels its metrics; the breaker goes by `clock`.
    pub(crate) fn new(
        name: &'static str,
        settings: BreakerSettings,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let guard = Self {
            name,
            places: Arc::new(Semaphore::new(permits(settings.max_concurrent))),
            breaker: Mutex::new(Breaker::new(settings)),
            waiting: Semaphore::new(WAITING_MAX_CALLS),
            clock,
        };
        guard.show(Position::Closed);
        guard.in_flight().set(0.0);
        Arc::new(guard)
    }

    /// Admits a call, waiting for a place as long as `patience` lasts.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        patience: &mut BoxFuture<'static, ()>,
    ) -> Result<Admitted, HeldBack> {
        if !self.with_breaker(|breaker, now| breaker.would_admit(now)) {
            return Err(self.held_back(HeldBack::BreakerOpen));
        }
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait_for_place(patience).await?,
        };
        self.admit(place)
    }

    /// Admits a call if that can be at once.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Result<Admitted, HeldBack> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => self.admit(place),
            Err(_) => Err(self.held_back(HeldBack::BulkheadFull)),
        }
    }

    async fn wait_for_place(
        &self,
        patience: &mut BoxFuture<'static, ()>,
    ) -> Result<OwnedSemaphorePermit, HeldBack> {
        let full = |_| self.held_back(HeldBack::BulkheadFull);
        let _waiting = self.waiting.try_acquire().map_err(full)?;
        tokio::select! {
            biased;
            place = Arc::clone(&self.places).acquire_owned() => {
                place.map_err(|_| self.held_back(HeldBack::BulkheadFull))
            }
            () = patience => Err(self.held_back(HeldBack::BulkheadFull)),
        }
    }

    fn admit(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Result<Admitted, HeldBack> {
        match self.with_breaker(Breaker::admit) {
            Some(ticket) => {
                self.in_flight().increment(1.0);
                Ok(Admitted {
                    guard: Arc::clone(self),
                    ticket: Some(ticket),
                    _place: place,
                })
            }
            None => Err(self.held_back(HeldBack::BreakerOpen)),
        }
    }

    fn held_back(&self, reason: HeldBack) -> HeldBack {
        metrics::counter!(
            "payment_calls_held_back_total", "name" => self.name, "reason" => reason.as_str()
        )
        .increment(1);
        reason
    }

    fn with_breaker<T>(&self, act: impl FnOnce(&mut Breaker, Timestamp) -> T) -> T {
        // Its state is whole between any two lines, so a panic elsewhere leaves nothing half done.
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.position();
        let result = act(&mut breaker, self.clock.now());
        let after = breaker.position();
        if before != after {
            tracing::warn!(name = self.name, ?before, ?after, "the breaker changed");
            metrics::counter!("circuit_breaker_changes_total", "name" => self.name, "to" => after.as_str())
                .increment(1);
            self.show(after);
        }
        result
    }

    /// Calls that hold a place.
    fn in_flight(&self) -> metrics::Gauge {
        metrics::gauge!("payment_calls_in_flight", "name" => self.name)
    }

    fn show(&self, position: Position) {
        metrics::gauge!("circuit_breaker_state", "name" => self.name).set(match position {
            Position::Closed => 0.0,
            Position::HalfOpen => 1.0,
            Position::Open => 2.0,
        });
    }
}

/// A place among the calls in flight, and the breaker's leave to make one.
pub(crate) struct Admitted {
    guard: Arc<Guard>,
    ticket: Option<Ticket>,
    _place: OwnedSemaphorePermit,
}

impl Admitted {
    /// Gives the place back and says how the call ended.
    pub(crate) fn end(mut self, verdict: Verdict) {
        self.give_back(verdict);
    }

    fn give_back(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            let outcome = verdict.as_str();
            let name = self.guard.name;
            metrics::counter!("circuit_breaker_calls_total", "name" => name, "outcome" => outcome)
                .increment(1);
            self.guard.in_flight().decrement(1.0);
            self.guard
                .with_breaker(|breaker, now| breaker.end(ticket, verdict, now));
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.give_back(Verdict::Withdrawn);
    }
}

/// As many permits as a setting says.
pub(crate) fn permits(count: u32) -> usize {
    usize::try_from(count).map_or(Semaphore::MAX_PERMITS, |n| n.min(Semaphore::MAX_PERMITS))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::{join_all, pending};
    use journal::runtime::SystemClock;

    use super::*;

    /// A guard with one place.
    fn guard() -> Arc<Guard> {
        let settings = BreakerSettings {
            max_concurrent: 1,
            ..BreakerSettings::default()
        };
        Guard::new("a test", settings, Arc::new(SystemClock))
    }

    async fn enter_with_patience(guard: &Arc<Guard>) -> Option<HeldBack> {
        guard.enter(&mut pending().boxed()).await.err()
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait_for_a_place() {
        let guard = guard();
        let admitted = guard.try_enter();
        let waiting = (0..WAITING_MAX_CALLS).map(|_| enter_with_patience(&guard));
        let mut waiting = Box::pin(join_all(waiting));
        assert!((&mut waiting).now_or_never().is_none(), "they all wait");
        let one_more = enter_with_patience(&guard).now_or_never();
        assert_eq!(one_more, Some(Some(HeldBack::BulkheadFull)));
        // One place is enough for all of them, one after the other.
        drop(admitted);
        assert!(waiting.await.iter().all(Option::is_none));
    }

    #[test]
    fn a_place_that_was_not_used_is_given_back() {
        let guard = guard();
        for _ in 0..3 {
            assert!(guard.try_enter().is_ok());
        }
        let _held = guard.try_enter();
        assert_eq!(guard.try_enter().err(), Some(HeldBack::BulkheadFull));
    }
}
