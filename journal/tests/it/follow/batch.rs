//! A batch: its effects and the checkpoint are one commit, however it is interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{FutureExt, pending, ready};
use journal::follow::Step;
use journal::schema;
use tokio::sync::Notify;

use super::clerk::{clerk, effects, end_the_lease, failure, position, stage_with};
use crate::force::{until, within};
use crate::proxy::Proxy;
use crate::sql;
use crate::stage::{Stage, journal_over};

#[tokio::test]
async fn checkpoint_and_effect_commit_together() {
    let mut stage = stage_with(3).await;
    let fails = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&fails);
    let mut follower = clerk("a")
        .written(move |_| {
            let result = if told.load(Ordering::SeqCst) {
                Err(failure())
            } else {
                Ok(())
            };
            ready(result).boxed()
        })
        .following(&stage.journal);
    let mut moved = stage.journal.moved();
    follower.step().await.unwrap_err();
    assert_eq!(
        (effects(&mut stage).await.len(), position(&mut stage).await),
        (0, 0)
    );
    assert!(!moved.has_changed().unwrap());

    fails.store(false, Ordering::SeqCst);
    let step = follower.step().await.unwrap();
    assert_eq!(
        step,
        Step::Advanced {
            events: 3,
            position: 3
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 3"]);
    assert_eq!(position(&mut stage).await, 3);
    assert!(moved.has_changed().unwrap());
    moved.mark_unchanged();
    assert_eq!(follower.step().await.unwrap(), Step::Idle { hole: None });
    assert!(!moved.has_changed().unwrap());
}

#[tokio::test]
async fn a_batch_cut_off_between_plan_and_commit_comes_again_and_has_its_effect_once() {
    let mut stage = stage_with(2).await;
    let written = Arc::new(Notify::new());
    let tell = Arc::clone(&written);
    let mut dies = clerk("dies")
        .written(move |_| {
            tell.notify_one();
            pending().boxed()
        })
        .following(&stage.journal);
    tokio::select! {
        step = dies.step() => panic!("{step:?}"),
        () = within("it has written", written.notified()) => {}
    }
    drop(dies);
    assert!(effects(&mut stage).await.is_empty());

    end_the_lease(&mut stage).await;
    let mut successor = clerk("successor").following(&stage.journal);
    let step = successor.step().await.unwrap();
    assert_eq!(
        step,
        Step::Advanced {
            events: 2,
            position: 2
        }
    );
    assert_eq!(effects(&mut stage).await, ["successor 1", "successor 2"]);
}

/// A follower's connection dies between the commit of its batch and the answer; then it steps again.
async fn lose_the_answer_to_a_batch(stage: &mut Stage) -> Step {
    let proxy = Arc::new(Proxy::before(stage.url()));
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    let swallowing = Arc::clone(&proxy);
    let once = AtomicBool::new(true);
    let mut follower = clerk("a")
        .written(move |_| {
            if once.swap(false, Ordering::SeqCst) {
                swallowing.swallow_answers();
            }
            ready(Ok(())).boxed()
        })
        .following(&journal);
    let dies = async {
        until("the batch is committed", async || {
            position(stage).await == 2
        })
        .await;
        proxy.cut();
    };
    let (step, ()) = tokio::join!(follower.step(), dies);
    step.unwrap_err();
    follower.step().await.unwrap()
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_not_done_again() {
    let mut stage = stage_with(2).await;
    assert_eq!(lose_the_answer_to_a_batch(&mut stage).await, Step::Lost);
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2"]);

    let mut harmed = stage_with(2).await;
    harmed
        .without_guard("follower_advance", "old position")
        .await;
    lose_the_answer_to_a_batch(&mut harmed).await;
    let twice = ["a 1", "a 1", "a 2", "a 2"];
    assert_eq!(effects(&mut harmed).await, twice, "the harm: done twice");
}

#[tokio::test]
async fn a_follower_takes_what_comes_while_it_looks() {
    let mut stage = stage_with(1).await;
    let mut follower = clerk("a").following(&stage.journal);
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 1,
            position: 1
        }
    );
    stage.append(crate::samples::booked(2, 2)).await.unwrap();
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 1,
            position: 2
        }
    );
    let moved =
        "select count(*) from followers where position = 2 and lease_until > clock_timestamp()";
    assert_eq!(sql::number(&mut stage.owner, moved).await, 1);
}
