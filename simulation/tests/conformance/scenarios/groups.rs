//! What is sent together.

use futures::join;
use journal::append::Outcome;
use serde_json::json;

use super::{is_half, is_stored, versions};
use crate::samples::{Compose, booked, command, id};
use crate::stage::Stage;

pub async fn a_poisoned_member_fails_alone(stage: &impl Stage) {
    let mut group: Vec<_> = (1..=8)
        .map(|n| booked(n, i64::try_from(n).unwrap()))
        .collect();
    // No text of Postgres can hold this character.
    group[3].streams[0].events[0].payload = json!({ "deep": [{ "name": "\0" }] });
    assert!(
        stage.store().append(&group).await.is_err(),
        "as a whole it fails"
    );
    let outcomes = stage.journal().append(group).await;
    let failed: Vec<_> = (0..8).filter(|n| !is_stored(&outcomes[*n])).collect();
    assert_eq!(failed, [3], "{outcomes:?}");
    let error = outcomes[3].as_ref().unwrap_err();
    assert_eq!(error.sqlstate(), Some("22P05"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(
        versions(stage, &[("Book", 3), ("Book", 4), ("Book", 5)]).await,
        [1, 0, 1]
    );
}

pub async fn a_half_won_member_fails_alone(stage: &impl Stage) {
    stage.stored(booked(1, 7)).await;
    let group = vec![
        booked(2, 8),
        command(3).to("Payment", 7, 0, 1).to("Book", 7, 0, 1),
        booked(4, 9),
    ];
    assert!(is_half(&stage.store().append(&group).await, false));
    let outcomes = stage.journal().append(group).await;
    assert!(
        is_stored(&outcomes[0]) && is_stored(&outcomes[2]),
        "{outcomes:?}"
    );
    assert_eq!(*outcomes[1].as_ref().unwrap(), Outcome::Conflict);
    let streams = [("Book", 7), ("Payment", 7), ("Book", 8), ("Book", 9)];
    assert_eq!(versions(stage, &streams).await, [1, 0, 1, 1]);
}

pub async fn one_stream_and_one_id_in_a_call_keep_their_order(stage: &impl Stage) {
    let commands = vec![
        command(1).to("Book", 7, 0, 2),
        command(2).to("Book", 7, 2, 1).to("Payment", 7, 0, 1),
        command(3).to("Payment", 7, 1, 1),
        command(1).to("Book", 7, 3, 1),
        booked(4, 8),
    ];
    let outcomes = stage.journal().append(commands).await;
    let stored: Vec<_> = outcomes.iter().map(is_stored).collect();
    assert_eq!(stored, [true, true, true, false, true], "{outcomes:?}");
    let first = outcomes[0].as_ref().unwrap();
    assert!(matches!((first, outcomes[3].as_ref().unwrap()),
        (Outcome::Stored(first), Outcome::Already(again)) if first == again));
    assert_eq!(
        versions(stage, &[("Book", 7), ("Payment", 7)]).await,
        [3, 2]
    );
}

pub async fn the_same_id_in_one_group_makes_it_fail(stage: &impl Stage) {
    let group = [booked(1, 7), booked(1, 8)];
    assert!(is_half(&stage.store().append(&group).await, false));
    assert_eq!(versions(stage, &[("Book", 7), ("Book", 8)]).await, [0, 0]);
    assert!(stage.store().answers(&[id(1)]).await.unwrap().is_empty());
}

pub async fn two_groups_in_swapped_order_do_not_lock_each_other_out(stage: &impl Stage) {
    let (one, other) = (stage.store(), stage.store());
    for round in 0..8 {
        let keys: Vec<i64> = (round * 10..round * 10 + 6).collect();
        let number = |key: i64, side: u128| u128::try_from(key).unwrap() * 2 + side + 1;
        let of = |key: &i64, side| booked(number(*key, side), *key).claiming(*key, *key, 0, 1);
        let forth: Vec<_> = keys.iter().map(|key| of(key, 0)).collect();
        let back: Vec<_> = keys.iter().rev().map(|key| of(key, 1)).collect();
        let (forth, back) = join!(one.append(&forth), other.append(&back));
        let (won, lost) = if matches!(forth.as_ref().unwrap()[0], Outcome::Stored(_)) {
            (forth, back)
        } else {
            (back, forth)
        };
        assert!(won.unwrap().iter().all(|o| matches!(o, Outcome::Stored(_))));
        // Their slots are taken, too; but what they were decided on is gone.
        assert!(lost.unwrap().iter().all(|o| *o == Outcome::Conflict));
    }
}
