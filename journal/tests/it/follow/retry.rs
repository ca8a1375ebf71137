//! Parked events tried again or discarded: in order, by the follower, and never without a trace.

use std::future::pending;
use std::time::Duration;

use futures::future::FutureExt;
use journal::StoreError;
use journal::connections::TRANSACTION_MAX;
use journal::follow::{Follower, HandlerError, Step};
use journal::recover::{Decision, ParkedAt};
use local_postgres::testing::timeout;

use super::clerk::{Clerk, clerk, effects, end_the_lease, failure, refusing, stage_with};
use crate::heard::Heard;
use crate::samples::{Compose, append};
use crate::sql;
use crate::stage::Stage;

const WHY: Decision<'_> = Decision {
    by: "ann",
    reason: "it was a test booking",
};

fn booking(key: i64) -> ParkedAt {
    ParkedAt {
        name: "clerk".to_owned(),
        generation: 1,
        key: key.to_string(),
    }
}

/// What is parked: position, and the reason if it is one's own.
async fn parked(stage: &Stage, key: i64) -> Vec<String> {
    let events = stage.journal.parked_events(&booking(key)).await.unwrap();
    let text = |event: &journal::recover::ParkedEvent| match &event.reason {
        Some(reason) => format!("{}: {reason}", event.position),
        None => event.position.to_string(),
    };
    events.iter().map(text).collect()
}

async fn decisions(stage: &mut Stage) -> Vec<String> {
    let rows = "select action || ' ' || coalesce(subject ->> 'position', subject ->> 'events') || ' by ' || decided_by || ': ' || reason
                from decisions order by id";
    sql::texts(&mut stage.owner, rows).await
}

/// Booking 1 has the events 1, 3, 5, of which 3 could not be taken, and booking 2 the event 2.
async fn one_is_parked() -> (Stage, Follower<Clerk>) {
    let stage = stage_with(2).await;
    for (command, key, after) in [(3, 1, 1), (4, 3, 0), (5, 1, 2)] {
        stage
            .append(append(command).to("Book", key, after, 1))
            .await
            .unwrap();
    }
    let mut follower = clerk("a").written(refusing(&[3])).following(&stage.journal);
    follower.step().await.unwrap();
    assert_eq!(parked(&stage, 1).await, ["3: it makes no sense", "5"]);
    (stage, follower)
}

fn advanced(events: usize, position: i64) -> Step {
    Step::Advanced { events, position }
}

#[tokio::test]
async fn what_was_mended_is_taken_in_order_and_what_comes_goes_the_usual_way() {
    let (mut stage, mut broken) = one_is_parked().await;
    broken.release().await.unwrap();
    let mut mended = clerk("b").following(&stage.journal);
    assert_eq!(mended.step().await.unwrap(), Step::Idle { hole: None });
    assert_eq!(parked(&stage, 1).await.len(), 2, "nobody asked yet");

    let list = stage.journal.parked(9).await.unwrap();
    let [only] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!((only.key.as_str(), only.position, only.behind), ("1", 3, 1));
    assert!(!only.retry_asked);
    assert_eq!(stage.journal.parked(0).await.unwrap(), []);
    let of = async |key: &str| stage.journal.parked_of(&[key.to_owned()]).await.unwrap();
    assert_eq!((of("1").await, of("2").await), (list.clone(), vec![]));
    assert_eq!(
        stage
            .journal
            .retry_parked(&booking(1), "ann")
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        stage
            .journal
            .retry_parked(&booking(2), "ann")
            .await
            .unwrap(),
        0
    );
    assert!(stage.journal.retry_is_open(&booking(1)).await.unwrap());
    stage.append(append(6).to("Book", 1, 3, 1)).await.unwrap();
    assert_eq!(mended.step().await.unwrap(), advanced(2, 5));
    assert_eq!(
        effects(&mut stage).await,
        ["a 1", "a 2", "b 3", "a 4", "b 5"]
    );
    assert!(parked(&stage, 1).await.is_empty());
    assert!(!stage.journal.retry_is_open(&booking(1)).await.unwrap());
    assert_eq!(mended.step().await.unwrap(), advanced(1, 6));
    assert_eq!(effects(&mut stage).await[5], "b 6");
    assert_eq!(
        decisions(&mut stage).await,
        ["parked.retry 2 by ann: asked for"]
    );
}

