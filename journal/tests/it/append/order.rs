//! Order: two groups that meet in opposite order wait for each other, but never in a ring.
//!
//! Each group is held before its second row of a table, when it has the first; then both go on.

use journal::append::Append;

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{Compose, append, booked, id};
use crate::sql;
use crate::stage::Stage;

/// `deadlock_detected`.
const DEADLOCK: &str = "40P01";

/// Sends two groups at once, which are held at the rows of a table that meet these conditions. The outcomes that
/// were given, sorted, and the SQLSTATEs of the groups that failed.
async fn meet(
    stage: &mut Stage,
    table: &str,
    held: [String; 2],
    groups: [&[Append]; 2],
) -> (Vec<String>, Vec<String>) {
    for (key, condition) in (1..).zip(held) {
        stall(&mut stage.owner, table, &condition, key).await;
    }
    let (mut one, mut other) = (stage.session().await, stage.session().await);
    let lets_go = async {
        until_blocked(&mut stage.owner, 2).await;
        let_go(&mut stage.owner, 1).await;
        let_go(&mut stage.owner, 2).await;
    };
    let (one, other, ()) = tokio::join!(
        sql::journal_append(&mut one, groups[0]),
        sql::journal_append(&mut other, groups[1]),
        lets_go,
    );
    let (mut outcomes, mut errors) = (vec![], vec![]);
    for result in [one, other] {
        match result {
            Ok(given) => outcomes.extend(given),
            Err(error) => errors.push(sql::sqlstate(&error)),
        }
    }
    outcomes.sort();
    (outcomes, errors)
}

/// The condition of the row that belongs to a command.
fn of_command(command: u128) -> String {
    format!("new.command_id = '{}'", id(command))
}

/// Two versions of one stream. (Streams are sorted by the plan that Postgres happens to choose, also without the
/// guard; versions are not.)
async fn events_in_opposite_order(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let one = [append(1).to("Book", 7, 0, 2)];
    let other = [append(2).to("Book", 7, 1, 1).to("Book", 7, 0, 1)];
    let held = [(1, 2), (2, 1)].map(|(command, sequence)| {
        of_command(command) + &format!(" and new.sequence = {sequence}")
    });
    meet(stage, "events", held, [&one, &other]).await
}

#[tokio::test]
async fn events_go_in_key_order() {
    let mut stage = Stage::open().await;
    let (outcomes, errors) = events_in_opposite_order(&mut stage).await;
    assert_eq!(outcomes, ["conflict", "stored"], "{errors:?}");

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "key order").await;
    let (_, errors) = events_in_opposite_order(&mut harmed).await;
    assert_eq!(errors, [DEADLOCK], "the harm: a ring");
}

#[tokio::test]
async fn many_streams_go_in_key_order() {
    let mut stage = Stage::open().await;
    let one = [booked(1, 7), booked(2, 8)];
    let other = [booked(3, 8), booked(4, 7)];
    let held = [of_command(2), of_command(4)];
    let (outcomes, errors) = meet(&mut stage, "events", held, [&one, &other]).await;
    assert_eq!(
        outcomes,
        ["conflict", "conflict", "stored", "stored"],
        "{errors:?}"
    );
}

/// Two units, which the other group claims for other bookings.
async fn claims_in_opposite_order(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let one = [booked(1, 1).claiming(1, 1, 10, 12).claiming(2, 2, 10, 12)];
    let other = [booked(2, 3).claiming(3, 2, 11, 13).claiming(4, 1, 11, 13)];
    let held = [2, 4].map(|bookid| format!("new.bookid = {bookid}"));
    meet(stage, "slot_claims", held, [&one, &other]).await
}

#[tokio::test]
async fn claims_go_in_the_order_of_units() {
    let mut stage = Stage::open().await;
    let (outcomes, errors) = claims_in_opposite_order(&mut stage).await;
    assert_eq!(outcomes, ["stored", "taken"], "{errors:?}");

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "claim order").await;
    let (_, errors) = claims_in_opposite_order(&mut harmed).await;
    assert_eq!(errors, [DEADLOCK], "the harm: a ring");
}

/// Two bookings that want each other's units, each held when it is about to take the new one.
async fn swap(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let places = [
        booked(5, 1).claiming(1, 5, 10, 12),
        booked(6, 2).claiming(2, 6, 10, 12),
    ];
    sql::journal_append(&mut stage.owner, &places)
        .await
        .unwrap();
    let moves = |command, key, unit| {
        let moved = append(command).to("Book", key, 1, 1).releasing(key);
        [moved.claiming(key, unit, 10, 12)]
    };
    let held = [
        "new.bookid = 1 and new.unit = 6",
        "new.bookid = 2 and new.unit = 5",
    ];
    let (one, other) = (moves(1, 1, 6), moves(2, 2, 5));
    meet(
        stage,
        "slot_claims",
        held.map(str::to_owned),
        [&one, &other],
    )
    .await
}

#[tokio::test]
async fn what_is_given_up_is_held_by_nobody_who_waits() {
    let mut stage = Stage::open().await;
    let (outcomes, errors) = swap(&mut stage).await;
    assert_eq!(outcomes, ["taken", "taken"], "{errors:?}");

    let mut harmed = Stage::open().await;
    let slots = "    -- Slots, unit by unit";
    let gives_up_first = "delete from slot_claims where bookid = any (release_bookids);";
    harmed
        .rewrite("journal_append", |body| {
            body.replace(slots, &format!("{gives_up_first}\n{slots}"))
        })
        .await;
    let (_, errors) = swap(&mut harmed).await;
    assert_eq!(errors, [DEADLOCK], "the harm: a ring");
}

/// Two command ids, for other bookings in the other group.
async fn ids_in_opposite_order(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let one = [booked(1, 1), booked(2, 2)];
    let other = [booked(2, 3), booked(1, 4)];
    let held = [2, 4].map(|key| format!("new.answer -> 'streams' -> 0 ->> 'id' = '{key}'"));
    meet(stage, "commands", held, [&one, &other]).await
}

#[tokio::test]
async fn command_ids_go_in_their_own_order() {
    let mut stage = Stage::open().await;
    let (outcomes, errors) = ids_in_opposite_order(&mut stage).await;
    assert_eq!(outcomes, ["stored", "stored"]);
    assert_eq!(errors, ["SR001"]);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "id order").await;
    let (_, errors) = ids_in_opposite_order(&mut harmed).await;
    assert_eq!(errors, [DEADLOCK], "the harm: a ring");
}
