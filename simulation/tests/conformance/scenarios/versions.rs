//! Expected versions, and all or nothing.

use futures::join;
use journal::append::Outcome;

use super::{is_half, is_stored, versions};
use crate::samples::{Compose, booked, command, id};
use crate::stage::Stage;

pub async fn only_the_version_that_was_decided_on_is_stored(stage: &impl Stage) {
    let first = stage.append(command(1).to("Book", 7, 0, 2)).await.unwrap();
    assert!(matches!(&first, Outcome::Stored(answer) if answer.version_of("Book") == Some(2)));
    for (number, after) in [(2, 0), (3, 1), (4, 3), (5, 9)] {
        let off = stage.append(command(number).to("Book", 7, after, 1)).await;
        assert_eq!(
            off.unwrap(),
            Outcome::Conflict,
            "decided on version {after}"
        );
    }
    let missing = stage.append(command(6).to("Book", 8, 1, 1)).await;
    assert_eq!(
        missing.unwrap(),
        Outcome::Conflict,
        "nothing stands before it"
    );
    stage.stored(command(7).to("Book", 7, 2, 1)).await;
    assert_eq!(versions(stage, &[("Book", 7), ("Book", 8)]).await, [3, 0]);
    let lost = stage.store().answers(&[id(2), id(4), id(6)]).await.unwrap();
    assert!(lost.is_empty(), "the id of a loser is free: {lost:?}");
}

/// One command holds the place; another one wants the same place, a third the one behind it.
async fn at_a_held_place(stage: &impl Stage, commits: bool) -> (bool, bool, bool) {
    let (store, journal) = (stage.store(), stage.journal());
    stage.hold_still(id(1)).await;
    let first = [booked(1, 7)];
    let rest = async {
        stage.until_waiting(1).await;
        let behind = stage.append(command(2).to("Book", 7, 1, 1)).await.unwrap();
        assert_eq!(
            behind,
            Outcome::Conflict,
            "what is not committed is not built on"
        );
        let same = async { journal.append(vec![booked(3, 7)]).await.remove(0) };
        let ends = async {
            stage.until_waiting(2).await;
            if commits {
                stage.let_go(id(1)).await;
            } else {
                stage.cancel(id(1)).await;
            }
        };
        let (same, ()) = join!(same, ends);
        let again = stage.append(command(2).to("Book", 7, 1, 1)).await;
        (is_stored(&same), is_stored(&again))
    };
    let (first, (same, again)) = join!(store.append(&first), rest);
    (first.is_ok(), same, again)
}

pub async fn who_waits_for_a_rolled_back_twin_of_its_place_is_stored(stage: &impl Stage) {
    let ended = at_a_held_place(stage, false).await;
    assert_eq!(ended, (false, true, true), "the first rolled back");
    assert_eq!(versions(stage, &[("Book", 7)]).await, [2]);
}

pub async fn streams_are_stored_together_or_not_at_all(stage: &impl Stage) {
    assert_eq!(at_a_held_place(stage, true).await, (true, false, true));
    let half = [command(11).to("Book", 8, 0, 1).to("Payment", 8, 1, 1)];
    assert!(is_half(&stage.store().append(&half).await, false));
    let [half] = half;
    assert_eq!(stage.append(half).await.unwrap(), Outcome::Conflict);
    assert_eq!(
        versions(stage, &[("Book", 8), ("Payment", 8)]).await,
        [0, 0]
    );
    let both = command(11).to("Book", 8, 0, 1).to("Payment", 8, 0, 2);
    let Outcome::Stored(answer) = stage.append(both).await.unwrap() else {
        panic!("nothing of it stood in the way")
    };
    let told: Vec<_> = answer
        .streams
        .iter()
        .map(|s| (&*s.aggregate_type, s.version))
        .collect();
    assert_eq!(told, [("Book", 1), ("Payment", 2)]);
}

pub async fn what_rolls_back_leaves_nothing_but_a_hole(stage: &impl Stage) {
    stage.stored(booked(1, 1)).await;
    stage
        .rolled_back(command(2).to("Book", 2, 0, 3).claiming(2, 1, 0, 1))
        .await;
    assert_eq!(versions(stage, &[("Book", 2)]).await, [0]);
    assert!(stage.store().answers(&[id(2)]).await.unwrap().is_empty());
    let position = stage
        .stored(command(3).to("Book", 3, 0, 1).claiming(3, 1, 0, 1))
        .await;
    assert_eq!(
        position, 5,
        "a number that was drawn is not given out again"
    );
}
