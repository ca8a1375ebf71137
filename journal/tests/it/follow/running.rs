//! The loop around the steps: woken by appends, ended by its token, back after an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::{FutureExt, ready};
use journal::follow::run;
use journal::runtime::Tokio;
use tokio_util::sync::CancellationToken;

use super::clerk::{clerk, effects, failure, position, stage_with};
use crate::force::until;
use crate::samples::booked;

#[tokio::test]
async fn a_running_follower_takes_what_comes_and_gives_its_lease_back_in_the_end() {
    let mut stage = stage_with(2).await;
    let stop = CancellationToken::new();
    let follower = clerk("a").following(&stage.journal);
    let test = async {
        until("what was there is taken", async || {
            effects(&mut stage).await.len() == 2
        })
        .await;
        stage.append(booked(3, 3)).await.unwrap();
        until("what came is taken", async || {
            effects(&mut stage).await.len() == 3
        })
        .await;
        stop.cancel();
    };
    tokio::join!(run(follower, Arc::new(Tokio), stop.clone()), test);
    assert_eq!(position(&mut stage).await, 3);
    assert_eq!(
        stage
            .number("select count(*) from followers where owner is not null")
            .await,
        0
    );
}

#[tokio::test]
async fn a_running_follower_survives_errors() {
    let mut stage = stage_with(2).await;
    let stop = CancellationToken::new();
    let failures = Arc::new(AtomicU32::new(3));
    let left = Arc::clone(&failures);
    let follower = clerk("a").written(move |_| {
        let fails = left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        ready(if fails { Err(failure()) } else { Ok(()) }).boxed()
    });
    let follower = follower.following(&stage.journal);
    let test = async {
        until("the batch is taken", async || {
            position(&mut stage).await == 2
        })
        .await;
        stop.cancel();
    };
    tokio::join!(run(follower, Arc::new(Tokio), stop.clone()), test);
    assert_eq!(failures.load(Ordering::SeqCst), 0);
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2"]);
}
