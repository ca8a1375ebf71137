//! Slots.

use futures::join;
use journal::append::Outcome;

use super::{is_half, versions};
use crate::samples::{Compose, booked, command, id};
use crate::stage::Stage;

pub async fn what_overlaps_is_taken_and_what_adjoins_is_not(stage: &impl Stage) {
    stage.stored(booked(1, 1).claiming(1, 1, 10, 12)).await;
    for (number, from, to) in [
        (2, 10, 12),
        (3, 11, 13),
        (4, 9, 11),
        (5, 9, 13),
        (6, 10, 11),
    ] {
        let key = i64::try_from(number).unwrap();
        let over = booked(number, key).claiming(key, 1, from, to);
        assert_eq!(
            stage.append(over).await.unwrap(),
            Outcome::Taken,
            "{from} to {to}"
        );
        assert_eq!(versions(stage, &[("Book", key)]).await, [0]);
    }
    stage.stored(booked(7, 7).claiming(7, 1, 12, 14)).await;
    stage.stored(booked(8, 8).claiming(8, 1, 8, 10)).await;
    stage.stored(booked(9, 9).claiming(9, 2, 10, 12)).await;
}

pub async fn a_loser_keeps_no_claim(stage: &impl Stage) {
    stage.stored(booked(1, 1).claiming(1, 1, 0, 2)).await;
    let stale = command(2).to("Book", 1, 0, 1).claiming(1, 2, 0, 2);
    assert!(is_half(
        &stage.store().append(std::slice::from_ref(&stale)).await,
        false
    ));
    assert_eq!(stage.append(stale).await.unwrap(), Outcome::Conflict);
    let half_taken = booked(3, 3).claiming(3, 3, 0, 2).claiming(3, 1, 1, 3);
    assert!(is_half(
        &stage
            .store()
            .append(std::slice::from_ref(&half_taken))
            .await,
        true
    ));
    assert_eq!(stage.append(half_taken).await.unwrap(), Outcome::Taken);
    stage
        .stored(booked(4, 4).claiming(4, 2, 0, 2).claiming(4, 3, 0, 2))
        .await;
    assert_eq!(versions(stage, &[("Book", 1), ("Book", 3)]).await, [1, 0]);
}

/// One holds the slot and has not committed; another one wants it.
async fn at_a_held_slot(stage: &impl Stage, first: u128, commits: bool) -> Outcome {
    let (store, journal) = (stage.store(), stage.journal());
    let key = i64::try_from(first).unwrap();
    stage.hold_still(id(first)).await;
    let holds = [booked(first, key).claiming(key, key, 0, 2)];
    let wants = booked(first + 1, key + 1).claiming(key + 1, key, 1, 3);
    let waits = async {
        stage.until_waiting(1).await;
        let ends = async {
            stage.until_waiting(2).await;
            if commits {
                stage.let_go(id(first)).await;
            } else {
                stage.cancel(id(first)).await;
            }
        };
        join!(journal.append(vec![wants]), ends).0
    };
    let (held, wanted) = join!(store.append(&holds), waits);
    assert_eq!(held.is_ok(), commits);
    wanted.into_iter().next().unwrap().unwrap()
}

pub async fn who_waits_for_a_slot_gets_it_when_it_comes_free(stage: &impl Stage) {
    let wanted = at_a_held_slot(stage, 1, false).await;
    assert!(matches!(wanted, Outcome::Stored(_)), "{wanted:?}");
    assert_eq!(at_a_held_slot(stage, 11, true).await, Outcome::Taken);
}

pub async fn a_unit_is_claimed_once_by_a_booking(stage: &impl Stage) {
    stage.stored(booked(1, 1).claiming(1, 1, 0, 2)).await;
    let again = command(2).to("Book", 1, 1, 1).claiming(1, 1, 5, 7);
    assert_eq!(stage.append(again).await.unwrap(), Outcome::Taken);
    let twice = booked(3, 3).claiming(3, 2, 0, 1).claiming(3, 2, 5, 6);
    assert_eq!(stage.append(twice).await.unwrap(), Outcome::Taken);
    stage
        .stored(command(4).to("Book", 1, 1, 1).claiming(1, 2, 5, 7))
        .await;
}
