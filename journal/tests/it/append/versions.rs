//! Versions: one writer wins, no gap, no half command, no false conflict.

use journal::append::{Append, Outcome};

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{Compose, append, booked, id};
use crate::sql;
use crate::stage::{Stage, append_one};

/// What a command of several streams came to.
fn stored(outcome: &Result<Outcome, journal::StoreError>) -> bool {
    matches!(outcome, Ok(Outcome::Stored(_)))
}

#[tokio::test]
async fn of_two_writers_on_one_version_one_wins() {
    let mut stage = Stage::open().await;
    let slow = format!("new.command_id = '{}'", id(1));
    stall(&mut stage.owner, "events", &slow, 1).await;
    let others = async {
        until_blocked(&mut stage.owner, 1).await;
        let quick = append_one(&stage.journal, booked(2, 7)).await;
        let_go(&mut stage.owner, 1).await;
        quick
    };
    let (slow, quick) = tokio::join!(append_one(&stage.journal, booked(1, 7)), others);
    assert!(stored(&quick), "{quick:?}");
    assert_eq!(slow.unwrap(), Outcome::Conflict);
    assert_eq!(stage.book(7).await, [1]);
    assert_eq!(stage.commands().await, 1);
}

#[tokio::test]
async fn a_decision_on_another_version_than_the_streams_is_a_conflict() {
    let mut stage = Stage::open().await;
    stage.append(append(1).to("Book", 7, 0, 2)).await.unwrap();
    for (command, version) in [(2, 0), (3, 1), (4, 3), (5, 9)] {
        let outcome = stage
            .append(append(command).to("Book", 7, version, 2))
            .await;
        assert_eq!(outcome.unwrap(), Outcome::Conflict, "on version {version}");
    }
    assert!(stored(&stage.append(append(6).to("Book", 7, 2, 2)).await));
    assert_eq!(stage.book(7).await, [1, 2, 3, 4]);
    assert_eq!(stage.commands().await, 2);
}

/// Appends version 6 while a foreign transaction that will roll back holds version 5.
async fn append_behind_what_rolls_back(stage: &mut Stage) -> Outcome {
    stage.append(append(1).to("Book", 7, 0, 4)).await.unwrap();
    let mut foreign = stage.session().await;
    sql::run(&mut foreign, "begin").await;
    sql::insert_event(&mut foreign, 7, 5).await;
    let outcome = stage.append(append(2).to("Book", 7, 5, 1)).await.unwrap();
    sql::run(&mut foreign, "rollback").await;
    outcome
}

#[tokio::test]
async fn a_version_without_its_predecessor_is_refused() {
    let mut stage = Stage::open().await;
    assert_eq!(
        append_behind_what_rolls_back(&mut stage).await,
        Outcome::Conflict
    );
    assert_eq!(stage.book(7).await, [1, 2, 3, 4]);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "predecessor").await;
    append_behind_what_rolls_back(&mut harmed).await;
    assert_eq!(harmed.book(7).await, [1, 2, 3, 4, 6], "the harm: a gap");
}

/// Appends a command that wins its Book and loses its Payment, between two others.
async fn append_half_a_command(stage: &mut Stage) -> Vec<Outcome> {
    stage
        .append(append(1).to("Payment", 7, 0, 1))
        .await
        .unwrap();
    let both = append(2).to("Book", 7, 0, 1).to("Payment", 7, 0, 1);
    let group: Vec<Append> = vec![booked(3, 8), both, booked(4, 9)];
    let outcomes = stage.journal.append(group).await;
    outcomes.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_command_that_would_be_stored_in_part_is_not_stored_and_its_group_is() {
    let mut stage = Stage::open().await;
    let outcomes = append_half_a_command(&mut stage).await;
    assert_eq!(outcomes[1], Outcome::Conflict);
    assert!(stage.book(7).await.is_empty());
    let recorded = format!(
        "select count(*) from commands where command_id = '{}'",
        id(2)
    );
    assert_eq!(stage.number(&recorded).await, 0);
    assert_eq!(
        (stage.book(8).await, stage.book(9).await),
        (vec![1], vec![1])
    );
    assert!(matches!(outcomes[0], Outcome::Stored(_)));
    assert!(matches!(outcomes[2], Outcome::Stored(_)));

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "half-won").await;
    let outcomes = append_half_a_command(&mut harmed).await;
    assert_eq!(outcomes[1], Outcome::Conflict);
    assert_eq!(
        harmed.book(7).await,
        [1],
        "the harm: a booking without its payment"
    );
}

/// Appends a new stream after the numbers of positions were set back onto one that is there.
async fn append_onto_a_used_position(stage: &mut Stage) -> Result<Outcome, journal::StoreError> {
    stage.append(append(1).to("Book", 7, 0, 5)).await.unwrap();
    let set_back = "select setval(pg_get_serial_sequence('events', 'position'), 3)";
    stage.number(set_back).await;
    stage.append(booked(2, 8)).await
}

#[tokio::test]
async fn a_position_that_is_there_already_is_not_taken_for_a_version_conflict() {
    let mut stage = Stage::open().await;
    let error = append_onto_a_used_position(&mut stage).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"));
    assert!(error.to_string().contains("events_position_key") && !error.is_transient());
    assert_eq!((stage.book(8).await, stage.commands().await), (vec![], 1));

    let mut harmed = Stage::open().await;
    let target = "on conflict (aggregate_type, aggregate_id, sequence) do nothing";
    harmed
        .rewrite("journal_append", |body| {
            body.replace(target, "on conflict do nothing")
        })
        .await;
    let outcome = append_onto_a_used_position(&mut harmed).await;
    assert_eq!(
        outcome.unwrap(),
        Outcome::Conflict,
        "the harm: retried for ever"
    );
}
