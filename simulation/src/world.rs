//! A schedule: a database, a gateway, two processes, people, and what goes wrong, all drawn from one seed.

mod troubles;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use domain::{BookId, Command};
use journal::Actor;
use processes::order;
use projections::PROJECTIONS;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::database::{Database, Poison, Troubles};
use crate::gateway::Gateway;
use crate::mutation::Mutation;
use crate::node::{Node, Parts};
use crate::people::{self, OUTSIDE, Order, Told};
use crate::scheduler::{Place, Scheduler, lock};
use crate::slots::Wish;
use crate::{Run, verdict};

/// Into how many slices the saga is cut, at most.
const SLICES: u64 = 3;
/// How many processes there are.
const NODES: usize = 2;
/// How long things go wrong, at most.
const STORM: Duration = Duration::from_secs(25);
/// How long everything may take to come to rest afterwards.
const REST_MAX_MS: i64 = 20 * 60_000;
/// How often it is asked whether it has.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Steps of one schedule, at most: more means that something spins.
const STEPS_MAX: u64 = 400_000;

/// For each projection, the booking that cannot be folded for now.
pub(crate) type Poisons = Vec<Poison>;

/// Everything of one schedule. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) parts: Parts,
    nodes: Arc<Mutex<Vec<Option<Node>>>>,
    pub(crate) told: Arc<Mutex<Vec<Told>>>,
    /// People who are not through yet.
    busy: Arc<AtomicUsize>,
    /// Troubles that are still to come, or not over.
    coming: Arc<AtomicUsize>,
    /// Whether so much time passed at once that keys were forgotten.
    pub(crate) overslept: Arc<AtomicBool>,
    pub(crate) faults: Arc<AtomicUsize>,
    /// When processes were killed.
    pub(crate) kills_ms: Arc<Mutex<Vec<i64>>>,
    manners: Manners,
}