#[tokio::test]
async fn what_is_still_wrong_stays_parked_with_all_behind_it() {
    let (mut stage, mut broken) = one_is_parked().await;
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(broken.step().await.unwrap(), advanced(0, 5));
    assert_eq!(parked(&stage, 1).await, ["3: it makes no sense", "5"]);
    assert!(!stage.journal.retry_is_open(&booking(1)).await.unwrap());
    assert_eq!(broken.step().await.unwrap(), Step::Idle { hole: None });

    broken.release().await.unwrap();
    let mut other = clerk("b")
        .planning(refusing(&[5]))
        .following(&stage.journal);
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(other.step().await.unwrap(), advanced(1, 5));
    assert_eq!(parked(&stage, 1).await, ["5: it makes no sense"]);
    stage.append(append(6).to("Book", 1, 3, 1)).await.unwrap();
    assert_eq!(other.step().await.unwrap(), advanced(1, 6));
    assert_eq!(parked(&stage, 1).await, ["5: it makes no sense", "6"]);
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "b 3", "a 4"]);
}

#[tokio::test]
async fn an_error_that_is_nobodys_fault_leaves_it_parked_and_stops_nothing_else() {
    use futures::future::{FutureExt, ready};
    let (mut stage, mut broken) = one_is_parked().await;
    broken.release().await.unwrap();
    let stumbles = clerk("b").written(|events| {
        let parked = events.iter().any(|event| event.position == 3);
        ready(if parked { Err(failure()) } else { Ok(()) }).boxed()
    });
    let mut follower = stumbles.following(&stage.journal);
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(follower.step().await.unwrap(), advanced(0, 5));
    let left = parked(&stage, 1).await;
    assert!(left[0].ends_with("it stumbled"), "{left:?}");
    stage.append(append(6).to("Book", 2, 1, 1)).await.unwrap();
    assert_eq!(follower.step().await.unwrap(), advanced(1, 6));
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4", "b 6"]);
}

#[tokio::test]
async fn a_discarded_event_stays_as_a_row_and_the_rest_is_taken() {
    let (mut stage, mut follower) = one_is_parked().await;
    let heard = Heard::new();
    let gone = stage.journal.discard_parked(&booking(1), false, &WHY).await;
    assert_eq!(gone.unwrap(), 1);
    assert_eq!(follower.step().await.unwrap(), advanced(1, 5));
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4", "a 5"]);
    assert_eq!(
        decisions(&mut stage).await,
        ["parked.discard 3 by ann: it was a test booking"]
    );
    let gone = stage.journal.discard_parked(&booking(1), false, &WHY).await;
    assert_eq!(gone.unwrap(), 0, "there is nothing left to discard");
    let why = [
        "parked events were discarded",
        "events=1",
        "by=\"ann\"",
        "it was a test booking",
    ];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    assert_eq!(heard.lines(&why[..1]), 1, "once: {}", heard.log());
}

#[tokio::test]
async fn an_event_that_is_discarded_while_it_is_tried_is_not_taken() {
    use futures::future::FutureExt;
    let (mut stage, mut broken) = one_is_parked().await;
    broken.release().await.unwrap();
    let journal = stage.journal.clone();
    let late = clerk("b").planning(move |events| {
        let (journal, tries) = (journal.clone(), events.iter().any(|e| e.position == 3));
        async move {
            if tries {
                let gone = journal.discard_parked(&booking(1), false, &WHY).await?;
                assert_eq!(gone, 1);
            }
            Ok(())
        }
        .boxed()
    });
    let mut follower = late.following(&stage.journal);
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(follower.step().await.unwrap(), advanced(0, 5));
    assert_eq!(follower.step().await.unwrap(), advanced(1, 5));
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4", "b 5"]);
    assert!(parked(&stage, 1).await.is_empty());
}

