//! Points: nobody spends more than there are, however many try at once.

use journal::append::{Append, Outcome};
use serde_json::json;

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{Compose, append, id};
use crate::sql;
use crate::stage::{Stage, append_one};

/// An event about points of a user, in the payment of a booking that has none yet.
fn points(command: u128, key: i64, event_type: &str, userid: i64, points: i64) -> Append {
    let payload = json!({"payid": key, "userid": userid, "points": points});
    append(command).saying("Payment", key, 0, event_type, payload)
}

/// A payment that spends points.
fn spends(command: u128, key: i64, userid: i64, number: i64) -> Append {
    points(command, key, "PointsSpent", userid, number).spending(userid, number)
}

/// What a user's events come to.
async fn balance(stage: &mut Stage, userid: i64) -> i64 {
    stage
        .number(&format!("select points_balance({userid})"))
        .await
}

async fn stored(stage: &Stage, command: Append) {
    let outcome = stage.append(command).await;
    assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
}

/// 100 points, of which 130 are spent.
async fn spend_too_many(stage: &mut Stage) -> (Outcome, i64) {
    stored(stage, points(1, 1, "PointsAccrued", 7, 100)).await;
    let outcome = stage.append(spends(2, 2, 7, 130)).await.unwrap();
    (outcome, balance(stage, 7).await)
}

#[tokio::test]
async fn more_than_there_are_are_not_spent() {
    let mut stage = Stage::open().await;
    assert_eq!(spend_too_many(&mut stage).await, (Outcome::NotCovered, 100));
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
    stored(&stage, spends(3, 3, 7, 60)).await;
    assert_eq!(
        stage.append(spends(4, 4, 7, 41)).await.unwrap(),
        Outcome::NotCovered
    );
    stored(&stage, spends(5, 5, 7, 40)).await;
    assert_eq!(balance(&mut stage, 7).await, 0);

    let mut harmed = Stage::open().await;
    harmed
        .without_guard("journal_append", "points balance")
        .await;
    let (_, balance) = spend_too_many(&mut harmed).await;
    assert_eq!(balance, -30, "the harm: points out of nothing");
}

#[tokio::test]
async fn the_balance_is_what_the_events_come_to() {
    let mut stage = Stage::open().await;
    let events = [
        ("PointsAccrued", 100),
        ("PointsClawedBack", 30),
        ("PointsSpent", 50),
        ("PointsReturned", 20),
    ];
    for (number, (event_type, count)) in (1..).zip(events) {
        let command = u128::try_from(number).unwrap();
        stored(&stage, points(command, number, event_type, 7, count)).await;
    }
    stored(&stage, points(10, 10, "PointsAccrued", 8, 1_000)).await;
    // Of nobody.
    let payload = json!({"payid": 11, "userid": null, "points": 1_000});
    let nobodys = append(11).saying("Payment", 11, 0, "PointsAccrued", payload);
    stored(&stage, nobodys).await;
    assert_eq!(balance(&mut stage, 7).await, 40);
    assert_eq!(balance(&mut stage, 9).await, 0);
    assert_eq!(
        stage.append(spends(20, 20, 7, 41)).await.unwrap(),
        Outcome::NotCovered
    );
    stored(&stage, spends(21, 21, 7, 40)).await;
    stored(&stage, spends(22, 22, 8, 1_000)).await;
}

#[tokio::test]
async fn a_balance_is_read_by_its_index() {
    let mut stage = Stage::open().await;
    let body = "select prosrc from pg_proc where proname = 'points_balance'";
    let body = sql::text(&mut stage.owner, body).await;
    // On an empty table any plan is as cheap.
    sql::run(&mut stage.owner, "set enable_seqscan = off").await;
    let plan = format!("explain {}", body.replace("p_userid", "7"));
    let plan = sql::texts(&mut stage.owner, &plan).await.join("\n");
    assert!(plan.contains("events_points"), "{plan}");
}

/// Two payments of one user at once, each of all that there is: the first is held when everything is done but its
/// commit.
async fn spend_at_once(stage: &mut Stage) -> (Vec<Outcome>, i64) {
    stored(stage, points(1, 1, "PointsAccrued", 7, 100)).await;
    let condition = format!("new.command_id = '{}'", id(2));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let second = async {
        until_blocked(&mut stage.owner, 1).await;
        let second = append_one(&stage.journal, spends(3, 3, 7, 100));
        let lets_go = async {
            // With the guard, the second one waits, too; without it, it is through.
            crate::force::until("the second one waits or is through", async || {
                let seen = "select (select count(*) from commands where command_id = '00000000-0000-0000-0000-000000000003')
                                   + (select count(*) from pg_stat_activity where datname = current_database()
                                      and wait_event_type = 'Lock')";
                sql::number(&mut stage.owner, seen).await == 2
            })
            .await;
            let_go(&mut stage.owner, 1).await;
        };
        tokio::join!(second, lets_go).0
    };
    let (first, second) = tokio::join!(append_one(&stage.journal, spends(2, 2, 7, 100)), second);
    let balance = balance(stage, 7).await;
    (vec![first.unwrap(), second.unwrap()], balance)
}

