//! A follower that is cut into slices: each key in one of them, and nobody in a layout that was.

use std::sync::Arc;

use futures::future::{FutureExt, join};
use journal::feed::Span;
use journal::follow::{self, Follower, FollowerId, SLICES_MAX, Slice, Step};
use tokio::sync::Notify;

use super::clerk::{Clerk, clerk, effects, stage_with};
use crate::force::{let_go, stall, until_blocked, within};
use crate::samples::booked;
use crate::sql;
use crate::stage::{Stage, journal};

/// A stage with so many events whose clerk may be cut.
pub(super) async fn stage_to_cut(events: u32) -> Stage {
    let mut stage = stage_with(events).await;
    let may = "insert into follower_layouts (name, generation) values ('clerk', 1)";
    sql::run(&mut stage.owner, may).await;
    stage
}

pub(super) fn id() -> FollowerId {
    FollowerId::new("clerk", 1)
}

/// Cuts the clerk.
pub(super) async fn cut(stage: &mut Stage, slices: i32) {
    let before = follow::cut(&mut stage.owner, &id(), slices).await.unwrap();
    assert!(before.is_some());
}

/// One slice of so many.
pub(super) fn slice(number: i32, of: i32) -> Slice {
    let mut slices = Slice::each_of(of);
    slices.find(|slice| slice.number() == number).unwrap()
}

/// The rows that there are: slice and position.
pub(super) async fn rows(stage: &mut Stage) -> Vec<String> {
    let rows = "select slice || ' at ' || position from followers order by slice";
    sql::texts(&mut stage.owner, rows).await
}

/// Steps until there is nothing to take.
pub(super) async fn take_all(follower: &mut Follower<Clerk>) {
    while !matches!(follower.step().await.unwrap(), Step::Idle { hole: None }) {}
}

#[tokio::test]
async fn each_slice_takes_its_keys_and_together_they_take_all_of_them_once() {
    let mut stage = stage_to_cut(12).await;
    cut(&mut stage, 3).await;
    let names = ["1", "2", "3"];
    for (name, slice) in names.into_iter().zip(Slice::each_of(3)) {
        let mut follower = clerk(name).following_slice(&stage.journal, slice);
        take_all(&mut follower).await;
    }
    // Booking and position have the same number here.
    let expected: Vec<_> = (1..=12)
        .map(|n| format!("{} {n}", Slice::of_key(&n.to_string(), 3)))
        .collect();
    assert_eq!(effects(&mut stage).await, expected);
    for name in names {
        assert!(
            expected.iter().any(|effect| effect.starts_with(name)),
            "{expected:?}"
        );
    }
    assert_eq!(rows(&mut stage).await, ["1 at 12", "2 at 12", "3 at 12"]);
}

#[tokio::test]
async fn the_database_finds_the_same_slice_for_a_key() {
    let mut stage = Stage::open().await;
    let keys = (1..200)
        .map(|n| n.to_string())
        .chain(["", "x", "siebzehn", "열일곱"].map(str::to_owned));
    let keys: Vec<String> = keys.collect();
    for count in 1..=SLICES_MAX {
        let found: Vec<i32> = sqlx::query_scalar(
            "select slice_of(key, $2) from unnest($1::text[]) with ordinality as k (key, n) order by n",
        )
        .bind(&keys)
        .bind(count)
        .fetch_all(&mut stage.owner)
        .await
        .unwrap();
        let here: Vec<i32> = keys.iter().map(|key| Slice::of_key(key, count)).collect();
        assert_eq!(found, here, "of {count}");
    }
}

/// Whether somebody new is given a slice of so many; `None` of how many: as a process of the version before asks.
async fn claims(stage: &mut Stage, number: i32, of: Option<i32>) -> bool {
    let of = of.map_or_else(String::new, |of| format!(", {of}"));
    let claim = format!(
        "select count(*) from follower_claim('clerk', 1, {number}{of}, gen_random_uuid(), 5000)"
    );
    stage.number(&claim).await == 1
}

#[tokio::test]
async fn only_a_slice_of_the_layout_is_given_to_anybody() {
    let mut stage = stage_to_cut(1).await;
    assert!(!claims(&mut stage, 1, Some(1)).await);
    assert!(!claims(&mut stage, 1, Some(2)).await);
    assert!(claims(&mut stage, 0, None).await, "the version before");
    cut(&mut stage, 3).await;
    for (number, of) in [
        (0, None),
        (1, None),
        (0, Some(1)),
        (0, Some(3)),
        (1, Some(2)),
        (4, Some(3)),
        (1, Some(4)),
    ] {
        assert!(!claims(&mut stage, number, of).await, "{number} of {of:?}");
    }
    for number in 1..=3 {
        assert!(claims(&mut stage, number, Some(3)).await);
    }
    assert_eq!(rows(&mut stage).await, ["1 at 0", "2 at 0", "3 at 0"]);
    cut(&mut stage, 1).await;
    assert!(claims(&mut stage, 0, None).await);
    assert_eq!(rows(&mut stage).await, ["0 at 0"]);

    let mut harmed = stage_to_cut(1).await;
    cut(&mut harmed, 3).await;
    harmed.without_guard("follower_claim", "layout").await;
    assert!(
        claims(&mut harmed, 0, None).await,
        "the harm: all keys are taken beside the slices"
    );
    assert!(
        claims(&mut harmed, 1, Some(2)).await,
        "the harm: another slice by the same number"
    );
}

