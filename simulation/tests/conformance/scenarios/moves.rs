//! Slots that are given back, and bookings that move.

use futures::join;
use journal::append::Outcome;

use super::{is_stored, units};
use crate::samples::{Compose, booked, booked_in, command, given_up, id, moved};
use crate::stage::Stage;

pub async fn what_is_given_back_is_free(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1], 0, 2)).await;
    stage.stored(booked_in(2, 2, &[1], 2, 4)).await;
    stage.stored(given_up(3, 1)).await;
    let still = booked_in(4, 4, &[1], 1, 3);
    assert_eq!(stage.append(still).await.unwrap(), Outcome::Taken);
    stage.stored(booked_in(5, 5, &[1], 0, 2)).await;
    // Sent again, it gives nothing back a second time.
    let again = stage.append(given_up(3, 1)).await.unwrap();
    assert!(matches!(again, Outcome::Already(_)));
    let still = booked_in(6, 6, &[1], 1, 2);
    assert_eq!(stage.append(still).await.unwrap(), Outcome::Taken);
}

pub async fn who_loses_its_stream_gives_nothing_back(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1], 0, 2)).await;
    stage.stored(command(2).to("Book", 1, 1, 1)).await;
    let group = [given_up(3, 1), booked(4, 4)];
    let outcomes = stage.store().append(&group).await.unwrap();
    assert_eq!(outcomes[0], Outcome::Conflict);
    assert!(matches!(outcomes[1], Outcome::Stored(_)));
    let wants = booked_in(5, 5, &[1], 1, 3);
    assert_eq!(stage.append(wants).await.unwrap(), Outcome::Taken);
}

/// One gives its slot up and has not committed; another one wants it.
async fn at_a_slot_that_is_given_up(stage: &impl Stage, first: u128, commits: bool) -> Outcome {
    let (store, journal) = (stage.store(), stage.journal());
    let key = i64::try_from(first).unwrap();
    stage.stored(booked_in(first, key, &[key], 0, 2)).await;
    let gives = [given_up(first + 1, key)];
    stage.hold_still(id(first + 1)).await;
    let wants = booked_in(first + 2, key + 1, &[key], 1, 3);
    let waits = async {
        stage.until_waiting(1).await;
        let ends = async {
            stage.until_waiting(2).await;
            if commits {
                stage.let_go(id(first + 1)).await;
            } else {
                stage.cancel(id(first + 1)).await;
            }
        };
        join!(journal.append(vec![wants]), ends).0
    };
    let (given, wanted) = join!(store.append(&gives), waits);
    assert_eq!(given.is_ok(), commits);
    wanted.into_iter().next().unwrap().unwrap()
}

pub async fn who_waits_for_a_slot_that_is_given_up_gets_it(stage: &impl Stage) {
    let wanted = at_a_slot_that_is_given_up(stage, 1, true).await;
    assert!(matches!(wanted, Outcome::Stored(_)), "{wanted:?}");
    let wanted = at_a_slot_that_is_given_up(stage, 11, false).await;
    assert_eq!(wanted, Outcome::Taken);
}

pub async fn a_booking_moves_over_its_own_old_slot(stage: &impl Stage) {
    let moves = [(11, 13), (9, 11), (9, 13), (10, 11), (10, 12), (12, 14)];
    for (key, (from, to)) in (1..).zip(moves) {
        let number = u128::try_from(key * 10).unwrap();
        stage.stored(booked_in(number, key, &[key], 10, 12)).await;
        stage.stored(moved(number + 1, key, &[key], from, to)).await;
        // It has the new one, and only that.
        let beside = booked_in(number + 2, key + 100, &[key], to, to + 2);
        stage.stored(beside).await;
        stage
            .stored(booked_in(number + 3, key + 200, &[key], from - 2, from))
            .await;
        let over = booked_in(number + 4, key + 300, &[key], from, to);
        assert_eq!(stage.append(over).await.unwrap(), Outcome::Taken);
    }
}

pub async fn who_cannot_move_keeps_what_it_has(stage: &impl Stage) {
    stage.stored(booked_in(1, 1, &[1], 10, 12)).await;
    stage.stored(booked_in(2, 2, &[1], 12, 14)).await;
    for (number, from, to) in [(3, 11, 13), (4, 9, 13), (5, 13, 14)] {
        let taken = stage.append(moved(number, 1, &[1], from, to)).await;
        assert_eq!(taken.unwrap(), Outcome::Taken);
    }
    for (number, from, to) in [(6, 10, 11), (7, 11, 12)] {
        let key = i64::try_from(number).unwrap();
        let wants = stage.append(booked_in(number, key, &[1], from, to)).await;
        assert_eq!(wants.unwrap(), Outcome::Taken, "{from} to {to}");
    }
    stage.stored(booked_in(8, 8, &[1], 8, 10)).await;
    // Where its own unit has only half of it, the next one that is free.
    let elsewhere = command(9)
        .saying(
            "Book",
            1,
            1,
            "Rescheduled",
            serde_json::json!({"slot": {"unit": null}}),
        )
        .releasing(1)
        .claiming_one_of(1, &[1, 2], 11, 13);
    stage.stored(elsewhere).await;
    stage.stored(booked_in(10, 10, &[1], 10, 12)).await;
    let last = stage.append(booked_in(11, 11, &[2], 12, 13)).await;
    assert_eq!(last.unwrap(), Outcome::Taken);
    assert_eq!(units(stage, &[1, 10]).await, [Some(2), Some(1)]);
}

pub async fn two_that_want_each_others_slots_are_refused(stage: &impl Stage) {
    let journal = stage.journal();
    for (first, one, other) in [
        (1, (1, 0), (2, 0)),
        (11, (3, 0), (3, 4)),
        (21, (4, 2), (4, 0)),
    ] {
        let key = i64::try_from(first).unwrap();
        let booked = |number, key, (unit, from)| booked_in(number, key, &[unit], from, from + 2);
        stage.stored(booked(first, key, one)).await;
        stage.stored(booked(first + 1, key + 1, other)).await;
        let swaps = |number, key, (unit, from)| {
            journal.append(vec![moved(number, key, &[unit], from, from + 2)])
        };
        let (one, other) = join!(swaps(first + 2, key, other), swaps(first + 3, key + 1, one));
        assert!(matches!(one[..], [Ok(Outcome::Taken)]), "{one:?}");
        assert!(matches!(other[..], [Ok(Outcome::Taken)]), "{other:?}");
    }
}

/// The second wants what the first is about to give up, the first what the second has.
pub async fn who_wants_the_slot_of_one_that_moves_away_gets_it(stage: &impl Stage) {
    let store = stage.store();
    stage.stored(booked_in(1, 1, &[1], 0, 2)).await;
    stage.stored(booked_in(2, 2, &[2], 0, 2)).await;
    stage.hold_still(id(3)).await;
    let first = [moved(3, 1, &[1, 2], 1, 3)];
    let second = [moved(4, 2, &[1], 0, 1)];
    let follows = async {
        stage.until_waiting(1).await;
        let lets_go = async {
            stage.until_waiting(2).await;
            stage.let_go(id(3)).await;
        };
        join!(store.append(&second), lets_go).0
    };
    let (first, second) = join!(store.append(&first), follows);
    assert!(matches!(first.unwrap()[..], [Outcome::Stored(_)]));
    assert!(matches!(second.unwrap()[..], [Outcome::Stored(_)]));
    let free = stage.append(booked_in(5, 5, &[2], 0, 2)).await;
    assert!(is_stored(&free), "{free:?}");
}
