//! Command ids: the same id happens once, whoever sends it again, and is answered as it was.

use journal::append::{Answer, Outcome};

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{Compose, append, booked, id};
use crate::sql;
use crate::stage::{Stage, append_one, journal};

fn answer(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Stored(answer) | Outcome::Already(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// The command that was stored on version 0, decided again on version 1.
async fn send_again(stage: &mut Stage) -> (Answer, Outcome) {
    let first = answer(stage.append(booked(1, 7)).await.unwrap());
    let again = stage.append(append(1).to("Book", 7, 1, 1)).await.unwrap();
    (first, again)
}

#[tokio::test]
async fn a_known_command_is_answered_as_it_was_and_stores_nothing() {
    let mut stage = Stage::open().await;
    let (first, again) = send_again(&mut stage).await;
    assert_eq!((first.position, first.version_of("Book")), (1, Some(1)));
    assert_eq!(again, Outcome::Already(first.clone()));
    let after_a_restart = append_one(&journal(stage.url()), booked(1, 7)).await;
    assert_eq!(after_a_restart.unwrap(), Outcome::Already(first));
    assert_eq!((stage.book(7).await, stage.commands().await), (vec![1], 1));

    let mut harmed = Stage::open().await;
    harmed
        .without_guard("journal_append", "known command")
        .await;
    send_again(&mut harmed).await;
    assert_eq!(
        harmed.book(7).await,
        [1, 2],
        "the harm: one command, done twice"
    );
}

#[tokio::test]
async fn twins_in_one_group_make_it_fail() {
    let twins = [booked(1, 7), booked(1, 8)];
    let mut stage = Stage::open().await;
    let mut session = stage.runtime_session().await;
    let error = sql::journal_append(&mut session, &twins).await.unwrap_err();
    assert_eq!(sql::sqlstate(&error), "SR001");
    assert_eq!((stage.events().await, stage.commands().await), (0, 0));

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "twin").await;
    sql::journal_append(&mut harmed.owner, &twins)
        .await
        .unwrap();
    assert_eq!(
        harmed.events().await,
        2,
        "the harm: one command, done twice"
    );
    assert_eq!(harmed.commands().await, 1);
}

#[tokio::test]
async fn twins_in_one_call_are_one_command() {
    let mut stage = Stage::open().await;
    let outcomes = stage.journal.append(vec![booked(1, 7), booked(1, 8)]).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let first = answer(outcomes[0].clone());
    assert_eq!(
        outcomes,
        [Outcome::Stored(first.clone()), Outcome::Already(first)]
    );
    assert_eq!(
        (stage.book(7).await, stage.book(8).await),
        (vec![1], vec![])
    );
}

/// The same command for two bookings (each sender gave it a number of its own), in two groups at once. The
/// first has looked for the id and not found it when the second commits.
async fn send_at_once(stage: &mut Stage) -> (Vec<Outcome>, Vec<Outcome>) {
    let first = "new.aggregate_id = '7'";
    stall(&mut stage.owner, "events", first, 1).await;
    let second = async {
        until_blocked(&mut stage.owner, 1).await;
        let outcomes = stage
            .journal
            .append(vec![booked(1, 8), booked(3, 10)])
            .await;
        let_go(&mut stage.owner, 1).await;
        outcomes
    };
    let first = stage.journal.append(vec![booked(1, 7), booked(2, 9)]);
    let (first, second) = tokio::join!(first, second);
    let outcomes = |all: Vec<Result<_, _>>| all.into_iter().map(Result::unwrap).collect();
    (outcomes(first), outcomes(second))
}

#[tokio::test]
async fn of_twins_in_two_groups_one_is_stored_and_the_other_gets_its_answer() {
    let mut stage = Stage::open().await;
    let (first, second) = send_at_once(&mut stage).await;
    let winner = answer(second[0].clone());
    assert_eq!(second[0], Outcome::Stored(winner.clone()));
    assert_eq!(first[0], Outcome::Already(winner));
    assert!(
        matches!(first[1], Outcome::Stored(_)),
        "its group suffers nothing"
    );
    let bookings = [7, 8, 9, 10].map(i64::from);
    let mut there = vec![];
    for key in bookings {
        there.push(stage.book(key).await.len());
    }
    assert_eq!(there, [0, 1, 1, 1]);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "twin").await;
    send_at_once(&mut harmed).await;
    let both = (harmed.book(7).await, harmed.book(8).await);
    assert_eq!(
        both,
        (vec![1], vec![1]),
        "the harm: one command, done twice"
    );
}

#[tokio::test]
async fn a_command_that_loses_to_itself_gets_its_own_answer() {
    let mut stage = Stage::open().await;
    // Both have looked for the id and not found it; the second waits for the first one's row.
    let condition = format!("new.command_id = '{}'", id(1));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let lets_go = async {
        until_blocked(&mut stage.owner, 2).await;
        let_go(&mut stage.owner, 1).await;
    };
    let send = || append_one(&stage.journal, booked(1, 7).claiming(7, 1, 10, 12));
    let (one, other, ()) = tokio::join!(send(), send(), lets_go);
    let mut outcomes = [one.unwrap(), other.unwrap()];
    outcomes.sort_by_key(|outcome| !matches!(outcome, Outcome::Stored(_)));
    let first = answer(outcomes[0].clone());
    assert_eq!(
        outcomes,
        [Outcome::Stored(first.clone()), Outcome::Already(first)]
    );
    assert_eq!((stage.book(7).await, stage.commands().await), (vec![1], 1));
}

#[tokio::test]
async fn a_command_that_loses_its_slot_to_itself_gets_its_own_answer() {
    let mut stage = Stage::open().await;
    let condition = format!("new.command_id = '{}'", id(1));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let lets_go = async {
        until_blocked(&mut stage.owner, 2).await;
        let_go(&mut stage.owner, 1).await;
    };
    // Each sender gave the booking a number of its own, so only slot and id are the same.
    let send = |key| append_one(&stage.journal, booked(1, key).claiming(key, 1, 10, 12));
    let (one, other, ()) = tokio::join!(send(7), send(8), lets_go);
    let mut outcomes = [one.unwrap(), other.unwrap()];
    outcomes.sort_by_key(|outcome| !matches!(outcome, Outcome::Stored(_)));
    let first = answer(outcomes[0].clone());
    assert_eq!(
        outcomes,
        [Outcome::Stored(first.clone()), Outcome::Already(first)]
    );
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
}
