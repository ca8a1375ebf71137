//! A worker that works on demand, and what holds for workers of every kind: claims, fences, back-off.

use std::sync::Arc;
use std::time::Duration;

use domain::BookId;
use domain::order::{CHARGE_JOB, REFUND_JOB};
use domain::ports::{PaymentDue, Random};
use processes::jobs::{self, Desk, Worker};
use processes::settings::PaymentSettings;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use uuid::Uuid;

use crate::heard::Heard;
use crate::scripted::{Say, Scripted};
use crate::timeline::Timeline;
use crate::world::{JobRow, World, beside, ms, settings, settings_with, within};
use processes::settings::BreakerSettings;

/// A world with a gateway and workers that work when they are told to.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) gateway: Arc<Scripted>,
    settings: PaymentSettings,
}

impl Office {
    pub(crate) async fn open(gateway: Scripted) -> Self {
        Self::with(settings(), gateway).await
    }

    pub(crate) async fn with(settings: PaymentSettings, gateway: Scripted) -> Self {
        let world = World::new().await;
        Self {
            world,
            gateway: Arc::new(gateway),
            settings,
        }
    }

    /// A worker for charges, as a process of its own would have it.
    pub(crate) fn charges(&self) -> Arc<Worker> {
        Arc::new(Worker::charges(self.desk()))
    }

    /// A worker for refunds.
    pub(crate) fn refunds(&self) -> Arc<Worker> {
        Arc::new(Worker::refunds(self.desk()))
    }

    /// A worker for no-shows.
    pub(crate) fn no_shows(&self) -> Arc<Worker> {
        Arc::new(Worker::no_shows(self.desk()))
    }

    fn desk(&self) -> Desk {
        self.desk_in(&self.world.timeline)
    }

    /// What a process needs that sleeps by this time.
    pub(crate) fn desk_in(&self, time: &Arc<Timeline>) -> Desk {
        let (journal, gateway) = (self.world.journal.clone(), self.gateway.clone());
        Desk::new(journal, gateway, time.clone(), self.settings.clone())
    }

    /// A booking whose charge nobody is at work on any more; something may have been sent.
    pub(crate) async fn abandoned(&self) -> PaymentDue {
        let due = self.world.place("numberone").await;
        self.world.run_saga().await;
        due
    }

    /// A booking whose charge was never sent.
    pub(crate) async fn never_sent(&self) -> PaymentDue {
        let due = self.world.place("numberone").await;
        self.world.defer(due.bookid, false).await;
        self.world.run_saga().await;
        due
    }

    /// A cancelled booking, as far as the saga goes by itself.
    pub(crate) async fn cancel(&self, bookid: BookId) {
        self.world.cancel(bookid).await;
        self.world.run_saga().await;
    }

    /// Works off everything that is open, due or not, once.
    pub(crate) async fn work(&self, worker: &Worker) {
        self.world.hurry().await;
        worker.step().await.unwrap();
        within(worker.idle()).await;
    }

    /// Lets a worker start on what is open; the gateway holds it.
    pub(crate) async fn start(&self, worker: &Worker) {
        self.world.hurry().await;
        assert_eq!(worker.step().await.unwrap(), 1);
    }

    pub(crate) async fn charge_job(&self, bookid: BookId) -> JobRow {
        self.world.job(CHARGE_JOB, bookid).await.unwrap()
    }

    pub(crate) async fn refund_job(&self, bookid: BookId) -> JobRow {
        self.world.job(REFUND_JOB, bookid).await.unwrap()
    }
}

#[tokio::test]
async fn a_worker_takes_what_is_due_and_no_more_than_it_has_places_for() {
    let narrow = settings_with(BreakerSettings {
        max_concurrent: 2,
        ..BreakerSettings::default()
    });
    let office = Office::with(narrow, Scripted::new([Say::Hold, Say::Hold])).await;
    for _ in 0..3 {
        office.never_sent().await;
    }
    office.abandoned().await;
    let worker = office.charges();
    assert_eq!(worker.step().await.unwrap(), 2);
    assert_eq!(worker.step().await.unwrap(), 0, "all places are taken");
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 2)
        .await;
    office.gateway.let_go(2);
    within(worker.idle()).await;
    assert_eq!(worker.step().await.unwrap(), 1, "the fourth is not due");
    within(worker.idle()).await;
}

