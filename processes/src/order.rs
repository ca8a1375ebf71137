//! Runs the order saga: what follows from an event is done, once in effect.
//!
//! The rules are pure and stand in [`domain::order`]. Here a batch of events is folded into the orders' rows,
//! the commands that come out are sent, and then rows, jobs and the follower's checkpoint are committed
//! together. Commands are sent before that commit, so a crash in between sends them again: their ids are
//! derived from the event, and the journal answers what it has stored before. A row remembers the last event
//! it holds, so a second fold of a batch changes nothing.
//!
//! Events that were imported are folded like all others, and what was done where they come from is not done again
//! ([`past`]).

mod batch;
mod past;
mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Event, Refusal, payment, space};
use journal::follow::{self, Cut, Follower, FollowerId, Handler, HandlerError, Slice};
use journal::runtime::Runtime;
use journal::{CommandError, Journal, Recorded, Request, StoreError, fail_point};
use tokio_util::sync::CancellationToken;

use crate::settings::PaymentSettings;
pub use batch::Plan;
use batch::{Cause, OrderRow, Orders, Terms};
use past::Past;
pub use rows::{InDatabase, Rows, StoredOrder, Written};

/// The follower's name.
const NAME: &str = "orders";
/// Which generation of its rows; they are not rebuilt, because commands went out because of them.
const GENERATION: i32 = 1;
/// Where a journal begins.
const FIRST: i64 = 1;

/// Follows the feed until stopped, in as many slices as the saga is cut into.
pub async fn run(
    journal: Journal,
    runtime: Arc<dyn Runtime>,
    settings: PaymentSettings,
    stop: CancellationToken,
) {
    follow::run_cut(Sagas { journal, settings }, runtime, stop).await;
}

/// The saga's follower, as long as it is not cut; it does not hold its lease yet.
#[must_use]
pub fn follower(journal: Journal, settings: PaymentSettings) -> Follower<OrderSaga> {
    follower_of(journal, settings, Slice::ALL)
}

/// The follower of one slice of the orders, as long as the saga is cut so.
///
/// A slice may begin at a position behind which some of its orders are already: a row holds the last event that is in
/// it, commands have ids of their own, and a job is one row (docs/adr/0026).
#[must_use]
pub fn follower_of(
    journal: Journal,
    settings: PaymentSettings,
    slice: Slice,
) -> Follower<OrderSaga> {
    let saga = OrderSaga::new(journal.clone(), settings);
    Follower::of_slice(journal, follower_id(), slice, saga)
}

/// The saga's followers in one process.
struct Sagas {
    journal: Journal,
    settings: PaymentSettings,
}

#[async_trait]
impl Cut for Sagas {
    type Checkpoints = follow::InDatabase;
    type Handler = OrderSaga;

    fn name(&self) -> &str {
        NAME
    }

    async fn slices(&self) -> Result<i32, StoreError> {
        self.journal.slices(&follower_id()).await
    }

    fn follower(&self, slice: Slice) -> Follower<OrderSaga> {
        follower_of(self.journal.clone(), self.settings.clone(), slice)
    }
}

/// Which follower the saga is, whatever it is cut into: up to its lowest checkpoint, everything that follows from events
/// is done.
#[must_use]
pub fn follower_id() -> FollowerId {
    FollowerId::new(NAME, GENERATION)
}

/// The saga as a handler of events. Its rows are in the journal's database unless said otherwise.
pub struct OrderSaga<R = InDatabase> {
    journal: Journal,
    settings: PaymentSettings,
    rows: R,
}

impl OrderSaga {
    /// A saga that sends its commands to `journal`.
    #[must_use]
    pub fn new(journal: Journal, settings: PaymentSettings) -> Self {
        let rows = InDatabase(journal.clone());
        Self::over(journal, settings, rows)
    }
}

impl<R: Rows> OrderSaga<R> {
    /// A saga that keeps its orders in `rows`.
    #[must_use]
    pub fn over(journal: Journal, settings: PaymentSettings, rows: R) -> Self {
        Self {
            journal,
            settings,
            rows,
        }
    }