#[tokio::test]
async fn only_what_has_a_layout_is_cut_and_only_by_the_owner() {
    let mut stage = stage_with(1).await;
    let cut_up = follow::cut(&mut stage.owner, &id(), 2).await.unwrap();
    assert_eq!(cut_up, None);
    let orders = FollowerId::new("orders", 1);
    assert_eq!(stage.journal.slices(&orders).await.unwrap(), 1);
    assert_eq!(
        follow::cut(&mut stage.owner, &orders, 2).await.unwrap(),
        Some(1)
    );
    assert_eq!(stage.journal.slices(&orders).await.unwrap(), 2);
    assert_eq!(
        follow::cut(&mut stage.owner, &orders, 2).await.unwrap(),
        Some(2)
    );
    let mut runtime = stage.runtime_session().await;
    assert_eq!(
        sql::refusal(&mut runtime, "select follower_cut('orders', 1, 3)").await,
        "42501"
    );
    for too_many in [0, SLICES_MAX + 1] {
        assert!(
            follow::cut(&mut stage.owner, &orders, too_many)
                .await
                .is_err()
        );
    }
    assert_eq!(stage.journal.slices(&orders).await.unwrap(), 2);
}

/// A clerk that says where it is, and goes on when told: while it plans, or when it has written.
fn halting(name: &'static str, halts: &Arc<Notify>, goes_on: &Arc<Notify>, written: bool) -> Clerk {
    let (halts, goes_on) = (Arc::clone(halts), Arc::clone(goes_on));
    let hook = move |_: &[journal::Recorded]| {
        let (halts, goes_on) = (Arc::clone(&halts), Arc::clone(&goes_on));
        async move {
            halts.notify_one();
            goes_on.notified().await;
            Ok(())
        }
        .boxed()
    };
    if written {
        clerk(name).written(hook)
    } else {
        clerk(name).planning(hook)
    }
}