#[tokio::test]
async fn all_discarded_the_follower_forgets_the_key_even_a_later_one() {
    let (mut stage, follower) = one_is_parked().await;
    let gone = stage.journal.discard_parked(&booking(1), true, &WHY).await;
    assert_eq!(gone.unwrap(), 2);
    drop(follower);
    end_the_lease(&mut stage).await;
    let mut later = clerk("b").following(&stage.journal);
    stage.append(append(6).to("Book", 1, 3, 1)).await.unwrap();
    assert_eq!(later.step().await.unwrap(), advanced(0, 5));
    assert!(!stage.journal.retry_is_open(&booking(1)).await.unwrap());
    assert_eq!(later.step().await.unwrap(), advanced(1, 6));
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4", "b 6"]);
    assert_eq!(decisions(&mut stage).await.len(), 2);
}

#[tokio::test]
async fn nobody_and_no_reason_are_refused_and_nothing_goes() {
    let (stage, _follower) = one_is_parked().await;
    for (by, reason) in [("", "because"), ("ann", "")] {
        let decision = Decision { by, reason };
        let at = booking(1);
        let refused = stage.journal.discard_parked(&at, true, &decision).await;
        assert_eq!(refused.unwrap_err().sqlstate(), Some("23514"));
    }
    assert_eq!(parked(&stage, 1).await.len(), 2);
}

#[tokio::test]
async fn without_its_condition_a_discard_takes_the_good_ones_too() {
    let (mut stage, _follower) = one_is_parked().await;
    stage
        .without_guard("parked_discard", "only the first")
        .await;
    let gone = stage.journal.discard_parked(&booking(1), false, &WHY).await;
    assert_eq!(
        gone.unwrap(),
        2,
        "the harm: an event that nobody named is gone"
    );
}

#[tokio::test]
async fn a_discard_waits_for_the_batch_that_is_being_written() {
    for guarded in [true, false] {
        let (mut stage, _follower) = one_is_parked().await;
        if !guarded {
            stage.without_guard("parked_discard", "batch").await;
        }
        // A batch that parks one more of the booking; it has not ended.
        let mut batch = stage.session().await;
        let park = "begin; update followers set position = 6 where name = 'clerk';
                    insert into parked (name, generation, position, key, event_type) values ('clerk', 1, 6, '1', 'Booked')";
        sql::run(&mut batch, park).await;
        let journal = stage.journal.clone();
        let (at, done) = (booking(1), std::sync::atomic::AtomicBool::new(false));
        let discard = async {
            let gone = journal.discard_parked(&at, true, &WHY).await.unwrap();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            gone
        };
        let commit = async {
            let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
            crate::force::until("it waits, or is done", async || {
                done.load(std::sync::atomic::Ordering::SeqCst)
                    || sql::number(&mut stage.owner, waiting).await > 0
            })
            .await;
            sql::run(&mut batch, "commit").await;
        };
        let (gone, ()) = tokio::join!(discard, commit);
        let expected = if guarded { 3 } else { 2 };
        assert_eq!(gone, expected, "guarded: {guarded}");
    }
}

#[tokio::test]
async fn a_try_that_never_ends_is_given_up_and_stays_parked() {
    let (mut stage, mut broken) = one_is_parked().await;
    broken.release().await.unwrap();
    let journal = stage.journal.clone();
    journal.retry_parked(&booking(1), "ann").await.unwrap();
    let hanging = |_: &[journal::Recorded]| pending().boxed();
    let mut silent = clerk("b").written(hanging).following(&journal);
    let ended = timeout(TRANSACTION_MAX + Duration::from_secs(5), silent.step()).await;
    let error = ended.expect("it is given up").unwrap_err();
    assert!(
        matches!(error, HandlerError::Store(StoreError::Unreachable(_))),
        "{error}"
    );
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4"]);
    assert_eq!(parked(&stage, 1).await.len(), 2);
    assert!(journal.retry_is_open(&booking(1)).await.unwrap());
}
