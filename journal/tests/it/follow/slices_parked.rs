//! What is parked when a follower is cut: it stays so, and is tried again by the slice that has its key then.

use journal::follow::{Follower, Slice};
use journal::recover::{Decision, ParkedAt};

use super::clerk::{Clerk, clerk, effects, refusing};
use super::slices::{cut, rows, slice, stage_to_cut, take_all};
use crate::samples::{Compose, append};
use crate::sql;
use crate::stage::Stage;

/// A booking of slice 1 of 2, and one of slice 2.
const FIRST: i64 = 8;
const SECOND: i64 = 5;

fn parked_at() -> ParkedAt {
    ParkedAt {
        name: "clerk".to_owned(),
        generation: 1,
        key: FIRST.to_string(),
    }
}

async fn parked(stage: &mut Stage) -> Vec<String> {
    let parked = "select position || ' of ' || key || coalesce(': ' || reason, '') from parked order by position";
    sql::texts(&mut stage.owner, parked).await
}

/// Of two slices one has taken and parked what is its own, at 1, 3 and 4, and the other one has not begun; then the clerk
/// is cut into three.
async fn parked_and_cut() -> (Stage, Vec<Follower<Clerk>>) {
    assert_eq!(
        [FIRST, SECOND].map(|key| Slice::of_key(&key.to_string(), 2)),
        [1, 2]
    );
    let mut stage = stage_to_cut(0).await;
    cut(&mut stage, 2).await;
    let to = |command, key, after| append(command).to("Book", key, after, 1);
    for command in [
        to(1, FIRST, 0),
        to(2, SECOND, 0),
        to(3, FIRST, 1),
        to(4, FIRST, 2),
    ] {
        stage.append(command).await.unwrap();
    }
    let broken = clerk("a").written(refusing(&[3]));
    take_all(&mut broken.following_slice(&stage.journal, slice(1, 2))).await;
    assert_eq!(rows(&mut stage).await, ["1 at 4", "2 at 0"]);
    assert_eq!(
        parked(&mut stage).await,
        ["3 of 8: it makes no sense", "4 of 8"]
    );
    cut(&mut stage, 3).await;
    assert_eq!(rows(&mut stage).await, ["1 at 0", "2 at 0", "3 at 0"]);
    let followers =
        Slice::each_of(3).map(|slice| clerk("b").following_slice(&stage.journal, slice));
    let followers = followers.collect();
    (stage, followers)
}

async fn all_take_all(followers: &mut [Follower<Clerk>]) {
    for follower in followers {
        take_all(follower).await;
    }
}

#[tokio::test]
async fn a_parked_booking_stays_parked_and_is_tried_again_by_the_slice_that_has_it_now() {
    let (mut stage, mut followers) = parked_and_cut().await;
    all_take_all(&mut followers).await;
    // What was taken before the parked one is not taken, or parked, once more.
    assert_eq!(effects(&mut stage).await, ["a 1", "b 2"]);
    assert_eq!(
        parked(&mut stage).await,
        ["3 of 8: it makes no sense", "4 of 8"]
    );
    stage
        .append(append(5).to("Book", FIRST, 3, 1))
        .await
        .unwrap();
    all_take_all(&mut followers).await;
    assert_eq!(parked(&mut stage).await.len(), 3);

    stage
        .journal
        .retry_parked(&parked_at(), "ann")
        .await
        .unwrap();
    let has_it = Slice::of_key(&FIRST.to_string(), 3);
    let (its, others): (Vec<_>, Vec<_>) = followers
        .into_iter()
        .partition(|follower| follower.id().slice == has_it);
    for mut other in others {
        take_all(&mut other).await;
        assert_eq!(parked(&mut stage).await.len(), 3, "it is not its own");
    }
    for mut follower in its {
        take_all(&mut follower).await;
    }
    assert!(parked(&mut stage).await.is_empty());
    assert_eq!(
        effects(&mut stage).await,
        ["a 1", "b 2", "b 3", "b 4", "b 5"]
    );
    assert!(!stage.journal.retry_is_open(&parked_at()).await.unwrap());
}

#[tokio::test]
async fn a_request_of_another_slice_is_in_nobodys_way() {
    let (mut stage, mut followers) = parked_and_cut().await;
    all_take_all(&mut followers).await;
    // An older request, of a key that nobody can take, and one of each slice's keys behind it.
    let asked = "insert into parked_retries (name, generation, key, asked_at)
                 select 'clerk', 1, key::text, clock_timestamp() - interval '1 hour'
                 from generate_series(100, 120) key";
    sql::run(&mut stage.owner, asked).await;
    for follower in &mut followers {
        follower.release().await.unwrap();
    }
    let mut last = followers.pop().unwrap();
    take_all(&mut last).await;
    let left = "select count(*) from parked_retries where slice_of(key, 3) = 3";
    let of_others = "select count(*) from parked_retries where slice_of(key, 3) <> 3";
    assert_eq!(stage.number(left).await, 0);
    assert!(stage.number(of_others).await > 0);
}

#[tokio::test]
async fn what_was_discarded_is_not_taken_by_who_begins_before_it() {
    let (mut stage, mut followers) = parked_and_cut().await;
    let why = Decision {
        by: "ann",
        reason: "a test booking",
    };
    let gone = stage
        .journal
        .discard_parked(&parked_at(), true, &why)
        .await
        .unwrap();
    assert_eq!(gone, 2);
    all_take_all(&mut followers).await;
    assert_eq!(effects(&mut stage).await, ["a 1", "b 2"]);
    stage
        .append(append(5).to("Book", FIRST, 3, 1))
        .await
        .unwrap();
    all_take_all(&mut followers).await;
    assert_eq!(effects(&mut stage).await, ["a 1", "b 2", "b 5"]);
}