#[tokio::test]
async fn a_cut_waits_for_the_batch_that_is_being_written_and_nothing_is_written_after_it() {
    let mut stage = stage_to_cut(2).await;
    let (halts, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut old = halting("old", &halts, &goes_on, true).following(&stage.journal);
    let mut observer = stage.session().await;
    let cutting = async {
        halts.notified().await;
        let waits = async {
            until_blocked(&mut observer, 1).await;
            goes_on.notify_one();
        };
        join(cut(&mut stage, 2), waits).await;
    };
    let (step, ()) = within("both are through", join(old.step(), cutting)).await;
    assert_eq!(
        step.unwrap(),
        Step::Advanced {
            events: 2,
            position: 2
        }
    );
    assert_eq!(rows(&mut stage).await, ["1 at 2", "2 at 2"]);

    stage.append(booked(3, 3)).await.unwrap();
    // It would halt when it has written.
    goes_on.notify_one();
    assert_eq!(old.step().await.unwrap(), Step::Lost);
    assert_eq!(old.step().await.unwrap(), Step::Denied);
    assert_eq!(effects(&mut stage).await, ["old 1", "old 2"]);
}

/// A process of one layout has planned a batch, and sleeps while the follower is cut: into so many, one after the other.
async fn wakes_after(of: i32, cuts: &[i32]) -> (Stage, Vec<Step>) {
    let mut stage = stage_to_cut(8).await;
    cut(&mut stage, of).await;
    let (halts, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = Slice::each_of(of).next().unwrap();
    let mut sleeper =
        halting("sleeper", &halts, &goes_on, false).following_slice(&stage.journal, first);
    let cutting = async {
        halts.notified().await;
        for slices in cuts {
            cut(&mut stage, *slices).await;
        }
        goes_on.notify_one();
    };
    let (step, ()) = within("both are through", join(sleeper.step(), cutting)).await;
    goes_on.notify_one();
    let steps = vec![step.unwrap(), sleeper.step().await.unwrap()];
    (stage, steps)
}

#[tokio::test]
async fn who_slept_through_a_cut_writes_nothing_and_is_given_nothing() {
    for (of, cuts) in [(1, &[2][..]), (2, &[3]), (3, &[1]), (2, &[1, 3])] {
        let (mut stage, steps) = wakes_after(of, cuts).await;
        assert_eq!(steps, [Step::Lost, Step::Denied], "{of} {cuts:?}");
        assert_eq!(effects(&mut stage).await, [""; 0]);
    }
    // Into as many as before: its keys are its own again, under a lease that it takes anew.
    let (mut stage, steps) = wakes_after(2, &[3, 2]).await;
    assert_eq!(steps[0], Step::Lost);
    assert!(
        matches!(steps[1], Step::Advanced { position: 8, .. }),
        "{steps:?}"
    );
    let taken = effects(&mut stage).await;
    let its = |n: &i64| Slice::of_key(&n.to_string(), 2) == 1;
    let expected: Vec<_> = (1..=8)
        .filter(its)
        .map(|n| format!("sleeper {n}"))
        .collect();
    assert_eq!(taken, expected);
}

/// A claim is in its middle when a cut comes: how many sessions wait meanwhile, and the rows that there are then.
async fn claim_meets_cut(stage: &mut Stage, waiting: i64) -> Vec<String> {
    stall(&mut stage.owner, "followers", "new.slice = 0", 27).await;
    let mut follower = clerk("old").following(&journal(stage.url()));
    let (mut observer, mut cutter) = (stage.session().await, stage.session().await);
    let cutting = async {
        until_blocked(&mut observer, 1).await;
        let clerk = id();
        let lets_go = async {
            if waiting > 1 {
                until_blocked(&mut observer, waiting).await;
                let_go(&mut stage.owner, 27).await;
            }
        };
        let (before, ()) = join(follow::cut(&mut cutter, &clerk, 2), lets_go).await;
        assert_eq!(before.unwrap(), Some(1));
        if waiting == 1 {
            let_go(&mut stage.owner, 27).await;
        }
    };
    let (held, ()) = within("both are through", join(follower.stand(), cutting)).await;
    assert_eq!(held.unwrap(), Some(0));
    rows(stage).await
}

#[tokio::test]
async fn a_claim_that_is_under_way_is_waited_for_by_a_cut() {
    let mut stage = stage_to_cut(0).await;
    assert_eq!(claim_meets_cut(&mut stage, 2).await, ["1 at 0", "2 at 0"]);

    let mut harmed = stage_to_cut(0).await;
    harmed.without_guard("follower_claim", "cut").await;
    let harm = claim_meets_cut(&mut harmed, 1).await;
    assert_eq!(
        harm,
        ["0 at 0", "1 at 0", "2 at 0"],
        "the harm: all keys are taken beside the slices"
    );
}

/// A statement of a lease that was, sent once more when its owner has the same slice again: whether it moves anything.
async fn old_statement_moves(stage: &mut Stage) -> bool {
    let claim = "select epoch from follower_claim('clerk', 1, 1, 2, '00000000-0000-0000-0000-000000000001', 5000)";
    cut(stage, 2).await;
    let epoch = stage.number(claim).await;
    cut(stage, 3).await;
    cut(stage, 2).await;
    stage.number(claim).await;
    let advance = format!(
        "select follower_advance('clerk', 1, 1, '00000000-0000-0000-0000-000000000001', {epoch}, 0, 1, 5000)::int::bigint"
    );
    stage.number(&advance).await == 1
}

#[tokio::test]
async fn an_epoch_does_not_come_again() {
    let mut stage = stage_to_cut(1).await;
    assert!(!old_statement_moves(&mut stage).await);

    let mut harmed = stage_to_cut(1).await;
    harmed.without_guard("follower_cut", "epochs").await;
    assert!(
        old_statement_moves(&mut harmed).await,
        "the harm: a lease that was counts again"
    );
}

#[tokio::test]
async fn a_hole_holds_every_slice() {
    let mut stage = stage_to_cut(0).await;
    cut(&mut stage, 2).await;
    let mut writer = stage.session().await;
    sql::run(&mut writer, "begin").await;
    let first = sql::insert_event(&mut writer, 1, 1).await;
    stage.append(booked(2, 2)).await.unwrap();
    let mut followers: Vec<_> = Slice::each_of(2)
        .map(|slice| clerk("a").following_slice(&stage.journal, slice))
        .collect();
    let hole = Some(Span { first, last: first });
    for follower in &mut followers {
        assert_eq!(follower.step().await.unwrap(), Step::Idle { hole });
    }
    let holding = "select follower from open_holes order by 1";
    assert_eq!(
        sql::texts(&mut stage.owner, holding).await,
        ["clerk/1/1", "clerk/1/2"]
    );
    let status = stage.journal.status().await.unwrap();
    let named = status.followers.iter().find(|f| f.name == "clerk");
    let only = named.unwrap();
    assert_eq!((only.position, only.state.as_str()), (0, "holding"));
    sql::run(&mut writer, "commit").await;
    for follower in &mut followers {
        take_all(follower).await;
    }
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2"]);
    assert_eq!(stage.number("select count(*) from open_holes").await, 0);
}
