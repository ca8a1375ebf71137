//! Nothing fails silently: each class of holds, skips and losses is a row, a metric and a line of the log that says
//! why. docs/operations.md has the same classes in a table.

mod parked;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use jiff::Timestamp;
use journal::StoreError;
use journal::follow::{Step, run};
use journal::incidents::Class;
use journal::jobs::{Finish, NewJob, schedule};
use journal::runtime::{Runtime, Tokio};
use sqlx::Acquire;
use tokio_util::sync::CancellationToken;

use crate::follow::clerk::{clerk, effects, end_the_lease, stage_with};
use crate::force::until;
use crate::heard::Heard;
use crate::samples::{booked, id};
use crate::sql;
use crate::stage::{Stage, journal};

const DRAW: &str = "begin; select pg_current_xact_id(); select nextval(pg_get_serial_sequence('events', 'position'))";

fn follower(name: &str) -> String {
    format!("{name}{{follower=\"clerk\"}}")
}

#[tokio::test]
async fn a_hole_that_holds_a_follower_and_a_span_that_is_skipped() {
    let (mut stage, heard) = (stage_with(1).await, Heard::new());
    let mut open = stage.session().await;
    sql::run(&mut open, DRAW).await;
    stage.append(booked(3, 3)).await.unwrap();
    let mut follower = clerk("a").following(&stage.journal);
    until("it holds", async || {
        matches!(follower.step().await.unwrap(), Step::Idle { hole: Some(_) })
    })
    .await;
    let row = "select follower || ' ' || first_position || '-' || last_position from open_holes";
    assert_eq!(sql::texts(&mut stage.owner, row).await, ["clerk/1 2-2"]);
    assert_eq!(heard.metric("feed_holds_total"), 1);
    let why = [
        "the feed holds at a hole: an older transaction has not ended",
        "first=2",
    ];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    let status = stage.journal.status().await.unwrap();
    assert_eq!(
        status.hole.map(|hole| (hole.first, hole.last)),
        Some((2, 2))
    );

    sql::run(&mut open, "rollback").await;
    until("it is passed", async || {
        follower.step().await.unwrap()
            == Step::Advanced {
                events: 1,
                position: 3,
            }
    })
    .await;
    let row =
        "select first_position || '-' || last_position || ' by ' || proved_by from dead_spans";
    assert_eq!(sql::texts(&mut stage.owner, row).await, ["2-2 by clerk/1"]);
    assert_eq!(heard.metric("feed_dead_positions_total"), 1);
    let why = [
        "positions proved dead: their transactions rolled back or were lost",
        "first=2",
    ];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    assert_eq!(stage.number("select count(*) from open_holes").await, 0);
}

async fn incidents(stage: &Stage) -> Vec<String> {
    let incidents = stage.journal.status().await.unwrap().incidents;
    let line = |i: &journal::incidents::Incident| {
        let state = if i.ended_at.is_some() { "over" } else { "open" };
        format!("{} {} {} times, {state}", i.class, i.subject, i.times)
    };
    incidents.iter().map(line).collect()
}

#[tokio::test]
async fn a_lease_that_is_denied_is_said_when_it_begins() {
    let (stage, heard) = (stage_with(1).await, Heard::new());
    let mut owner = clerk("owner").following(&stage.journal);
    owner.step().await.unwrap();
    let mut other = clerk("other").following(&journal(stage.url()));
    for _ in 0..5 {
        assert_eq!(other.step().await.unwrap(), Step::Denied);
    }
    assert_eq!(
        incidents(&stage).await,
        ["lease_denied clerk/1/0 1 times, over"]
    );
    assert_eq!(heard.metric(&follower("follower_leases_denied_total")), 5);
    let why = ["the lease is denied", "holds it until"];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    owner.release().await.unwrap();
    other.step().await.unwrap();
    other.release().await.unwrap();
    owner.step().await.unwrap();
    assert_eq!(other.step().await.unwrap(), Step::Denied);
    assert_eq!(
        incidents(&stage).await,
        ["lease_denied clerk/1/0 2 times, over"]
    );
    assert_eq!(heard.lines(&why), 2, "it began again");
}

#[tokio::test]
async fn a_lease_that_is_lost() {
    let (mut stage, heard) = (stage_with(1).await, Heard::new());
    let mut sleeper = clerk("sleeper").following(&stage.journal);
    sleeper.step().await.unwrap();
    end_the_lease(&mut stage).await;
    let mut other = clerk("other").following(&journal(stage.url()));
    other.step().await.unwrap();
    stage.append(booked(2, 2)).await.unwrap();
    assert_eq!(sleeper.step().await.unwrap(), Step::Lost);
    assert_eq!(
        incidents(&stage).await,
        ["lease_lost clerk/1/0 1 times, over"]
    );
    let reason = &stage.journal.status().await.unwrap().incidents[0].reason;
    assert!(reason.contains("epoch 2"), "{reason}");
    assert_eq!(heard.metric(&follower("follower_leases_lost_total")), 1);
    let why = ["the lease was lost", "holds it until", "epoch 2"];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
}

