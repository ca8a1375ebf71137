//! Running commands: load, decide, append, and again when somebody else was faster.

use domain::book::Book;
use domain::{Refusal, book};
use futures::future::join_all;
use journal::command::ROUNDS_MAX;
use journal::{CommandError, Done};

use crate::samples::{cancel, defer, place, register, request, request_payment};
use crate::sql;
use crate::stage::{Stage, journal};

/// The version of the Book stream in an answer.
fn version(done: &Done) -> i64 {
    done.answer().version_of("Book").unwrap()
}

#[tokio::test]
async fn commands_on_one_stream_at_once_are_all_stored_within_the_budget() {
    let mut stage = Stage::open().await;
    stage
        .journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    let commands = (2..=21).map(|n| stage.journal.execute_one(request(n, vec![defer(7)])));
    let outcomes = join_all(commands).await;
    let mut versions: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(done @ Done::Stored(_)) => version(&done),
            other => panic!("{other:?}"),
        })
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
    assert_eq!(stage.book(7).await, (1..=21).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_twenty_cancellations_one_cancels_and_the_others_see_it() {
    let mut stage = Stage::open().await;
    stage
        .journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    let commands = (2..=21).map(|n| stage.journal.execute_one(request(n, vec![cancel(7)])));
    let outcomes: Vec<_> = join_all(commands)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let stored = outcomes
        .iter()
        .filter(|done| matches!(done, Done::Stored(_)));
    assert_eq!(stored.count(), 1);
    assert!(
        outcomes
            .iter()
            .all(|done| version(done) == 2
                && done.answer().position == outcomes[0].answer().position)
    );
    assert_eq!(stage.book(7).await, [1, 2]);
}

#[tokio::test]
async fn commands_on_one_stream_in_one_call_keep_their_order() {
    let mut stage = Stage::open().await;
    let requests = vec![
        request(1, vec![place(7)]),
        request(2, vec![defer(7)]),
        request(3, vec![cancel(7)]),
        request(4, vec![defer(7)]),
    ];
    let outcomes = stage.journal.execute(requests).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(matches!(
        &outcomes[..3],
        [Done::Stored(_), Done::Stored(_), Done::Stored(_)]
    ));
    assert!(
        matches!(outcomes[3], Done::Unchanged(_)),
        "it came too late to be told to wait"
    );
    assert_eq!(
        outcomes.iter().map(version).collect::<Vec<_>>(),
        [1, 2, 3, 3]
    );
    let types = "select event_type from events order by position";
    let expected = ["Booked", "PaymentDeferred", "Bookcancelled"];
    assert_eq!(sql::texts(&mut stage.owner, types).await, expected);
}

#[tokio::test]
async fn a_creating_command_on_a_stream_that_is_there_is_decided_again() {
    let mut stage = Stage::open().await;
    stage
        .journal
        .execute_one(request(1, vec![place(7), request_payment(7)]))
        .await
        .unwrap();
    let refused = stage.journal.execute_one(request(2, vec![place(7)])).await;
    assert!(matches!(
        refused,
        Err(CommandError::Refused(Refusal::Book(
            book::Error::AlreadyPlaced
        )))
    ));
    let refused = stage
        .journal
        .execute_one(request(3, vec![request_payment(7)]))
        .await;
    assert!(matches!(
        refused,
        Err(CommandError::Refused(Refusal::Payment(_)))
    ));
    stage
        .journal
        .execute_one(request(4, vec![register(7)]))
        .await
        .unwrap();
    let unchanged = stage
        .journal
        .execute_one(request(5, vec![register(7)]))
        .await
        .unwrap();
    assert!(matches!(unchanged, Done::Unchanged(_)), "{unchanged:?}");
    assert_eq!((stage.events().await, stage.commands().await), (3, 2));
}

#[tokio::test]
async fn a_command_with_nothing_to_do_says_where_its_streams_stand() {
    let mut stage = Stage::open().await;
    let placed = stage
        .journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    let cancelled = stage
        .journal
        .execute_one(request(2, vec![cancel(7)]))
        .await
        .unwrap();
    assert_eq!((version(&placed), version(&cancelled)), (1, 2));
    let again = stage
        .journal
        .execute_one(request(3, vec![cancel(7)]))
        .await
        .unwrap();
    assert_eq!(again, Done::Unchanged(cancelled.answer().clone()));
    assert_eq!((stage.events().await, stage.commands().await), (2, 2));
}

#[tokio::test]
async fn of_twenty_commands_that_expect_the_same_version_one_is_stored() {
    let mut stage = Stage::open().await;
    let place = request(1, vec![place(7)]);
    stage.journal.execute_one(place).await.unwrap();
    let commands = (2..=21).map(|n| {
        let defer = request(n, vec![defer(7)]);
        stage.journal.execute_at(defer, vec![1, 9])
    });
    let outcomes = join_all(commands).await;
    let stored = |outcome: &&Result<Done, _>| matches!(outcome, Ok(Done::Stored(_)));
    assert_eq!(outcomes.iter().filter(stored).count(), 1);
    for outcome in outcomes.iter().filter(|outcome| !stored(outcome)) {
        let refused = matches!(outcome, Err(CommandError::OtherVersion { current: 2 }));
        assert!(refused, "{outcome:?}");
    }
    assert_eq!(stage.book(7).await, [1, 2]);
}

#[tokio::test]
async fn what_was_stored_at_its_version_is_answered_again_though_the_version_is_past() {
    let mut stage = Stage::open().await;
    let place = request(1, vec![place(7)]);
    stage.journal.execute_one(place).await.unwrap();
    let defer = || {
        stage
            .journal
            .execute_at(request(2, vec![defer(7)]), vec![1])
    };
    let first = defer().await.unwrap();
    assert!(matches!(first, Done::Stored(_)), "{first:?}");
    let again = defer().await.unwrap();
    assert_eq!(again, Done::Already(first.answer().clone()));
    let nothing = stage
        .journal
        .execute_at(request(3, vec![cancel(8)]), vec![1])
        .await;
    assert!(
        matches!(nothing, Err(CommandError::OtherVersion { current: 0 })),
        "{nothing:?}"
    );
    assert_eq!(stage.book(7).await, [1, 2]);
}

#[tokio::test]
async fn a_refused_command_stores_nothing_and_takes_its_companions_along() {
    let mut stage = Stage::open().await;
    let refused = stage.journal.execute_one(request(1, vec![cancel(7)])).await;
    assert!(matches!(
        refused,
        Err(CommandError::Refused(Refusal::Book(
            book::Error::NoSuchBooking
        )))
    ));
    let half = stage
        .journal
        .execute_one(request(2, vec![place(8), cancel(7)]))
        .await;
    assert!(matches!(half, Err(CommandError::Refused(_))));
    assert_eq!((stage.events().await, stage.commands().await), (0, 0));
    assert_eq!(stage.journal.load::<Book>(8).await.unwrap(), None);
}

#[tokio::test]
async fn a_command_that_was_stored_is_answered_again_though_its_stream_went_on() {
    let stage = Stage::open().await;
    let requests = [
        request(1, vec![place(7)]),
        request(2, vec![defer(7)]),
        request(3, vec![cancel(7)]),
    ];
    let mut first = vec![];
    for request in &requests {
        first.push(stage.journal.execute_one(request.clone()).await.unwrap());
    }
    let elsewhere = journal(stage.url());
    for (request, first) in requests.into_iter().zip(first) {
        let again = elsewhere.execute_one(request).await.unwrap();
        assert_eq!(again, Done::Already(first.answer().clone()));
    }
}

#[tokio::test]
async fn a_stream_that_never_stands_still_is_given_up_after_the_budget() {
    let mut stage = Stage::open().await;
    stage
        .journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    // Every second event is lost to somebody faster, as far as the append can see.
    let never = "create sequence tries;
         grant usage on sequence tries to spacerent_runtime;
         create function never() returns trigger language plpgsql as $$
         begin perform nextval('tries'); return null; end $$;
         create trigger never before insert on events for each row when (new.sequence = 2) execute function never()";
    sql::run(&mut stage.owner, never).await;
    let contended = stage.journal.execute_one(request(2, vec![cancel(7)])).await;
    assert!(
        matches!(contended, Err(CommandError::Contended)),
        "{contended:?}"
    );
    assert_eq!(
        stage.number("select last_value from tries").await,
        i64::from(ROUNDS_MAX)
    );
    assert_eq!((stage.book(7).await, stage.commands().await), (vec![1], 1));
}

#[tokio::test]
async fn booking_numbers_count_from_one_without_holes() {
    let stage = Stage::open().await;
    for expected in 1..=3 {
        let next = stage.journal.next_booking("nowhere").await.unwrap();
        assert_eq!(next.bookid.0, expected);
    }
}
