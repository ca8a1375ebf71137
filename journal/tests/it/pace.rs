//! How live followers get on: each is seen, by slice, also one that never ran.

use std::sync::Arc;
use std::time::Duration;

use journal::follow::{self, FollowerId};
use journal::runtime::Tokio;
use journal::status::Pace;
use tokio_util::sync::CancellationToken;

use crate::follow::clerk::clerk;
use crate::force::until;
use crate::samples::{booked, id};
use crate::sql;
use crate::stage::Stage;

/// What counts as waiting here.
const A_MOMENT: Duration = Duration::from_millis(50);

async fn paces(stage: &Stage) -> Vec<Pace> {
    stage.journal.paces().await.unwrap()
}

/// Every follower: where it is, whether it waits, and why.
async fn told(stage: &Stage) -> Vec<String> {
    let line = |pace: &Pace| {
        let state = if pace.still >= A_MOMENT {
            &pace.reason
        } else {
            "nothing waits"
        };
        format!("{} at {}: {state}", pace.follower, pace.position)
    };
    paces(stage).await.iter().map(line).collect()
}

async fn becomes<T>(stage: &Stage, wanted: &[T])
where
    String: PartialEq<T>,
{
    let mut last = vec![];
    let seen = local_postgres::testing::timeout(crate::force::PATIENCE, async {
        while last != wanted {
            last = told(stage).await;
        }
    });
    if seen.await.is_err() {
        panic!("{last:#?}");
    }
}

/// The saga, and a read model that is live and nobody filled yet.
async fn stage() -> Stage {
    let mut stage = Stage::open().await;
    let live = "insert into projections (name, generation, version, state) values ('mypage', 1, 1, 'live')";
    sql::run(&mut stage.owner, live).await;
    stage
}

#[tokio::test]
async fn what_never_ran_waits_from_its_first_event_on() {
    let mut stage = stage().await;
    let nothing = ["mypage at 0: nothing waits", "orders at 0: nothing waits"];
    assert_eq!(told(&stage).await, nothing);
    stage.append(booked(1, 1)).await.unwrap();
    let waits = [
        "mypage at 0: nobody follows, and nobody ever did: no process with the role projections runs, or none can",
        "orders at 0: nobody follows, and nobody ever did: no process with the role processes runs, or none can",
    ];
    becomes(&stage, &waits).await;
    // It is told of what waits, and not of generations that nobody reads.
    let others = "
        insert into projections (name, generation, version, state) values ('mypage', 2, 1, 'building'), ('books', 1, 1, 'kept');
        insert into followers (name, generation) values ('mypage', 2), ('books', 1)";
    sql::run(&mut stage.owner, others).await;
    becomes(&stage, &waits).await;
    sql::run(
        &mut stage.owner,
        "insert into followers (name, generation) values ('clerk', 1)",
    )
    .await;
    until("any other follower is seen, too", async || {
        paces(&stage)
            .await
            .iter()
            .any(|pace| pace.follower == "clerk" && pace.still >= A_MOMENT)
    })
    .await;
}

#[tokio::test]
async fn nothing_waits_since_before_the_system_was_filled() {
    let mut stage = stage().await;
    stage.append(booked(1, 1)).await.unwrap();
    until("both wait", async || {
        paces(&stage)
            .await
            .iter()
            .all(|pace| pace.still >= A_MOMENT)
    })
    .await;
    let still = async |stage: &Stage| -> Vec<Duration> {
        paces(stage).await.iter().map(|pace| pace.still).collect()
    };
    for since in [
        // Wherever the test is by now: all of this was a moment ago.
        "update follower_layouts set changed_at = changed_at + interval '1 hour';
         update projections set created_at = created_at + interval '1 hour'",
        "update follower_layouts set changed_at = changed_at - interval '1 hour';
         update projections set created_at = created_at - interval '1 hour';
         insert into imports (source, source_epoch, header_sha256, events_sha256, first_position, last_position,
                              payments_held, finished_at)
         values (gen_random_uuid(), 1, '', '', 1, 1, false, clock_timestamp() + interval '1 hour')",
        "update imports set finished_at = null",
    ] {
        sql::run(&mut stage.owner, since).await;
        assert_eq!(still(&stage).await, [Duration::ZERO; 2], "{since}");
    }
    let long_ago = "update imports set finished_at = clock_timestamp() - interval '1 hour'";
    sql::run(&mut stage.owner, long_ago).await;
    assert!(still(&stage).await.iter().all(|still| *still >= A_MOMENT));
    assert!(
        paces(&stage)
            .await
            .iter()
            .all(|pace| pace.lag_seconds < 3_600)
    );
}

#[tokio::test]
async fn each_slice_has_a_pace_and_a_reason_of_its_own() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 1)).await.unwrap();
    let orders = FollowerId::new("orders", 1);
    follow::cut(&mut stage.owner, &orders, 4).await.unwrap();
    let facts = "
        update followers set position = 1 where slice = 1;
        insert into open_holes (follower, first_position, last_position) values ('orders/1/2', 1, 1);
        insert into incidents (class, subject, reason) values ('follower_failing', 'orders/1/3', 'the disk is full');
        update followers set owner = gen_random_uuid(), lease_until = clock_timestamp() + interval '1 hour'
        where slice in (2, 4)";
    sql::run(&mut stage.owner, facts).await;
    let each = [
        "orders/1 at 1: nothing waits",
        "orders/2 at 0: the feed holds at the hole 1-1",
        "orders/3 at 0: its steps fail: the disk is full",
        "orders/4 at 0: its follower does not move",
    ];
    becomes(&stage, &each).await;
}

/// What is told of the clerk's two slices.
fn of_each(told: &str) -> [String; 2] {
    [1, 2].map(|slice| format!("clerk/{slice} {told}"))
}

/// A process of the version before asks for all keys, again and again.
#[tokio::test]
async fn a_process_that_the_cut_denies_is_why_nobody_follows() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 1)).await.unwrap();
    let may = "update follower_layouts set name = 'clerk'";
    sql::run(&mut stage.owner, may).await;
    let clerk_id = FollowerId::new("clerk", 1);
    follow::cut(&mut stage.owner, &clerk_id, 2).await.unwrap();
    let nobody = "at 0: nobody follows: no process with the role processes runs, or none can";
    becomes(&stage, &of_each(nobody)).await;
    let stop = CancellationToken::new();
    let before = clerk("before").following(&stage.journal.clone().as_node(id(1)));
    let runs = follow::run(before, Arc::new(Tokio), stop.clone());
    let test = async {
        let denied = "at 0: nobody follows: it is cut into slices, and a process that would take all of it is denied";
        becomes(&stage, &of_each(denied)).await;
        stop.cancel();
    };
    tokio::join!(runs, test);
}