#[tokio::test]
async fn of_two_spenders_at_once_the_second_counts_what_the_first_left() {
    let mut stage = Stage::open().await;
    let (outcomes, balance) = spend_at_once(&mut stage).await;
    assert!(matches!(
        outcomes[..],
        [Outcome::Stored(_), Outcome::NotCovered]
    ));
    assert_eq!(balance, 0);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "points lock").await;
    let (_, balance) = spend_at_once(&mut harmed).await;
    assert_eq!(balance, -100, "the harm: the same points, spent twice");
}

/// A user twice in one group, which `Journal::append` takes apart.
async fn spend_twice_in_a_group(stage: &mut Stage) -> (Result<Vec<String>, String>, i64) {
    stored(stage, points(1, 1, "PointsAccrued", 7, 100)).await;
    let group = [spends(2, 2, 7, 100), spends(3, 3, 7, 100)];
    let outcomes = sql::journal_append(&mut stage.owner, &group).await;
    let outcomes = outcomes.map_err(|error| sql::sqlstate(&error));
    (outcomes, balance(stage, 7).await)
}

#[tokio::test]
async fn a_user_spends_once_in_a_group() {
    let mut stage = Stage::open().await;
    let (outcomes, balance) = spend_twice_in_a_group(&mut stage).await;
    assert_eq!((outcomes, balance), (Err("SR001".to_owned()), 100));
    let both = vec![spends(2, 2, 7, 100), spends(3, 3, 7, 100)];
    let outcomes = stage.journal.append(both).await;
    assert!(matches!(
        outcomes[..],
        [Ok(Outcome::Stored(_)), Ok(Outcome::NotCovered)]
    ));

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "spender once").await;
    let (_, balance) = spend_twice_in_a_group(&mut harmed).await;
    assert_eq!(balance, -100, "the harm: the same points, spent twice");
}

#[tokio::test]
async fn points_that_are_not_committed_are_not_there() {
    let mut stage = Stage::open().await;
    let condition = format!("new.command_id = '{}'", id(1));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let spender = async {
        until_blocked(&mut stage.owner, 1).await;
        let early = append_one(&stage.journal, spends(2, 2, 7, 100)).await;
        let_go(&mut stage.owner, 1).await;
        early
    };
    let accrues = append_one(&stage.journal, points(1, 1, "PointsAccrued", 7, 100));
    let (accrued, early) = tokio::join!(accrues, spender);
    assert!(matches!(accrued, Ok(Outcome::Stored(_))), "{accrued:?}");
    assert_eq!(early.unwrap(), Outcome::NotCovered, "and nobody waits");
    stored(&stage, spends(2, 2, 7, 100)).await;
}

/// Two users' points, spent in two groups in opposite order; each is held when it has the first.
async fn spend_in_opposite_order(stage: &mut Stage) -> Vec<String> {
    let lock_of = "select hashtextextended('points of ' || userid, 0) from unnest(array[7, 8]) userid order by 1";
    let keys = sql::numbers(&mut stage.owner, lock_of).await;
    // A foreign spender makes both stand at their first lock.
    let mut foreign = [stage.session().await, stage.session().await];
    for (session, key) in foreign.iter_mut().zip(&keys) {
        sql::run(session, &format!("select pg_advisory_lock({key})")).await;
    }
    let (mut one, mut other) = (stage.session().await, stage.session().await);
    let (first, second) = (
        [spends(1, 1, 7, 0), spends(2, 2, 8, 0)],
        [spends(3, 3, 8, 0), spends(4, 4, 7, 0)],
    );
    let lets_go = async {
        until_blocked(&mut stage.owner, 2).await;
        for (session, key) in foreign.iter_mut().zip(&keys) {
            sql::run(session, &format!("select pg_advisory_unlock({key})")).await;
        }
    };
    let (one, other, ()) = tokio::join!(
        sql::journal_append(&mut one, &first),
        sql::journal_append(&mut other, &second),
        lets_go
    );
    let errors = [one, other].into_iter().filter_map(Result::err);
    errors.map(|error| sql::sqlstate(&error)).collect()
}

#[tokio::test]
async fn spenders_go_in_one_order() {
    let mut stage = Stage::open().await;
    assert!(spend_in_opposite_order(&mut stage).await.is_empty());

    let mut harmed = Stage::open().await;
    harmed
        .without_guard("journal_append", "spender order")
        .await;
    let errors = spend_in_opposite_order(&mut harmed).await;
    assert_eq!(errors, ["40P01"], "the harm: a ring");
}

#[tokio::test]
async fn who_is_not_covered_takes_no_slot() {
    let mut stage = Stage::open().await;
    let both = spends(1, 1, 7, 1).claiming(1, 5, 10, 12);
    assert_eq!(stage.append(both).await.unwrap(), Outcome::NotCovered);
    assert_eq!(stage.number("select count(*) from slot_claims").await, 0);
    stored(&stage, points(2, 2, "PointsAccrued", 7, 5)).await;
    stored(&stage, spends(3, 3, 7, 5).claiming(3, 5, 10, 12)).await;
    // Nor does who gets no slot spend anything.
    stored(&stage, points(4, 4, "PointsAccrued", 7, 5)).await;
    let taken = spends(5, 5, 7, 5).claiming(5, 5, 11, 13);
    assert_eq!(stage.append(taken).await.unwrap(), Outcome::Taken);
    assert_eq!(balance(&mut stage, 7).await, 5);
}