/// What people do, in so many of a hundred cases. Each schedule has rates of its own: one in which nearly everybody
/// cancels finds what one with a little of everything does not.
#[derive(Clone, Copy)]
struct Manners {
    asks_twice: u64,
    cancels: u64,
    is_served: u64,
    wants_a_slot: u64,
    spends_points: u64,
    moves: u64,
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let scheduler = Scheduler::new(seed);
        let rate = |rates: [u64; 4]| rates[usize::try_from(scheduler.below(4)).unwrap_or(0)];
        let troubles = Troubles {
            lost_before: rate([0, 0, 4, 15]),
            lost_after: rate([0, 0, 4, 15]),
            rolled_back: rate([0, 20, 60, 150]),
            late: rate([0, 20, 80, 250]),
        };
        let bad = rate([0, 15, 40, 70]);
        let manners = Manners {
            asks_twice: rate([0, 15, 40, 90]),
            cancels: rate([10, 40, 60, 95]),
            is_served: rate([0, 30, 60, 90]),
            wants_a_slot: rate([0, 20, 40, 90]),
            spends_points: rate([0, 0, 30, 80]),
            moves: rate([0, 20, 50, 90]),
        };
        let database = Database::new(scheduler.clone(), mutation, troubles);
        let gateway = Gateway::new(scheduler.clone(), mutation, bad);
        // Two of the projections each time: the others would only take time.
        let first = usize::try_from(scheduler.below(PROJECTIONS.len() as u64)).unwrap_or(0);
        let second = (first + 1) % PROJECTIONS.len();
        let projections = vec![PROJECTIONS[first], PROJECTIONS[second]];
        let poisons = projections.iter().map(|_| Poison::default()).collect();
        Self {
            parts: Parts {
                scheduler,
                database,
                gateway,
                mutation,
                projections,
                poisons,
                poison_of_saga: Poison::default(),
            },
            nodes: Arc::new(Mutex::new(vec![None; NODES])),
            told: Arc::default(),
            busy: Arc::default(),
            coming: Arc::default(),
            overslept: Arc::default(),
            faults: Arc::default(),
            kills_ms: Arc::default(),
            manners,
        }
    }

    fn start(&self, number: usize) {
        let node = self.parts.start(Place::Node(number));
        if let Some(place) = lock(&self.nodes).get_mut(number) {
            *place = Some(node);
        }
    }

    fn kill(&self, number: usize) {
        if let Some(node) = lock(&self.nodes).get_mut(number) {
            *node = None;
        }
        lock(&self.kills_ms).push(self.parts.scheduler.now_ms());
        self.parts.scheduler.kill(Place::Node(number));
    }

    /// A process that runs, if there is one.
    pub(crate) fn any_node(&self) -> Option<Node> {
        let nodes = lock(&self.nodes);
        let running: Vec<&Node> = nodes.iter().flatten().collect();
        let drawn = self.parts.scheduler.below(running.len().max(1) as u64);
        running
            .get(usize::try_from(drawn).unwrap_or(0))
            .map(|node| (*node).clone())
    }

    fn task(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let busy = Arc::clone(&self.busy);
        self.parts.scheduler.spawn(OUTSIDE, async move {
            task.await;
            busy.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn people_come(&self) {
        let scheduler = self.parts.scheduler.clone();
        for customer in 0..2 + scheduler.below(4) {
            let world = self.clone();
            let scheduler = scheduler.clone();
            let command_id = Uuid::from_u128(u128::from(customer) + 1);
            let wants_a_slot = scheduler.chance(self.manners.wants_a_slot);
            let spends = scheduler.chance(self.manners.spends_points);
            let order = Order {
                wish: wants_a_slot.then(|| Wish::draw(&scheduler)),
                points: if spends { 60 } else { 0 },
            };
            let is_twin = scheduler.chance(self.manners.asks_twice);
            if is_twin {
                // The same request once more, at the same time.
                let (twin, again) = (self.clone(), scheduler.clone());
                self.task(async move {
                    again.sleep(again.up_to(Duration::from_millis(50))).await;
                    let told = people::book(twin.clone(), command_id, order).await;
                    lock(&twin.told).push(told);
                });
            }
            self.task(async move {
                let soon = if is_twin { 50 } else { 8_000 };
                scheduler
                    .sleep(scheduler.up_to(Duration::from_millis(soon)))
                    .await;
                let told = people::book(world.clone(), command_id, order).await;
                lock(&world.told).push(told);
                if let Told::Paid(bookid) | Told::Waiting(bookid) = told {
                    world.live_on(bookid).await;
                }
            });
        }
    }

    /// What becomes of a booking that was taken.
    async fn live_on(&self, bookid: i64) {
        let scheduler = &self.parts.scheduler;
        if scheduler.chance(self.manners.is_served) {
            let world = self.clone();
            self.task(async move { people::fulfil(world, bookid).await });
        }
        if scheduler.chance(self.manners.moves) {
            scheduler
                .sleep(scheduler.up_to(Duration::from_secs(6)))
                .await;
            let wish = Wish::draw(scheduler);
            people::move_booking(self.clone(), bookid, wish).await;
        }
        if scheduler.chance(self.manners.cancels) {
            scheduler
                .sleep(scheduler.up_to(Duration::from_secs(8)))
                .await;
            let now = scheduler.now();
            let mut cancel = Command::cancel_booking(BookId(bookid), None, now);
            if self.parts.mutation == Some(Mutation::CancelledWithoutStop) {
                cancel.truncate(1);
            }
            let id = Uuid::new_v5(&Uuid::nil(), format!("cancel {bookid}").as_bytes());
            people::send(self.clone(), id, cancel, vec![], Actor::Customer).await;
        }
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.parts.scheduler.tell(|| what.to_owned());
        self.parts.database.inner().count(what);
    }

    /// From now on nothing goes wrong any more, and everybody is there.
    fn calm_down(&self) {
        self.parts.database.calm_down();
        self.parts.gateway.recover();
        for number in 0..NODES {
            let runs = lock(&self.nodes).get(number).is_some_and(Option::is_some);
            if !runs {
                self.start(number);
            }
        }
    }

    /// Runs until everything has come to rest, or something is found wrong.
    fn play(&self) -> Vec<String> {
        let Parts {
            scheduler,
            database,
            ..
        } = &self.parts;
        // In half of the schedules it is cut from the beginning on.
        if scheduler.chance(50) {
            let slices = i32::try_from(1 + scheduler.below(SLICES)).unwrap_or(1);
            database.begin_cut(&order::follower_id(), slices);
        }
        for number in 0..NODES {
            self.start(number);
        }
        self.people_come();
        self.troubles_come();
        let begun = scheduler.now_ms();
        let storm_ms = i64::try_from(STORM.as_millis()).unwrap_or(0);
        let bell = scheduler.clone();
        // Time goes on while everybody waits.
        scheduler.spawn(OUTSIDE, async move {
            loop {
                bell.sleep(ASK_EVERY).await;
            }
        });
        let (mut calm_since, mut next_ask) = (None, 0);
        loop {
            if !scheduler.step() {
                return vec!["nothing is left that could ever happen".to_owned()];
            }
            let found = database.violations();
            if !found.is_empty() {
                return found;
            }
            let now = scheduler.now_ms();
            let is_over = now - begun > storm_ms && self.coming.load(Ordering::Relaxed) == 0;
            if calm_since.is_none() && is_over {
                self.calm_down();
                calm_since = Some(now);
            }
            let Some(since) = calm_since else {
                continue;
            };
            if now >= next_ask {
                next_ask = now + i64::try_from(ASK_EVERY.as_millis()).unwrap_or(0);
                self.ask_for_parked();
                if self.busy.load(Ordering::Relaxed) == 0 && verdict::is_at_rest(self) {
                    return verdict::final_check(self);
                }
            }
            if now - since > REST_MAX_MS || scheduler.polls() > STEPS_MAX {
                return vec![verdict::why_not_at_rest(self)];
            }
        }
    }
}

/// tokio's timers, which bound each wait for the real database, want a runtime around them. Nothing runs in it, and none
/// of its timers fires: a schedule takes milliseconds of its time.
static AROUND: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().ok());

/// Plays the schedule of one seed.
#[must_use]
pub fn run(seed: u64, mutation: Option<Mutation>) -> Run {
    let _around = AROUND.as_ref().map(Runtime::enter);
    let world = World::new(seed, mutation);
    let violations = world.play();
    let scheduler = &world.parts.scheduler;
    let mut seen: BTreeMap<&'static str, u64> = world.parts.database.inner().seen.clone();
    seen.extend(world.parts.gateway.seen());
    let run = Run {
        seed,
        violations,
        faults: world.faults.load(Ordering::Relaxed) as u64,
        steps: scheduler.polls(),
        trace: scheduler.trace(),
        story: scheduler.story(),
        transitions: verdict::transitions(&world),
        seen,
    };
    // Tasks hold the scheduler that holds them.
    for place in [Place::Server, Place::Gateway, OUTSIDE] {
        scheduler.kill(place);
    }
    (0..NODES).for_each(|number| world.kill(number));
    run
}
