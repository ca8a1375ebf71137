//! Events that are parked, their tries and the end of them: a row, a metric and a log line each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{BoxFuture, FutureExt, ready};
use journal::StoreError;
use journal::follow::{HandlerError, Step};

use super::follower;
use crate::follow::clerk::{clerk, effects, refusing, stage_with};
use crate::heard::Heard;
use crate::samples::{Compose, append, booked};
use crate::sql;

#[tokio::test]
async fn an_event_that_cannot_be_read_holds_its_booking() {
    let (mut stage, heard) = (stage_with(1).await, Heard::new());
    let newer = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id, command_id)
                 select aggregate_type, aggregate_id, 2, 'Teleported', '1', payload, metadata, gen_random_uuid(), gen_random_uuid() from events";
    sql::run(&mut stage.owner, newer).await;
    clerk("a").following(&stage.journal).step().await.unwrap();
    let row = "select position || ' ' || event_type || ' ' || unread || ' ' || (reason <> '') from parked";
    assert_eq!(
        sql::texts(&mut stage.owner, row).await,
        ["2 Teleported true true"]
    );
    assert_eq!(
        heard.metric(&follower("follower_unreadable_events_total")),
        1
    );
    let why = ["an event is parked", "Teleported", "reason="];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    // An upgrade frees it, and nothing else is tried.
    assert_eq!(stage.number("select count(*) from parked_tries").await, 0);
}

#[tokio::test]
async fn a_parked_event_its_tries_and_the_end_of_them() {
    let (mut stage, heard) = (stage_with(2).await, Heard::new());
    let mut broken = clerk("a").written(refusing(&[1])).following(&stage.journal);
    broken.step().await.unwrap();
    let row = "select position || ' ' || reason from parked";
    assert_eq!(
        sql::texts(&mut stage.owner, row).await,
        ["1 it makes no sense"]
    );
    assert_eq!(heard.metric(&follower("follower_parked_total")), 1);
    let why = ["an event is parked", "it makes no sense"];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());

    // Nothing is due before its time, and each wait is four times the last one.
    let wait =
        "select round(extract(epoch from next_at - clock_timestamp()))::bigint from parked_tries";
    for (tries, seconds) in [10, 40, 160, 640, 2_560].into_iter().enumerate() {
        let waits = stage.number(wait).await;
        assert!(
            (seconds - 5..=seconds).contains(&waits),
            "{waits} s, not {seconds}"
        );
        assert_eq!(broken.step().await.unwrap(), Step::Idle { hole: None });
        let [parked] = &stage.journal.parked(9).await.unwrap()[..] else {
            panic!("one is parked")
        };
        assert_eq!(parked.attempts, i32::try_from(tries).unwrap());
        assert!(parked.next_try_at.is_some() && !parked.quarantined);
        sql::run(
            &mut stage.owner,
            "update parked_tries set next_at = clock_timestamp()",
        )
        .await;
        let tried = Step::Advanced {
            events: 0,
            position: 2,
        };
        assert_eq!(broken.step().await.unwrap(), tried);
    }
    assert_eq!(
        heard.metric("follower_retries_total{follower=\"clerk\",outcome=\"stuck\"}"),
        5
    );
    assert_eq!(heard.lines(&["a parked key was tried again", "stuck"]), 5);
    assert_eq!(heard.lines(&why), 6, "with its reason each time");

    // The budget is spent.
    let row = "select key || ' ' || attempts || ' ' || (next_at is null) || ' ' || (quarantined_at is not null) from parked_tries";
    assert_eq!(sql::texts(&mut stage.owner, row).await, ["1 5 true true"]);
    assert_eq!(heard.metric(&follower("follower_quarantined_total")), 1);
    assert_eq!(
        heard.lines(&["tried no more by itself", "key=\"1\""]),
        1,
        "{}",
        heard.log()
    );
    assert!(stage.journal.parked(9).await.unwrap()[0].quarantined);
    let status = stage.journal.status().await.unwrap();
    assert_eq!(
        (
            status.followers[0].quarantined,
            status.followers[0].lag_events
        ),
        (1, 0)
    );
    assert_eq!(broken.step().await.unwrap(), Step::Idle { hole: None });

    // People may have it tried all the same; mended, nothing is left of it.
    let at = journal::recover::ParkedAt {
        name: "clerk".to_owned(),
        generation: 1,
        key: "1".to_owned(),
    };
    stage.journal.retry_parked(&at, "ann").await.unwrap();
    broken.step().await.unwrap();
    assert_eq!(
        heard.metric(&follower("follower_quarantined_total")),
        1,
        "once"
    );
    assert!(stage.journal.parked(9).await.unwrap()[0].quarantined);
    broken.release().await.unwrap();
    stage.journal.retry_parked(&at, "ann").await.unwrap();
    clerk("b").following(&stage.journal).step().await.unwrap();
    assert_eq!(effects(&mut stage).await, ["b 1", "a 2"]);
    assert_eq!(stage.number("select count(*) from parked_tries").await, 0);
}

