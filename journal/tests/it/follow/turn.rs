//! Turns: the followers dealt out among the nodes that are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::{FutureExt, ready};
use journal::follow::{LEASE_MS, run};
use journal::runtime::Tokio;
use tokio_util::sync::CancellationToken;

use super::clerk::{clerk, effects, failure, stage_with};
use crate::force::until;
use crate::samples::id;
use crate::sql;
use crate::stage::Stage;

/// What is left of a lease, two looks at whose turn it is, and what a busy machine may add.
const TAKEN_OVER_MAX: Duration = Duration::from_millis(LEASE_MS + 5_000);
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Everybody asks twice: the first time not all are known yet. How many turns each node has, by its number.
async fn dealt(stage: &mut Stage, nodes: &[(u128, &[&str])]) -> BTreeMap<u128, Vec<String>> {
    let mut turns = BTreeMap::new();
    for _ in 0..2 {
        turns.clear();
        for (node, names) in nodes {
            let mine: &mut Vec<String> = turns.entry(*node).or_default();
            for name in *names {
                let ask = format!(
                    "select follower_turn('{name}', 1, 0, '{}', 60000, false)::int::bigint",
                    id(*node)
                );
                if stage.number(&ask).await == 1 {
                    mine.push((*name).to_owned());
                }
            }
        }
    }
    turns
}

#[tokio::test]
async fn a_single_node_has_every_turn() {
    let mut stage = Stage::open().await;
    let turns = dealt(&mut stage, &[(1, &NAMES)]).await;
    assert_eq!(turns[&1], NAMES);
}

#[tokio::test]
async fn several_have_their_share_and_one_that_is_not_heard_of_leaves_its_own_to_the_others() {
    let mut stage = Stage::open().await;
    let all: Vec<(u128, &[&str])> = (1..=3).map(|node| (node, &NAMES[..])).collect();
    let turns = dealt(&mut stage, &all).await;
    let mut shares: Vec<_> = turns.values().map(Vec::len).collect();
    shares.sort_unstable();
    assert_eq!(shares, [2, 2, 3], "{turns:?}");
    let mut dealt_out: Vec<_> = turns.into_values().flatten().collect();
    dealt_out.sort_unstable();
    assert_eq!(dealt_out, NAMES);

    let gone = format!(
        "update follower_candidates set seen_until = clock_timestamp() where node = '{}'",
        id(3)
    );
    sql::run(&mut stage.owner, &gone).await;
    let turns = dealt(&mut stage, &all[..2]).await;
    assert_eq!(
        turns.values().map(Vec::len).sum::<usize>(),
        NAMES.len(),
        "{turns:?}"
    );
    assert!(turns.values().all(|mine| mine.len() >= 3), "{turns:?}");
}

/// During a deployment the nodes do not all know the same followers.
#[tokio::test]
async fn what_only_one_node_can_follow_is_its_own() {
    let mut stage = Stage::open().await;
    let turns = dealt(
        &mut stage,
        &[(1, &["a", "b", "c"]), (2, &["a", "b", "new"])],
    )
    .await;
    assert!(turns[&1].contains(&"c".to_owned()), "{turns:?}");
    assert!(turns[&2].contains(&"new".to_owned()), "{turns:?}");
    assert_eq!(turns.values().map(Vec::len).sum::<usize>(), 4, "{turns:?}");
}

/// A node whose disk is full, say: it is there, has the turn and the lease, and nothing comes of it.
#[tokio::test]
async fn a_node_whose_steps_fail_passes_its_turn_on() {
    let mut stage = stage_with(2).await;
    let stop = CancellationToken::new();
    let tries = Arc::new(AtomicU32::new(0));
    let tried = Arc::clone(&tries);
    let failing = clerk("failing")
        .written(move |_| {
            tried.fetch_add(1, Ordering::SeqCst);
            ready(Err(failure())).boxed()
        })
        .following(&stage.journal.clone().as_node(id(1)));
    let other = clerk("other").following(&stage.journal.clone().as_node(id(2)));
    let runs = run(failing, Arc::new(Tokio), stop.clone());
    let test = async {
        let has_the_lease = "select count(*) from followers where owner is not null";
        until("it has the lease", async || {
            stage.number(has_the_lease).await == 1
        })
        .await;
        let others = run(other, Arc::new(Tokio), stop.clone());
        let taken = async {
            until("the other one takes it", async || {
                effects(&mut stage).await == ["other 1", "other 2"]
            })
            .await;
            stop.cancel();
        };
        tokio::join!(others, taken);
    };
    tokio::join!(runs, test);
    // Of a second, with 40, 80, 160, 320 and 640 ms between them.
    let tries = tries.load(Ordering::SeqCst);
    assert!((1..=6).contains(&tries), "{tries}");
}

/// A failure of a moment on the one node, and then the death of the other: nobody waits for more than the lease.
#[tokio::test]
async fn a_node_that_stepped_aside_is_there_when_the_other_one_is_gone() {
    let mut stage = stage_with(2).await;
    let stop = CancellationToken::new();
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let aside = clerk("aside")
        .written(move |_| {
            let fails = failing.load(Ordering::SeqCst);
            ready(if fails { Err(failure()) } else { Ok(()) }).boxed()
        })
        .following(&stage.journal.clone().as_node(id(1)));
    let other = clerk("other").following(&stage.journal.clone().as_node(id(2)));
    let runs = run(aside, Arc::new(Tokio), stop.clone());
    let test = async {
        let lease = "select coalesce(sum(epoch), 0)::bigint from followers where owner is not null";
        until("it has the lease", async || stage.number(lease).await == 1).await;
        let taken = until("the other one takes it", async || {
            effects(&mut stage).await == ["other 1", "other 2"]
        });
        // Which is gone then, as if it were killed: nothing is given back.
        tokio::select! {
            () = run(other, Arc::new(Tokio), stop.clone()) => {}
            () = taken => {}
        }
        fails.store(false, Ordering::SeqCst);
        let (gone, epoch) = (
            local_postgres::testing::stopwatch(),
            stage.number(lease).await,
        );
        until("the lease is taken", async || {
            stage.number(lease).await > epoch
        })
        .await;
        assert!(gone.elapsed() < TAKEN_OVER_MAX, "{:?}", gone.elapsed());
        stop.cancel();
    };
    tokio::join!(runs, test);
}