#[tokio::test]
async fn two_workers_never_have_the_same_job() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    office.never_sent().await;
    let (one, other) = (office.charges(), office.charges());
    assert_eq!(one.step().await.unwrap() + other.step().await.unwrap(), 1);
    office.gateway.let_go(1);
    within(one.idle()).await;
}

#[tokio::test]
async fn the_finish_of_a_worker_that_lost_its_claim_changes_nothing() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let due = office.never_sent().await;
    let (slow, quick) = (office.charges(), office.charges());
    office.start(&slow).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    // Its claim runs out; another one asks the gateway, which does not know the charge, and sends it again.
    office.world.hurry().await;
    office.gateway.say([Say::Fail]);
    office.work(&quick).await;
    let before = format!("{:?}", office.charge_job(due.bookid).await);
    office.gateway.let_go(1);
    within(slow.idle()).await;
    // What it found out is recorded, and the job is as the other one left it.
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(format!("{:?}", office.charge_job(due.bookid).await), before);
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
    office.work(&quick).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
    assert_eq!(office.gateway.captures(), 1);
}

#[tokio::test]
async fn a_worker_that_lost_its_claim_sends_nothing_any_more() {
    let office = Office::open(Scripted::new([]).holding_look_ups()).await;
    let due = office.abandoned().await;
    let slow = office.charges();
    office.start(&slow).await;
    office
        .gateway
        .until_asked(|asked| asked.look_ups.len() == 1)
        .await;
    // While it asks, somebody else claims the job.
    office.world.sql("update jobs set fence = fence + 1").await;
    office.gateway.let_look_ups_go(1);
    within(slow.idle()).await;
    assert_eq!(office.gateway.asked().charges.len(), 0);
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
}

#[tokio::test]
async fn no_transaction_is_open_while_the_outside_is_called() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    office.never_sent().await;
    let worker = office.charges();
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'spacerent' and xact_start is not null";
    assert_eq!(office.world.number(open).await, 0);
    office.gateway.let_go(1);
    within(worker.idle()).await;
}

#[tokio::test]
async fn a_database_that_is_away_in_the_middle_leaves_the_job_to_be_done() {
    let heard = Heard::new();
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    office
        .world
        .sql(
            "create function away() returns trigger language plpgsql as $$
             begin raise exception 'away' using errcode = '57P03'; end $$;
             create trigger away before insert on events for each statement execute function away();",
        )
        .await;
    let worker = office.charges();
    office.start(&worker).await;
    let idle = beside({
        let worker = worker.clone();
        async move { worker.idle().await }
    });
    let metric = "payment_outcomes_not_recorded_total";
    for pause in [50, 100, 200, 400, 800] {
        assert_eq!(heard.metric(metric), 0, "it is still tried");
        office.world.timeline.asleep(ms(pause)).await;
        office.world.timeline.advance(ms(pause));
    }
    within(idle).await.unwrap();
    let job = office.charge_job(due.bookid).await;
    assert_eq!((job.state.as_str(), job.waits), ("open", true));
    assert_eq!(heard.metric(metric), 1);
    let why = ["an outcome was not recorded", "charge:1:1", "error="];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    office.world.sql("drop trigger away on events").await;
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(
        (
            office.gateway.captures(),
            office.gateway.asked().charges.len()
        ),
        (1, 1),
        "it was asked for"
    );
}

#[tokio::test]
async fn a_job_that_says_nothing_is_for_people() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.world.sql("update jobs set payload = '{}'").await;
    office.work(&office.charges()).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
}

/// Chance that always says the same.
struct Always(u64);

impl Random for Always {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.min(bound.saturating_sub(1))
    }
}

#[test]
fn waits_double_up_to_a_minute() {
    let full: Vec<_> = (0..9)
        .map(|tries| jobs::delay(tries, &Always(0)).as_secs())
        .collect();
    assert_eq!(full, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
}

proptest! {
    #[test]
    fn chance_leaves_at_least_half_of_a_wait(tries: u32, chance: u64) {
        let (full, drawn) = (jobs::delay(tries, &Always(0)), jobs::delay(tries, &Always(chance)));
        prop_assert!(drawn <= full && drawn >= full / 2);
        prop_assert!(full <= Duration::from_secs(60));
        prop_assert_eq!(jobs::delay(tries, &Always(chance)), drawn);
    }
}
