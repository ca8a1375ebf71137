//! Order: two groups that meet in opposite order wait for each other, but never in a ring.
//!
//! Each group is held before its second row of a table, when it has the first; then both go on.

use crate::force::{let_go, stall, until_blocked};
use crate::samples::id;
use crate::sql::{self, Sent};
use crate::stage::Stage;

/// `deadlock_detected`.
const DEADLOCK: &str = "40P01";

/// Sends two groups at once, which are held at the rows of a table that meet these conditions. The outcomes that
/// were given, sorted, and the SQLSTATEs of the groups that failed.
async fn meet(
    stage: &mut Stage,
    table: &str,
    held: [String; 2],
    groups: [&[Sent<'_>]; 2],
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

/// Bookings 7 and 8, and the same in opposite order, by other commands.
async fn events_in_opposite_order(stage: &mut Stage) -> (Vec<String>, Vec<String>) {
    let one: [Sent; 2] = [(1, &[("Book", 7, 1)]), (2, &[("Book", 8, 1)])];
    let other: [Sent; 2] = [(3, &[("Book", 8, 1)]), (4, &[("Book", 7, 1)])];
    let held = [2, 4].map(|command| format!("new.command_id = '{}'", id(command)));
    meet(stage, "events", held, [&one, &other]).await
}

#[tokio::test]
async fn events_go_in_key_order() {
    let mut stage = Stage::open().await;
    let (outcomes, errors) = events_in_opposite_order(&mut stage).await;
    assert_eq!(
        outcomes,
        ["conflict", "conflict", "stored", "stored"],
        "{errors:?}"
    );

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "key order").await;
    let (_, errors) = events_in_opposite_order(&mut harmed).await;
    assert_eq!(errors, [DEADLOCK], "the harm: a ring");
}
