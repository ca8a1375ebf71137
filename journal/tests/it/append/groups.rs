//! Groups: what is sent together is committed together, and only who is at fault fails.

use journal::append::{GROUP_MAX, Outcome};
use serde_json::json;

use crate::samples::{Compose, append, booked, bookings};
use crate::sql;
use crate::stage::Stage;

/// The stream that a command wrote to.
fn key(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Stored(answer) => &answer.streams[0].aggregate_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_commands_are_a_few_commits_and_the_answers_keep_their_order() {
    let mut stage = Stage::open().await;
    let outcomes = stage.journal.append(bookings(150)).await;
    let keys: Vec<String> = outcomes
        .iter()
        .map(|o| key(o.as_ref().unwrap()).to_owned())
        .collect();
    assert_eq!(keys, (1..=150).map(|n| n.to_string()).collect::<Vec<_>>());
    let groups = 150_i64.div_euclid(i64::try_from(GROUP_MAX).unwrap()) + 1;
    assert_eq!(
        stage.number("select count(distinct tx) from events").await,
        groups
    );
    let position = match outcomes.last().unwrap() {
        Ok(Outcome::Stored(answer)) => answer.position,
        other => panic!("{other:?}"),
    };
    let of_the_last = "select position from events where aggregate_id = '150'";
    assert_eq!(stage.number(of_the_last).await, position);
}

#[tokio::test]
async fn commands_of_one_stream_in_one_call_keep_their_order() {
    let mut stage = Stage::open().await;
    let commands = vec![
        append(1).to("Book", 7, 0, 2),
        append(2).to("Book", 7, 2, 1).to("Payment", 7, 0, 1),
        // Must not overtake the one before it, though its own first stream is free.
        append(3).to("Payment", 7, 1, 1),
        append(4).to("Book", 8, 0, 1),
    ];
    let outcomes = stage.journal.append(commands).await;
    assert!(
        outcomes.iter().all(|o| matches!(o, Ok(Outcome::Stored(_)))),
        "{outcomes:?}"
    );
    let commands = "select right(command_id::text, 1) from events
                    where aggregate_id = '7' order by aggregate_type, sequence";
    let commands = sql::texts(&mut stage.owner, commands).await;
    assert_eq!(commands, ["1", "1", "2", "2", "3"]);
}

#[tokio::test]
async fn a_poisoned_member_fails_alone() {
    let mut stage = Stage::open().await;
    let mut group = bookings(64);
    // jsonb cannot hold this character.
    group[17].streams[0].events[0].payload = json!({ "spacename": "\0" });
    let outcomes = stage.journal.append(group).await;
    let failed: Vec<_> = (0..64).filter(|n| outcomes[*n].is_err()).collect();
    assert_eq!(failed, [17]);
    let error = outcomes[17].as_ref().unwrap_err();
    assert_eq!(error.sqlstate(), Some("22P05"));
    assert!(!error.is_transient());
    assert_eq!((stage.events().await, stage.commands().await), (63, 63));
}

#[tokio::test]
async fn a_member_that_a_constraint_refuses_fails_alone() {
    let mut stage = Stage::open().await;
    let no_time_at_all = booked(3, 3).claiming(3, 5, 10, 10);
    let group = vec![booked(1, 1), no_time_at_all, booked(2, 2)];
    let outcomes = stage.journal.append(group).await;
    assert_eq!(outcomes[1].as_ref().unwrap_err().sqlstate(), Some("23514"));
    assert_eq!(
        (stage.book(1).await, stage.book(2).await),
        (vec![1], vec![1])
    );
    assert_eq!(stage.commands().await, 2);
}

#[tokio::test]
async fn a_stream_that_a_command_names_twice_is_a_conflict_and_not_half_stored() {
    let mut stage = Stage::open().await;
    let twice = append(1).to("Book", 7, 0, 1).to("Book", 7, 0, 1);
    assert_eq!(stage.append(twice).await.unwrap(), Outcome::Conflict);
    assert_eq!((stage.events().await, stage.commands().await), (0, 0));
}

#[tokio::test]
async fn a_stream_that_two_commands_of_a_group_name_has_one_winner() {
    // `Journal::append` puts them into two groups.
    let mut stage = Stage::open().await;
    let group = [booked(1, 7), booked(2, 7)];
    let mut outcomes = sql::journal_append(&mut stage.owner, &group).await.unwrap();
    outcomes.sort();
    assert_eq!(outcomes, ["conflict", "stored"]);
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
}

#[tokio::test]
async fn events_of_one_command_have_ids_that_every_sending_shares() {
    let mut stage = Stage::open().await;
    stage.append(append(1).to("Book", 7, 0, 2)).await.unwrap();
    let ids = "select event_id::text from events order by position";
    let here = sql::texts(&mut stage.owner, ids).await;
    let mut elsewhere = Stage::open().await;
    elsewhere
        .append(append(1).to("Book", 7, 0, 2))
        .await
        .unwrap();
    assert_eq!(sql::texts(&mut elsewhere.owner, ids).await, here);
    assert_ne!(here[0], here[1]);
}
