//! One process of spacerent: what `serve` wires, over a line to the database in memory.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, PaymentGateway, Random, TakePayment};
use journal::Journal;
use journal::feed::Feed;
use journal::follow::{self, Follower, FollowerId};
use journal::runtime::Runtime;
use processes::order::{self, OrderSaga};
use processes::payment::InlinePayment;
use processes::settings::PaymentSettings;
use processes::jobs;
use projections::projection::Projection;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, InMemory, Line, Orders, Shows};
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
}

/// A running process, as customers see it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) journal: Journal,
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
        let (feed, checkpoints) = over(order::follower_id());
        let orders = Orders(self.database.clone());
        let saga = OrderSaga::over(journal.clone(), settings, orders);
        let saga = Follower::over(journal.clone(), feed, checkpoints, saga);
        let (runs, stop) = (Arc::clone(runtime), CancellationToken::new());
        self.scheduler.spawn(place, follow::run(saga, runs, stop));
        for (projection, poison) in self.projections.iter().zip(&self.poisons) {
            let (feed, checkpoints) = over(FollowerId::new(projection.name, 1));
            let shows = Shows::new(projection, Arc::clone(poison));
            let follower = Follower::over(journal.clone(), feed, checkpoints, shows);
            let (runs, stop) = (Arc::clone(runtime), CancellationToken::new());
            self.scheduler.spawn(place, follow::run(follower, runs, stop));
        }
    }
}

fn journal(database: &Database, surroundings: Surroundings) -> Journal {
    let clock: Arc<dyn Clock> = Arc::new(surroundings.clone());
    let random: Arc<dyn Random> = Arc::new(surroundings);
    Journal::over(Arc::new(Line::new(database.clone())), clock, random)
}
