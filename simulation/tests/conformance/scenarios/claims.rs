//! Slots.

use futures::future::join_all;
use futures::join;
use journal::append::Outcome;

use super::{is_half, units, versions};
use crate::samples::{Compose, booked, booked_in, command, id};
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
    // Whoever wins one of two keeps neither.
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

pub async fn a_booking_may_have_several_slots(stage: &impl Stage) {
    stage.stored(booked(1, 1).claiming(1, 1, 0, 2)).await;
    let over = command(2).to("Book", 1, 1, 1).claiming(1, 1, 1, 3);
    assert_eq!(
        stage.append(over).await.unwrap(),
        Outcome::Taken,
        "by itself"
    );
    let twice = booked(3, 3).claiming(3, 2, 0, 2).claiming(3, 2, 1, 3);
    assert_eq!(stage.append(twice).await.unwrap(), Outcome::Taken);
    stage
        .stored(command(4).to("Book", 1, 1, 1).claiming(1, 1, 5, 7))
        .await;
    stage
        .stored(booked(5, 5).claiming(5, 2, 0, 1).claiming(5, 2, 1, 2))
        .await;
}

pub async fn the_lowest_free_unit_is_won_and_named(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1, 2, 3], 0, 2)).await;
    stage.stored(booked_in(2, 2, &[3, 2, 1], 1, 3)).await;
    stage.stored(booked_in(3, 3, &[1, 2, 3], 0, 4)).await;
    let fourth = booked_in(4, 4, &[1, 2, 3], 1, 2);
    assert_eq!(stage.append(fourth).await.unwrap(), Outcome::Taken);
    stage.stored(booked_in(5, 5, &[1, 2, 3], 2, 4)).await;
    stage.stored(booked_in(6, 6, &[2], 3, 5)).await;
    let nowhere = booked_in(7, 7, &[], 9, 10);
    assert_eq!(stage.append(nowhere).await.unwrap(), Outcome::Taken);
    assert_eq!(
        units(stage, &[1, 2, 3, 4, 5, 6]).await,
        [Some(1), Some(2), Some(3), None, Some(1), Some(2)]
    );
}

pub async fn three_units_serve_three_of_a_hundred(stage: &impl Stage) {
    let journal = stage.journal();
    let some = |first: i64| {
        let keys = first..first + 10;
        let commands = keys.map(|key| {
            let number = u128::try_from(key).unwrap();
            booked_in(number, key, &[1, 2, 3], key % 3, 10 + key % 3)
        });
        journal.append(commands.collect())
    };
    let outcomes = join_all((0..10).map(|some_more| some(1 + some_more * 10))).await;
    let outcomes: Vec<_> = outcomes.into_iter().flatten().map(Result::unwrap).collect();
    let stored: Vec<i64> = (1..)
        .zip(&outcomes)
        .filter(|(_, outcome)| matches!(outcome, Outcome::Stored(_)))
        .map(|(key, _)| key)
        .collect();
    let taken = outcomes.iter().filter(|o| **o == Outcome::Taken).count();
    assert_eq!((stored.len(), taken), (3, 97), "{outcomes:?}");
    let mut served = units(stage, &stored).await;
    served.sort_unstable();
    assert_eq!(served, [Some(1), Some(2), Some(3)]);
}

pub async fn two_groups_that_meet_at_two_units_do_not_lock_each_other_out(stage: &impl Stage) {
    let store = stage.store();
    // The first has unit 1 and stands still; the second wants 2, and then 1.
    stage.hold_still(id(1)).await;
    let first = [booked_in(1, 1, &[1], 0, 2), booked_in(2, 2, &[1, 2], 0, 2)];
    let second = [
        booked_in(3, 3, &[2], 1, 3),
        booked_in(4, 4, &[2, 1], 4, 6),
        booked_in(5, 5, &[1, 3], 0, 2),
    ];
    let meets = async {
        stage.until_waiting(1).await;
        let lets_go = async {
            stage.until_waiting(2).await;
            stage.let_go(id(1)).await;
        };
        join!(store.append(&second), lets_go).0
    };
    let (first, second) = join!(store.append(&first), meets);
    let first = first.unwrap();
    assert!(first.iter().all(|o| matches!(o, Outcome::Stored(_))));
    let second = second.unwrap();
    assert_eq!(second[0], Outcome::Taken, "{second:?}");
    assert!(second[1..].iter().all(|o| matches!(o, Outcome::Stored(_))));
    assert_eq!(
        units(stage, &[1, 2, 4, 5]).await,
        [Some(1), Some(2), Some(1), Some(3)]
    );
}

pub async fn who_lost_on_an_old_version_decides_again(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1], 0, 2)).await;
    stage.stored(booked(2, 2)).await;
    let late = booked(3, 2).claiming(2, 1, 1, 3);
    assert_eq!(stage.append(late).await.unwrap(), Outcome::Conflict);
    let early = command(4).to("Book", 2, 5, 1).claiming(2, 1, 1, 3);
    assert_eq!(stage.append(early).await.unwrap(), Outcome::Taken);
}

pub async fn losers_in_a_group_leave_the_others_alone(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1], 0, 2)).await;
    let group = [
        booked_in(2, 2, &[1], 1, 3),
        booked_in(3, 3, &[1], 2, 4),
        booked_in(4, 4, &[1], 2, 4),
        booked(5, 5),
    ];
    let outcomes = stage.store().append(&group).await.unwrap();
    assert_eq!(outcomes[0], Outcome::Taken);
    assert_eq!(
        outcomes[2],
        Outcome::Taken,
        "of equal slots the first one's"
    );
    assert!(matches!(outcomes[1], Outcome::Stored(_)));
    assert!(matches!(outcomes[3], Outcome::Stored(_)));
}
