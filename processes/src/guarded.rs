//! A customer's payment, asked for behind a guard: who waits how long, and what goes on without them.
//!
//! Three clocks run. The *customer* waits for [`Limits::patience`] in all, a place in the bulkhead included.
//! A call that is *unanswered* for [`Limits::unanswered`] is a failure of the breaker and gives its place
//! back, even if its answer comes later. It goes on as a *late call* up to [`Limits::call_max`], if there is
//! room among those. The call runs in a task of its own from the moment that something may be sent, so a
//! customer who goes away changes nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Clock, PaymentDue, PendingReason, Taken};
use futures::future::BoxFuture;
use jiff::Timestamp;
use journal::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};

use crate::breaker::Verdict;
use crate::deadline::later;
use crate::guard::{Admitted, Guard, permits};

/// A way to ask for a payment.
#[async_trait]
pub(crate) trait Call: Send + Sync + 'static {
    /// What the other side says.
    type Answer: Send;

    /// Sends the request and waits for its answer, however long that takes.
    async fn send(&self, due: &PaymentDue) -> Self::Answer;
    /// What stands for an answer that was not waited for.
    fn unanswered(&self, why: &str) -> Self::Answer;
    /// What an answer says about the other side's health.
    fn verdict(&self, answer: &Self::Answer) -> Verdict;
    /// Does what an answer asks for, and says what became of the payment.
    async fn conclude(&self, due: &PaymentDue, answer: Self::Answer) -> Taken;
}

/// How long, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long the customer waits in all.
    pub(crate) patience: Duration,
    /// When an unanswered call is a failure.
    pub(crate) unanswered: Duration,
    /// When its answer is given up.
    pub(crate) call_max: Duration,
    /// How many may go on after they failed.
    pub(crate) late_max: u32,
}

/// Calls of one kind behind their guard.
pub(crate) struct Guarded<C> {
    call: C,
    guard: Arc<Guard>,
    late: Semaphore,
    limits: Limits,
    clock: Arc<dyn Clock>,
    runtime: Arc<dyn Runtime>,
}

/// How long one customer waits.
pub(crate) struct Patience {
    /// Completes when it is over.
    pub(crate) over: BoxFuture<'static, ()>,
    /// When that is, by the clock, which goes on while a process sleeps. Nothing is sent after that.
    until: Timestamp,
}

impl<C: Call> Guarded<C> {
    pub(crate) fn new(
        call: C,
        guard: Arc<Guard>,
        limits: Limits,
        clock: Arc<dyn Clock>,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<Self> {
        Arc::new(Self {
            call,
            guard,
            late: Semaphore::new(permits(limits.late_max)),
            limits,
            clock,
            runtime,
        })
    }

    /// The way it asks.
    pub(crate) fn call(&self) -> &C {
        &self.call
    }

    /// Runs out when the customer has waited long enough. One is made for each payment, first thing.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            over: self.runtime.sleep(self.limits.patience),
            until: later(self.clock.now(), self.limits.patience),
        }
    }

    /// Asks for a payment; answers when there is an answer or `patience` is over.
    pub(crate) async fn take(
        self: &Arc<Self>,
        due: PaymentDue,
        Patience { mut over, until }: Patience,
    ) -> Taken {
        let admitted = match self.guard.enter(&mut over).await {
            Ok(admitted) => admitted,
            Err(reason) => return pending(reason.into(), false),
        };
        let (answer, answered) = oneshot::channel();
        let call = Arc::clone(self);
        self.runtime.spawn(Box::pin(async move {
            let taken = if call.clock.now() > until {
                // The process slept: by now others may count on its not being sent.
                pending(PendingReason::Timeout, false)
            } else {
                let said = call.see_through(&due, admitted).await;
                call.call.conclude(&due, said).await
            };
            // Nobody may be waiting any more.
            let _ = answer.send(taken);
        }));
        tokio::select! {
            biased;
            taken = answered => taken.unwrap_or_else(|_| pending(PendingReason::Unreachable, true)),
            () = over => pending(PendingReason::Timeout, true),
        }
    }

    /// Calls, and stays with the call as long as the limits allow.
    async fn see_through(&self, due: &PaymentDue, admitted: Admitted) -> C::Answer {
        let mut given_up = self.runtime.sleep(self.limits.call_max);
        let mut answer = self.call.send(due);
        tokio::select! {
            biased;
            said = &mut answer => {
                admitted.end(self.call.verdict(&said));
                return said;
            }
            () = self.runtime.sleep(self.limits.unanswered) => admitted.end(Verdict::Failed),
        }
        let Ok(_place) = self.late.try_acquire() else {
            count_late("dropped");
            return self.call.unanswered("no room for another late call");
        };
        let _late = Late::begin();
        tokio::select! {
            biased;
            said = &mut answer => {
                count_late("answered");
                said
            }
            () = &mut given_up => {
                count_late("given_up");
                self.call.unanswered("no answer in time")
            }
        }
    }
}

/// The customer is told to wait.
pub(crate) fn pending(reason: PendingReason, sent: bool) -> Taken {
    Taken::Pending { reason, sent }
}

/// A late call in the count of those in flight, whichever way it ends.
struct Late;

impl Late {
    fn begin() -> Self {
        Self::gauge().increment(1.0);
        Self
    }

    fn gauge() -> metrics::Gauge {
        metrics::gauge!("payment_late_calls")
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        Self::gauge().decrement(1.0);
    }
}

fn count_late(outcome: &'static str) {
    metrics::counter!("payment_late_calls_total", "outcome" => outcome).increment(1);
}