#[tokio::test]
async fn a_job_that_is_left_to_people() {
    let (mut stage, heard) = (Stage::open().await, Heard::new());
    let job = NewJob {
        kind: "charge",
        key: "7".to_owned(),
        bookid: 7,
        payload: HashMap::new(),
        due_at: Timestamp::UNIX_EPOCH,
        timer: false,
    };
    let mut connection = stage.journal.pool().pool().acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    schedule(&mut tx, &[job]).await.unwrap();
    tx.commit().await.unwrap();
    let jobs = stage
        .journal
        .claim_jobs(&["charge"], id(1), 1, 60_000)
        .await
        .unwrap();
    let reason = "20 tries".to_owned();
    stage
        .journal
        .finish_job(&jobs[0], &Finish::Attention { reason })
        .await
        .unwrap();
    let row = "select state || ': ' || last_error from jobs";
    assert_eq!(
        sql::texts(&mut stage.owner, row).await,
        ["attention: 20 tries"]
    );
    assert_eq!(heard.metric("jobs_attention_total{kind=\"charge\"}"), 1);
    assert_eq!(
        heard.lines(&["a job needs people", "20 tries"]),
        1,
        "{}",
        heard.log()
    );
}

/// Sleeps a hundredth of what it is asked to.
struct Hasty;

impl Runtime for Hasty {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Tokio.sleep(duration / 100)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}

#[tokio::test]
async fn a_follower_that_fails_again_and_again_and_then_goes_on() {
    let (mut stage, heard) = (stage_with(2).await, Heard::new());
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let failing = clerk("a").written(move |_| {
        let refused = StoreError::Refused {
            sqlstate: "42P01".to_owned(),
            message: "no such table".to_owned(),
        };
        ready(if is_mended.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err(refused.into())
        })
        .boxed()
    });
    let stop = CancellationToken::new();
    let follower_runs = run(
        failing.following(&stage.journal),
        Arc::new(Hasty),
        stop.clone(),
    );
    let test = async {
        until("it is said to fail", async || {
            incidents(&stage).await == ["follower_failing clerk/1/0 1 times, open"]
        })
        .await;
        let status = stage.journal.status().await.unwrap();
        let clerk = &status.followers[0];
        assert_eq!(
            (clerk.state.as_str(), clerk.lag_events, clerk.parked),
            ("failing", 2, 0)
        );
        let reason = "the database refused (42P01): no such table";
        assert_eq!(clerk.reason.as_deref(), Some(reason));
        until("it is in the log", async || {
            heard.lines(&["a follower fails again and again", reason]) == 1
        })
        .await;
        assert_eq!(heard.metric(&follower("follower_failing")), 1);
        assert!(heard.metric(&follower("follower_errors_total")) >= 8);
        mended.store(true, Ordering::SeqCst);
        until("it goes on", async || {
            incidents(&stage).await == ["follower_failing clerk/1/0 1 times, over"]
        })
        .await;
        until("it is in the log", async || {
            heard.lines(&["a follower that failed goes on"]) == 1
        })
        .await;
        assert_eq!(heard.metric(&follower("follower_failing")), 0);
        assert_eq!(
            stage.journal.status().await.unwrap().followers[0].state,
            "running"
        );
        stop.cancel();
    };
    tokio::join!(follower_runs, test);
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2"]);
}

/// A node failed, said so and was killed; the one that follows from then on had followed before, and been well.
#[tokio::test]
async fn whoever_takes_over_from_a_failing_node_that_was_killed_says_that_it_goes_on() {
    let mut stage = stage_with(1).await;
    let stop = CancellationToken::new();
    let follower = clerk("a").following(&stage.journal);
    let follower_runs = run(follower, Arc::new(Tokio), stop.clone());
    let test = async {
        until("it follows", async || effects(&mut stage).await == ["a 1"]).await;
        let others = "update followers set owner = gen_random_uuid(), epoch = epoch + 1,
                                           lease_until = clock_timestamp() + interval '1 hour'";
        sql::run(&mut stage.owner, others).await;
        stage.append(booked(2, 2)).await.unwrap();
        let are = async |stage: &Stage, one: &str| {
            let all = incidents(stage).await;
            all.iter().any(|incident| incident == one)
        };
        until("it is denied", async || {
            are(&stage, "lease_denied clerk/1/0 1 times, over").await
        })
        .await;
        let (class, failed) = (Class::FollowerFailing, "no such table");
        let said = stage.journal.incident_begins(class, "clerk/1/0", failed);
        said.await.unwrap();
        end_the_lease(&mut stage).await;
        until("it says that it goes on", async || {
            are(&stage, "follower_failing clerk/1/0 1 times, over").await
        })
        .await;
        stop.cancel();
    };
    tokio::join!(follower_runs, test);
}
