//! The lease: one owner at a time, and a door that is shut to whoever slept through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::ports::Clock;
use futures::future::{FutureExt, pending};
use jiff::Timestamp;
use journal::follow::{Follower, HandlerError, Step};
use journal::runtime::SystemRandom;
use journal::{Journal, StoreError, schema};
use tokio::sync::Notify;

use super::clerk::{Clerk, clerk, effects, end_the_lease, position, stage_with};
use crate::force::{PATIENCE, within};
use crate::samples::booked;
use crate::stage::{Stage, journal, journal_over};

/// A second process tries to take over from a first one that is well.
async fn try_to_take_over(stage: &mut Stage) -> Step {
    let mut owner = clerk("owner").following(&stage.journal);
    owner.step().await.unwrap();
    stage.append(booked(2, 2)).await.unwrap();
    clerk("other")
        .following(&journal(stage.url()))
        .step()
        .await
        .unwrap()
}

#[tokio::test]
async fn nobody_takes_over_while_the_lease_lives() {
    let mut stage = stage_with(1).await;
    assert_eq!(try_to_take_over(&mut stage).await, Step::Denied);
    assert_eq!(effects(&mut stage).await, ["owner 1"]);

    let mut harmed = stage_with(1).await;
    harmed.without_guard("follower_claim", "lease").await;
    let step = try_to_take_over(&mut harmed).await;
    assert_ne!(step, Step::Denied, "the harm: the lease protects nobody");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_with_a_higher_epoch() {
    let mut stage = stage_with(1).await;
    let mut owner = clerk("owner").following(&stage.journal);
    owner.step().await.unwrap();
    let epoch = "select epoch from followers";
    let before = stage.number(epoch).await;
    end_the_lease(&mut stage).await;
    stage.append(booked(2, 2)).await.unwrap();
    let mut other = clerk("other").following(&journal(stage.url()));
    assert_eq!(
        other.step().await.unwrap(),
        Step::Advanced {
            events: 1,
            position: 2
        }
    );
    assert_eq!(stage.number(epoch).await, before + 1);
    assert_eq!(effects(&mut stage).await, ["owner 1", "other 2"]);
}

/// An owner sleeps between plan and transaction; meanwhile its lease runs out and another process takes over,
/// up to its own plan. Then both go on, the sleeper first.
async fn take_over_from_a_sleeper(stage: &mut Stage) -> (Step, Step) {
    let (asleep, awake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut sleeper = sleeping("sleeper", &asleep, &awake).following(&stage.journal);
    let (other_asleep, other_awake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let elsewhere = journal(stage.url());
    let meanwhile = async {
        asleep.notified().await;
        end_the_lease(stage).await;
        let mut other = sleeping("other", &other_asleep, &other_awake).following(&elsewhere);
        let wakes_the_sleeper = async {
            other_asleep.notified().await;
            awake.notify_one();
        };
        let (other, ()) = tokio::join!(other.step(), wakes_the_sleeper);
        other.unwrap()
    };
    let sleeps = async {
        let step = sleeper.step().await.unwrap();
        other_awake.notify_one();
        step
    };
    within("both are through", async {
        tokio::join!(sleeps, meanwhile)
    })
    .await
}

/// A clerk that says when it has planned, and goes on when told.
fn sleeping(name: &'static str, asleep: &Arc<Notify>, awake: &Arc<Notify>) -> Clerk {
    let (asleep, awake) = (Arc::clone(asleep), Arc::clone(awake));
    clerk(name).planning(move |_| {
        let (asleep, awake) = (Arc::clone(&asleep), Arc::clone(&awake));
        async move {
            asleep.notify_one();
            awake.notified().await;
            Ok(())
        }
        .boxed()
    })
}

#[tokio::test]
async fn an_owner_that_slept_through_its_lease_writes_nothing() {
    let mut stage = stage_with(2).await;
    let taken = Step::Advanced {
        events: 2,
        position: 2,
    };
    assert_eq!(
        take_over_from_a_sleeper(&mut stage).await,
        (Step::Lost, taken)
    );
    assert_eq!(effects(&mut stage).await, ["other 1", "other 2"]);

    let mut harmed = stage_with(2).await;
    harmed.without_guard("follower_advance", "fence").await;
    take_over_from_a_sleeper(&mut harmed).await;
    let stale = effects(&mut harmed).await;
    assert_eq!(
        stale,
        ["sleeper 1", "sleeper 2"],
        "the harm: written under another's lease"
    );

    let mut harmed = stage_with(2).await;
    harmed.without_guard("follower_advance", "fence").await;
    harmed
        .without_guard("follower_advance", "old position")
        .await;
    take_over_from_a_sleeper(&mut harmed).await;
    let twice = ["other 1", "sleeper 1", "other 2", "sleeper 2"];
    assert_eq!(effects(&mut harmed).await, twice, "the harm: done twice");
}

#[tokio::test]
async fn an_owner_that_lost_its_lease_while_idle_finds_out() {
    let mut stage = stage_with(1).await;
    let mut owner = clerk("owner").following(&stage.journal);
    owner.step().await.unwrap();
    end_the_lease(&mut stage).await;
    let mut other = clerk("other").following(&journal(stage.url()));
    assert_eq!(other.step().await.unwrap(), Step::Idle { hole: None });
    stage.append(booked(2, 2)).await.unwrap();
    assert_eq!(owner.step().await.unwrap(), Step::Lost);
    assert_eq!(owner.step().await.unwrap(), Step::Denied);
    assert_eq!(
        other.step().await.unwrap(),
        Step::Advanced {
            events: 1,
            position: 2
        }
    );
    assert_eq!(effects(&mut stage).await, ["owner 1", "other 2"]);
}

/// A clock that stands still until it is moved: milliseconds.
struct StandingClock(AtomicI64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A follower that goes by a clock of its own.
fn with_clock(name: &'static str, url: &str) -> (Follower<Clerk>, Arc<StandingClock>) {
    let clock = Arc::new(StandingClock(AtomicI64::new(0)));
    let pool = journal(url).pool().clone();
    let journal = Journal::new(pool, clock.clone(), Arc::new(SystemRandom));
    (clerk(name).following(&journal), clock)
}

#[tokio::test]
async fn an_idle_owner_gives_a_sign_of_life_now_and_then() {
    let mut stage = stage_with(0).await;
    let (mut owner, clock) = with_clock("owner", stage.url());
    let lives = "select count(*) from followers where lease_until > clock_timestamp()";
    assert_eq!(owner.step().await.unwrap(), Step::Idle { hole: None });
    assert_eq!(stage.number(lives).await, 1);
    end_the_lease(&mut stage).await;
    assert_eq!(owner.step().await.unwrap(), Step::Idle { hole: None });
    assert_eq!(stage.number(lives).await, 0, "not with every step");
    clock.0.store(2_000, Ordering::SeqCst);
    assert_eq!(owner.step().await.unwrap(), Step::Idle { hole: None });
    assert_eq!(stage.number(lives).await, 1);
}

#[tokio::test]
async fn an_idle_owner_that_gives_no_sign_in_time_finds_the_lease_gone() {
    let mut stage = stage_with(0).await;
    let (mut owner, clock) = with_clock("owner", stage.url());
    owner.step().await.unwrap();
    end_the_lease(&mut stage).await;
    let mut other = clerk("other").following(&journal(stage.url()));
    assert_eq!(other.step().await.unwrap(), Step::Idle { hole: None });
    clock.0.store(2_000, Ordering::SeqCst);
    assert_eq!(owner.step().await.unwrap(), Step::Lost);
    assert_eq!(owner.step().await.unwrap(), Step::Denied);
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let mut stage = stage_with(1).await;
    let mut owner = clerk("owner").following(&stage.journal);
    owner.step().await.unwrap();
    let mut other = clerk("other").following(&journal(stage.url()));
    assert_eq!(other.step().await.unwrap(), Step::Denied);
    owner.release().await.unwrap();
    assert_eq!(other.step().await.unwrap(), Step::Idle { hole: None });
    // Giving back what one no longer has does nothing to the one who has it.
    owner.release().await.unwrap();
    assert_eq!(owner.step().await.unwrap(), Step::Denied);
    assert_eq!(
        stage
            .number("select count(*) from followers where owner is not null")
            .await,
        1
    );
}

/// Steps until it gets through; how often somebody else's transaction held the row for too long.
async fn take_over(other: &mut Follower<Clerk>) -> (Step, u32) {
    let (began, mut waits) = (local_postgres::testing::stopwatch(), 0);
    loop {
        match other.step().await {
            Ok(step) => return (step, waits),
            Err(HandlerError::Store(StoreError::Busy { .. })) => waits += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < PATIENCE, "it holds the row for ever");
    }
}

#[tokio::test]
async fn an_owner_that_stopped_inside_its_transaction_does_not_stop_the_next() {
    let mut stage = stage_with(2).await;
    // With the time-outs of production: they are what this is about.
    let url = stage.url().to_owned();
    let production = || journal_over(schema::connect(&url, 2).unwrap());
    let (planned, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let inside = Arc::new(Notify::new());
    let tell = Arc::clone(&inside);
    let mut stopped = sleeping("stopped", &planned, &go_on)
        .written(move |_| {
            tell.notify_one();
            pending().boxed()
        })
        .following(&production());
    let mut step = std::pin::pin!(stopped.step());
    tokio::select! {
        step = &mut step => panic!("{step:?}"),
        () = within("it has planned", planned.notified()) => {}
    }
    end_the_lease(&mut stage).await;
    go_on.notify_one();
    tokio::select! {
        step = &mut step => panic!("{step:?}"),
        () = within("it is in its transaction", inside.notified()) => {}
    }
    // From here on nobody drives it, as if its process had been stopped: the transaction stays open.
    let (taken, waits) = take_over(&mut clerk("other").following(&production())).await;
    assert_eq!(
        taken,
        Step::Advanced {
            events: 2,
            position: 2
        }
    );
    assert!(waits > 0, "it did hold the row");
    assert_eq!(effects(&mut stage).await, ["other 1", "other 2"]);
    assert_eq!(position(&mut stage).await, 2);
}