    /// Leaves out what was stored before: of a history, that is nearly everything, and sending it would load every
    /// stream to find that out.
    async fn without_stored(&self, requests: &mut Vec<(Cause, Request)>) -> Result<(), StoreError> {
        let ids: Vec<_> = requests
            .iter()
            .map(|(_, request)| request.command_id)
            .collect();
        let stored = self.journal.stored_commands(&ids).await?;
        requests.retain(|(_, request)| !stored.contains(&request.command_id));
        Ok(())
    }

    /// What of a batch happened elsewhere, or follows from that.
    async fn past(&self, events: &[Recorded]) -> Result<Past, StoreError> {
        let Some(last) = events.last() else {
            return Ok(Past::default());
        };
        let imports = self.journal.imported(FIRST, last.position).await?;
        if imports.is_empty() {
            return Ok(Past::default());
        }
        let money: Vec<_> = events
            .iter()
            .filter(|it| asks_for_money(&it.event))
            .collect();
        let led = self.journal.led_to_by_imports(&money).await?;
        Ok(Past::new(imports, led))
    }

    async fn load(&self, events: &[Recorded]) -> Result<Orders, HandlerError> {
        let bookids = batch::bookids(events)?;
        let mut orders = Orders::new();
        for StoredOrder {
            bookid,
            position,
            order,
        } in self.rows.load(&bookids).await?
        {
            match order {
                Ok(order) => orders.insert(bookid, OrderRow { order, position }),
                Err(error) => return Err(batch::poison_of(bookid, events, &error)),
            };
        }
        Ok(orders)
    }
}

#[async_trait]
impl<R: Rows> Handler<R::Connection> for OrderSaga<R> {
    type Plan = Plan;

    async fn plan(&self, events: &[Recorded]) -> Result<Plan, HandlerError> {
        let orders = self.load(events).await?;
        let terms = Terms {
            past: &self.past(events).await?,
            settings: &self.settings,
            now: self.journal.clock().now(),
        };
        let mut plan = Plan::fold(orders, events, &terms)?;
        let mut requests = plan.take_requests();
        if terms.past.has_any_of(events) {
            self.without_stored(&mut requests).await?;
        }
        let (causes, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        fail_point!("saga-commands-due", requests.len());
        let answers = self.journal.execute(requests).await;
        for (cause, answer) in causes.iter().zip(answers) {
            fail_point!("saga-command-sent");
            if let Err(error) = answer {
                absorb(cause, error)?;
            }
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        tx: &mut R::Connection,
        _events: &[Recorded],
        plan: Plan,
    ) -> Result<(), HandlerError> {
        let changed = plan.changed();
        let written = Written {
            orders: changed
                .map(|(bookid, row)| (bookid, &row.order, row.position))
                .collect(),
            settled: plan.settled(),
            unwanted: plan.unwanted(),
            jobs: plan.jobs(),
        };
        Ok(self.rows.write(tx, written).await?)
    }
}

/// Whether the gateway is to be called because of it.
fn asks_for_money(event: &Event) -> bool {
    use payment::Event as E;
    let Event::Payment(event) = event else {
        return false;
    };
    matches!(
        event,
        E::PaymentRequested { .. } | E::ChargeRequested { .. } | E::RefundRequested { .. }
    )
}

/// What a command that did nothing means for the event that led to it.
fn absorb(cause: &Cause, error: CommandError) -> Result<(), HandlerError> {
    let poison = |reason: &str| HandlerError::Poison {
        position: cause.position,
        reason: reason.to_owned(),
    };
    match error.into_store() {
        // The hand-over was faster than the cancellation. Its event stands in the journal behind this one,
        // and the saga goes on from there.
        Err(CommandError::Refused(Refusal::Space(space::Error::AlreadyHandedOver))) => Ok(()),
        Err(refused) => Err(poison(&refused.to_string())),
        // An event of this booking that this version cannot read: the others must not wait for the next one.
        Ok(error @ (StoreError::Unreadable(_) | StoreError::Newer(_))) => {
            Err(poison(&error.to_string()))
        }
        Ok(error) => Err(error.into()),
    }
}