#[tokio::test]
async fn without_its_budget_a_parked_booking_would_be_tried_for_ever() {
    let mut stage = stage_with(1).await;
    stage.without_guard("parked_tried", "budget").await;
    sql::run(
        &mut stage.owner,
        "alter table parked_tries drop constraint parked_tries_check",
    )
    .await;
    let mut broken = clerk("a").written(refusing(&[1])).following(&stage.journal);
    broken.step().await.unwrap();
    for _ in 0..7 {
        sql::run(
            &mut stage.owner,
            "update parked_tries set next_at = clock_timestamp()",
        )
        .await;
        broken.step().await.unwrap();
    }
    assert_eq!(
        stage
            .number("select count(*) from parked_tries where next_at is not null and attempts = 7")
            .await,
        1
    );
}

#[tokio::test]
async fn what_passes_is_taken_by_itself() {
    let mut stage = stage_with(2).await;
    stage.append(append(3).to("Book", 1, 1, 1)).await.unwrap();
    let mends = Arc::new(AtomicBool::new(false));
    let mended = mends.clone();
    let refuses = refusing(&[1]);
    let passing = clerk("a").written(move |events| {
        if mended.load(Ordering::SeqCst) {
            ready(Ok(())).boxed()
        } else {
            refuses(events)
        }
    });
    let mut follower = passing.following(&stage.journal);
    follower.step().await.unwrap();
    mends.store(true, Ordering::SeqCst);
    assert_eq!(effects(&mut stage).await, ["a 2"]);
    sql::run(
        &mut stage.owner,
        "update parked_tries set next_at = clock_timestamp()",
    )
    .await;
    follower.step().await.unwrap();
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 3"]);
    assert_eq!(stage.journal.parked(9).await.unwrap(), []);
    assert_eq!(stage.number("select count(*) from parked_tries").await, 0);
}

/// A hook after which the database refuses a value of this event, without saying of which.
fn overflowing(
    position: i64,
) -> impl Fn(&[journal::Recorded]) -> BoxFuture<'static, Result<(), HandlerError>> {
    move |events| {
        let is_there = events.iter().any(|event| event.position == position);
        let refused = StoreError::Refused {
            sqlstate: "22003".to_owned(),
            message: "integer out of range".to_owned(),
        };
        ready(if is_there {
            Err(refused.into())
        } else {
            Ok(())
        })
        .boxed()
    }
}

#[tokio::test]
async fn a_value_that_the_database_refuses_parks_its_booking_and_nobody_elses() {
    let (mut stage, heard) = (stage_with(20).await, Heard::new());
    stage.append(append(21).to("Book", 13, 1, 1)).await.unwrap();
    let mut follower = clerk("a")
        .written(overflowing(13))
        .following(&stage.journal);
    for _ in 0..20 {
        if let Step::Idle { .. } = follower.step().await.unwrap() {
            break;
        }
    }
    let done: Vec<_> = (1..=20)
        .filter(|n| *n != 13)
        .map(|n| format!("a {n}"))
        .collect();
    assert_eq!(
        effects(&mut stage).await,
        done,
        "each once, in order, and no other is missing"
    );
    let row = "select position || coalesce(': ' || reason, '') from parked order by position";
    let parked = sql::texts(&mut stage.owner, row).await;
    assert_eq!(
        parked,
        [
            "13: the database refused (22003): integer out of range",
            "21"
        ]
    );
    let status = stage.journal.status().await.unwrap();
    assert_eq!(
        (status.followers[0].lag_events, status.followers[0].parked),
        (0, 2)
    );
    assert_eq!(heard.metric(&follower_metric()), 2);
    assert_eq!(
        heard.lines(&["an event is parked", "22003"]),
        1,
        "{}",
        heard.log()
    );
}

fn follower_metric() -> String {
    follower("follower_parked_total")
}

#[tokio::test]
async fn a_try_that_breaks_off_holds_up_nobody_else() {
    let mut stage = stage_with(2).await;
    let mut broken = clerk("a").written(refusing(&[1])).following(&stage.journal);
    broken.step().await.unwrap();
    broken.release().await.unwrap();
    let busy = |events: &[journal::Recorded]| {
        let is_there = events.iter().any(|event| event.position == 1);
        let busy = StoreError::Busy {
            sqlstate: "57014".to_owned(),
            message: "time-out".to_owned(),
        };
        ready(if is_there { Err(busy.into()) } else { Ok(()) }).boxed()
    };
    let mut follower = clerk("b").written(busy).following(&stage.journal);
    sql::run(
        &mut stage.owner,
        "update parked_tries set next_at = clock_timestamp()",
    )
    .await;
    stage.append(booked(3, 3)).await.unwrap();
    follower.step().await.unwrap_err();
    let taken = Step::Advanced {
        events: 1,
        position: 3,
    };
    assert_eq!(follower.step().await.unwrap(), taken);
}
