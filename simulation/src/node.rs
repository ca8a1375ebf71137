//! One process of spacerent: what `serve` wires, over a line to the database in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Clock, PaymentGateway, Random, TakePayment};
use journal::feed::Feed;
use journal::follow::{self, Cut, Follower, FollowerId, Slice};
use journal::runtime::Runtime;
use journal::{Journal, StoreError};
use processes::jobs;
use processes::order::{self, OrderSaga};
use processes::payment::InlinePayment;
use processes::settings::PaymentSettings;
use projections::projection::Projection;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, InMemory, Line, Orders, Poison, Shows};
use crate::gateway::Gateway;
use crate::mutation::Mutation;
use crate::scheduler::{Place, Scheduler, Surroundings};
use crate::world::Poisons;

/// The longest pause of a follower that looks by itself.
const POLLS_BELOW: Duration = Duration::from_secs(1);

/// What every node is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) scheduler: Scheduler,
    pub(crate) database: Database,
    pub(crate) gateway: Gateway,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) projections: Vec<&'static Projection>,
    pub(crate) poisons: Poisons,
    /// The booking whose order the saga cannot read for now.
    pub(crate) poison_of_saga: Poison,
}

/// A running process, as customers see it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) journal: Journal,
    /// What the journal lies on, which also numbers bookings.
    pub(crate) line: Line,
    pub(crate) payment: Arc<dyn TakePayment>,
    /// For the mutation that goes past all of it.
    pub(crate) gateway: Arc<dyn PaymentGateway>,
}

impl Parts {
    /// Starts a process at `place`.
    pub(crate) fn start(&self, place: Place) -> Node {
        let Self {
            scheduler,
            database,
            gateway,
            mutation,
            ..
        } = self;
        // Machines' clocks differ by less than a second.
        let skew_ms = i64::try_from(scheduler.below(1_600)).unwrap_or(0) - 800;
        let mut surroundings = Surroundings::new(scheduler.clone(), place, skew_ms);
        if *mutation == Some(Mutation::OnlyWakeUps) {
            surroundings = surroundings.without_polling(POLLS_BELOW);
        }
        let runtime: Arc<dyn Runtime> = Arc::new(surroundings.clone());
        let journal = journal(database, surroundings.clone());
        let settings = PaymentSettings::default();
        let gateway: Arc<dyn PaymentGateway> = Arc::new(gateway.clone());
        let payment = InlinePayment::new(
            journal.clone(),
            Arc::clone(&gateway),
            Arc::clone(&runtime),
            settings.clone(),
        );
        self.follow(place, &journal, &runtime, settings.clone());
        let workers = if *mutation == Some(Mutation::KeySentAfterRetention) {
            self::journal(database, surroundings.clone().with_stopped_clock())
        } else {
            journal.clone()
        };
        let ours = Arc::clone(&gateway);
        let working = jobs::run(
            workers,
            gateway,
            Arc::clone(&runtime),
            settings,
            CancellationToken::new(),
        );
        scheduler.spawn(place, working);
        Node {
            place,
            journal,
            line: Line::new(database.clone()),
            payment: Arc::new(payment),
            gateway: ours,
        }
    }

    fn follow(
        &self,
        place: Place,
        journal: &Journal,
        runtime: &Arc<dyn Runtime>,
        settings: PaymentSettings,
    ) {
        let over = |id: FollowerId| {
            let feed = Feed::new(journal.clone(), &id.name);
            let owner = journal.random().uuid();
            (feed, InMemory::new(self.database.clone(), id, owner))
        };
        let sagas = Sagas {
            database: self.database.clone(),
            journal: journal.clone(),
            settings,
            poison: self.poison_of_saga.clone(),
            id: order::follower_id(),
        };
        let (runs, stop) = (Arc::clone(runtime), CancellationToken::new());
        self.scheduler
            .spawn(place, follow::run_cut(sagas, runs, stop));
        for (projection, poison) in self.projections.iter().zip(&self.poisons) {
            let (feed, checkpoints) = over(FollowerId::new(projection.name, 1));
            let shows = Shows::new(projection, Arc::clone(poison));
            let follower = Follower::over(journal.clone(), feed, checkpoints, shows);
            let (runs, stop) = (Arc::clone(runtime), CancellationToken::new());
            self.scheduler
                .spawn(place, follow::run(follower, runs, stop));
        }
    }
}

/// The saga's followers in one process.
struct Sagas {
    database: Database,
    journal: Journal,
    settings: PaymentSettings,
    poison: Poison,
    id: FollowerId,
}

#[async_trait]
impl Cut for Sagas {
    type Checkpoints = InMemory;
    type Handler = OrderSaga<Orders>;

    fn name(&self) -> &str {
        &self.id.name
    }

    async fn slices(&self) -> Result<i32, StoreError> {
        self.database.slices(&self.id).await
    }

    fn follower(&self, slice: Slice) -> Follower<OrderSaga<Orders>, InMemory> {
        let id = self.id.clone();
        let feed = Feed::new(
            self.journal.clone(),
            &format!("{}/{}", id.name, slice.number()),
        );
        let owner = self.journal.random().uuid();
        let checkpoints = InMemory::of_slice(self.database.clone(), id, slice, owner);
        let orders = Orders::new(self.database.clone(), Arc::clone(&self.poison));
        let saga = OrderSaga::over(self.journal.clone(), self.settings.clone(), orders);
        Follower::over(self.journal.clone(), feed.only(slice), checkpoints, saga)
    }
}

fn journal(database: &Database, surroundings: Surroundings) -> Journal {
    let clock: Arc<dyn Clock> = Arc::new(surroundings.clone());
    let random: Arc<dyn Random> = Arc::new(surroundings);
    Journal::over(Arc::new(Line::new(database.clone())), clock, random)
}
