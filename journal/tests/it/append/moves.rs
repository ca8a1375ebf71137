//! Slots that are given back, and bookings that move.

use journal::append::{Append, Outcome};

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{Compose, append, booked, id};
use crate::sql;
use crate::stage::{Stage, append_one};

/// Who has which unit, in hours of the samples' clock.
const CLAIMS: &str = "select format('%s in %s, %s to %s', bookid, unit,
                                    (extract(epoch from lower(during)) - 1795000000)::int / 3600,
                                    (extract(epoch from upper(during)) - 1795000000)::int / 3600)
                      from slot_claims order by bookid, unit, during";

async fn claims(stage: &mut Stage) -> Vec<String> {
    sql::texts(&mut stage.owner, CLAIMS).await
}

/// An event of a booking that stands at `after`, with which it gives up what it has.
fn gives_up(command: u128, key: i64, after: i64) -> Append {
    append(command).to("Book", key, after, 1).releasing(key)
}

/// The same, for one of these units at another time.
fn moves(command: u128, key: i64, units: &[i64], from: i64, to: i64) -> Append {
    gives_up(command, key, 1).claiming_one_of(key, units, from, to)
}

async fn stored(stage: &Stage, command: Append) {
    let outcome = stage.append(command).await;
    assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
}

#[tokio::test]
async fn what_is_given_back_is_free_for_the_next() {
    let mut stage = Stage::open().await;
    stored(&stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(&stage, booked(2, 2).claiming(2, 5, 12, 14)).await;
    stored(&stage, gives_up(3, 1, 1)).await;
    assert_eq!(claims(&mut stage).await, ["2 in 5, 12 to 14"]);
    stored(&stage, booked(4, 4).claiming(4, 5, 10, 12)).await;
    // Sent again, it gives back nothing that somebody else has by now.
    assert!(matches!(
        stage.append(gives_up(3, 1, 1)).await,
        Ok(Outcome::Already(_))
    ));
    assert_eq!(
        claims(&mut stage).await,
        ["2 in 5, 12 to 14", "4 in 5, 10 to 12"]
    );
}

/// A cancellation that was decided on an old version, in a group with another command.
async fn cancels_late(stage: &mut Stage) -> Vec<String> {
    stored(stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(stage, append(2).to("Book", 1, 1, 1)).await;
    let group = [gives_up(3, 1, 1), booked(4, 4)];
    let outcomes = sql::journal_append(&mut stage.owner, &group).await.unwrap();
    assert_eq!(outcomes, ["conflict", "stored"]);
    claims(stage).await
}

#[tokio::test]
async fn who_loses_its_stream_gives_nothing_back() {
    let mut stage = Stage::open().await;
    assert_eq!(cancels_late(&mut stage).await, ["1 in 5, 10 to 12"]);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "release").await;
    assert!(
        cancels_late(&mut harmed).await.is_empty(),
        "the harm: a living booking without its slot"
    );
}

#[tokio::test]
async fn who_waits_for_a_slot_that_is_being_given_back_gets_it() {
    let mut stage = Stage::open().await;
    stored(&stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    let condition = format!("new.command_id = '{}'", id(2));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let wants = async {
        until_blocked(&mut stage.owner, 1).await;
        let wants = append_one(&stage.journal, booked(3, 3).claiming(3, 5, 11, 13));
        let lets_go = async {
            until_blocked(&mut stage.owner, 2).await;
            let_go(&mut stage.owner, 1).await;
        };
        tokio::join!(wants, lets_go).0
    };
    let (gives, wants) = tokio::join!(append_one(&stage.journal, gives_up(2, 1, 1)), wants);
    assert!(matches!(gives, Ok(Outcome::Stored(_))), "{gives:?}");
    assert!(matches!(wants, Ok(Outcome::Stored(_))), "{wants:?}");
    assert_eq!(claims(&mut stage).await, ["3 in 5, 11 to 13"]);
}

/// Moves over its own old slot, in every way that they can meet.
const OVER_ITSELF: [(i64, i64); 6] = [(11, 13), (9, 11), (9, 13), (10, 11), (10, 12), (12, 14)];

async fn move_over_itself(stage: &Stage, (from, to): (i64, i64)) -> Outcome {
    stored(stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stage.append(moves(2, 1, &[5], from, to)).await.unwrap()
}

#[tokio::test]
async fn a_booking_moves_over_its_own_old_slot() {
    for (from, to) in OVER_ITSELF {
        let mut stage = Stage::open().await;
        let outcome = move_over_itself(&stage, (from, to)).await;
        assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        let expected = format!("1 in 5, {from} to {to}");
        assert_eq!(claims(&mut stage).await, [expected], "whole, in one row");
    }
    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "own slot").await;
    let outcome = move_over_itself(&harmed, OVER_ITSELF[0]).await;
    assert_eq!(outcome, Outcome::Taken, "the harm: in its own way");
}

#[tokio::test]
async fn who_cannot_move_keeps_what_it_has() {
    let mut stage = Stage::open().await;
    stored(&stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(&stage, booked(2, 2).claiming(2, 5, 12, 14)).await;
    for (command, from, to) in [(3, 11, 13), (4, 9, 13), (5, 13, 14), (6, 12, 14)] {
        let taken = stage.append(moves(command, 1, &[5], from, to)).await;
        assert_eq!(taken.unwrap(), Outcome::Taken);
    }
    // On an old version, though the slot is free.
    stored(&stage, append(7).to("Book", 1, 1, 1)).await;
    let late = stage.append(moves(8, 1, &[5], 9, 11)).await;
    assert_eq!(late.unwrap(), Outcome::Conflict);
    assert_eq!(
        claims(&mut stage).await,
        ["1 in 5, 10 to 12", "2 in 5, 12 to 14"]
    );
}

/// On its own unit it would get one side of its old slot and not the other; the next unit is taken, too. Another command
/// of the group is stored.
async fn gets_half_a_slot(stage: &mut Stage) -> Vec<String> {
    stored(stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(stage, booked(2, 2).claiming(2, 5, 12, 14)).await;
    stored(stage, booked(3, 3).claiming(3, 6, 12, 14)).await;
    let group = [moves(4, 1, &[5, 6], 8, 13), booked(5, 5)];
    let outcomes = sql::journal_append(&mut stage.owner, &group).await.unwrap();
    assert_eq!(outcomes, ["taken", "stored"]);
    claims(stage).await
}

#[tokio::test]
async fn half_a_slot_is_not_kept() {
    let was = ["1 in 5, 10 to 12", "2 in 5, 12 to 14", "3 in 6, 12 to 14"];
    let mut stage = Stage::open().await;
    assert_eq!(gets_half_a_slot(&mut stage).await, was);

    let mut harmed = Stage::open().await;
    harmed.without_guard("slot_take", "half a slot").await;
    let claims = gets_half_a_slot(&mut harmed).await;
    assert_eq!(
        claims[0], "1 in 5, 8 to 10",
        "the harm: a slot that nobody booked"
    );
}

#[tokio::test]
async fn a_booking_moves_to_the_next_unit_when_its_own_is_taken() {
    let mut stage = Stage::open().await;
    stored(&stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(&stage, booked(2, 2).claiming(2, 5, 12, 14)).await;
    stored(&stage, moves(3, 1, &[5, 6], 8, 13)).await;
    assert_eq!(
        claims(&mut stage).await,
        ["1 in 6, 8 to 13", "2 in 5, 12 to 14"]
    );
}

/// Two bookings that want each other's slots at once, both held when their claims are through; the outcomes.
async fn swap(stage: &mut Stage, places: [(i64, i64); 2]) -> Vec<Outcome> {
    let [one, other] = places;
    stored(stage, booked(1, 1).claiming(1, one.0, one.1, one.1 + 2)).await;
    stored(
        stage,
        booked(2, 2).claiming(2, other.0, other.1, other.1 + 2),
    )
    .await;
    let outcomes = tokio::join!(
        append_one(
            &stage.journal,
            moves(3, 1, &[other.0], other.1, other.1 + 2)
        ),
        append_one(&stage.journal, moves(4, 2, &[one.0], one.1, one.1 + 2)),
    );
    vec![outcomes.0.unwrap(), outcomes.1.unwrap()]
}

#[tokio::test]
async fn two_that_want_each_others_slots_are_both_refused_and_nobody_hangs() {
    for places in [[(5, 10), (6, 10)], [(5, 10), (5, 14)], [(6, 10), (5, 12)]] {
        let mut stage = Stage::open().await;
        let outcomes = swap(&mut stage, places).await;
        assert_eq!(outcomes, [Outcome::Taken, Outcome::Taken]);
        assert_eq!(claims(&mut stage).await.len(), 2);
    }
}

/// What each gives up is not free before its commit, so neither may hold it while it waits.
#[tokio::test]
async fn neighbours_that_move_towards_each_other_do_not_wait_in_a_ring() {
    let mut stage = Stage::open().await;
    stored(&stage, booked(1, 1).claiming(1, 5, 10, 12)).await;
    stored(&stage, booked(2, 2).claiming(2, 5, 12, 14)).await;
    // Each is held when it has what is new to it, before its events.
    let (one, other) = (moves(3, 1, &[5], 9, 11), moves(4, 2, &[5], 13, 15));
    for (key, command) in [(1, 3), (2, 4)] {
        let condition = format!("new.command_id = '{}'", id(command));
        stall(&mut stage.owner, "events", &condition, key).await;
    }
    let into_both = booked(5, 5).claiming(5, 5, 8, 10).claiming(5, 5, 14, 16);
    let third = async {
        until_blocked(&mut stage.owner, 2).await;
        let third = append_one(&stage.journal, into_both);
        let lets_go = async {
            until_blocked(&mut stage.owner, 3).await;
            let_go(&mut stage.owner, 2).await;
            let_go(&mut stage.owner, 1).await;
        };
        tokio::join!(third, lets_go).0
    };
    let (one, other, third) = tokio::join!(
        append_one(&stage.journal, one),
        append_one(&stage.journal, other),
        third
    );
    assert!(matches!(one, Ok(Outcome::Stored(_))), "{one:?}");
    assert!(matches!(other, Ok(Outcome::Stored(_))), "{other:?}");
    assert_eq!(third.unwrap(), Outcome::Taken);
    assert_eq!(
        claims(&mut stage).await,
        ["1 in 5, 9 to 11", "2 in 5, 13 to 15"]
    );
}
