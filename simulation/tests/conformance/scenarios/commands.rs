//! Once per command id.

use futures::join;
use journal::append::Outcome;

use super::{answer, is_half, is_stored, versions};
use crate::samples::{Compose, booked, command, id};
use crate::stage::Stage;

pub async fn a_command_id_is_stored_once_and_answered_as_it_was(stage: &impl Stage) {
    let first = answer(stage.append(booked(1, 7)).await);
    stage.stored(command(2).to("Book", 7, 1, 2)).await;
    let again = [
        booked(1, 7),
        command(1).to("Book", 7, 3, 1),
        command(1).to("Payment", 9, 0, 1).claiming(9, 1, 0, 1),
    ];
    for again in again {
        let again = stage.append(again).await.unwrap();
        assert_eq!(again, Outcome::Already(first.clone()));
    }
    let known = stage.store().answers(&[id(1), id(3)]).await.unwrap();
    assert_eq!(Vec::from_iter(known), [(id(1), first)]);
    let streams = [("Book", 7), ("Payment", 9)];
    assert_eq!(versions(stage, &streams).await, [3, 0]);
    stage
        .stored(command(4).to("Book", 10, 0, 1).claiming(10, 1, 0, 1))
        .await;
}

pub async fn twins_at_the_same_time_are_one(stage: &impl Stage) {
    let journals = [stage.journal(), stage.journal()];
    stage.hold_still(id(1)).await;
    let sent = journals
        .each_ref()
        .map(|journal| journal.append(vec![booked(1, 7)]));
    let lets_go = async {
        stage.until_waiting(2).await;
        stage.let_go(id(1)).await;
    };
    let (answers, ()) = join!(futures::future::join_all(sent), lets_go);
    let answers = answers.concat();
    assert_eq!(
        answers.iter().filter(|outcome| is_stored(outcome)).count(),
        1,
        "{answers:?}"
    );
    let [one, other] = answers.try_into().unwrap();
    assert_eq!(answer(one), answer(other));
    assert_eq!(versions(stage, &[("Book", 7)]).await, [1]);
}

/// The same id for two streams: only the id stands between them.
pub async fn twins_on_two_streams_are_one(stage: &impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let (one, other) = ([booked(1, 7)], [booked(1, 8)]);
    let lets_go = async {
        stage.until_waiting(2).await;
        stage.let_go(id(1)).await;
    };
    let (one, other, ()) = join!(store.append(&one), store.append(&other), lets_go);
    let (won, lost) = if one.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    assert!(matches!(won.unwrap()[..], [Outcome::Stored(_)]));
    assert!(is_half(&lost, false), "{lost:?}");
    let stored = versions(stage, &[("Book", 7), ("Book", 8)]).await;
    assert_eq!(stored.iter().sum::<i64>(), 1, "{stored:?}");
}

pub async fn a_twin_of_one_that_rolls_back_is_stored(stage: &impl Stage) {
    stage.rolled_back(booked(1, 7)).await;
    stage.stored(booked(1, 7)).await;
}

pub async fn a_command_that_lost_its_answer_is_answered_when_it_is_sent_again(stage: &impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let group = [booked(1, 7)];
    // Whoever sent it goes away while the server works; that goes on.
    let waits = async { stage.until_waiting(1).await };
    futures::future::select(std::pin::pin!(store.append(&group)), std::pin::pin!(waits)).await;
    stage.let_go(id(1)).await;
    stage
        .until("it is committed", async || {
            !store.answers(&[id(1)]).await.unwrap().is_empty()
        })
        .await;
    let again = stage.append(booked(1, 7)).await;
    assert!(matches!(again, Ok(Outcome::Already(_))), "{again:?}");
    assert_eq!(versions(stage, &[("Book", 7)]).await, [1]);
}
