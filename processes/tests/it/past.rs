//! The saga on a journal with a past: a row that is read as several events is one cause of several commands.
//!
//! The table is the worked example of docs/changing-events.md; rows of older days are written by SQL.

use std::time::Duration;

use domain::BookId;
use domain::order::CHARGE_JOB;
use domain::version::{TODAY, Table};
use journal::follow::{Handler, HandlerError};
use processes::order::{self, OrderSaga};
use serde_json::{Value, json};

use crate::heard::Heard;
use crate::scripted::Scripted;
use crate::workers::Office;
use crate::world::{World, settings};

#[allow(
    dead_code,
    missing_docs,
    reason = "it is shown in the docs as it stands"
)]
#[path = "../../../domain/tests/versions/example.rs"]
mod example;

async fn with_a_past() -> World {
    let mut world = World::new().await;
    world.journal = world.journal.clone().with_events(example::EXAMPLE);
    world
}

async fn write(world: &World, bookid: BookId, row: (&str, &str, Value)) {
    let (aggregate_type, event_type, payload) = row;
    sqlx::query(
        r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
           select $1, $2, 1 + count(*), $3, '1', $4,
                  '{"occurred_at": "2026-05-01T08:40:01Z", "actor_type": "customer", "correlation_id": "journey"}'
           from events where aggregate_type = $1 and aggregate_id = $2"#,
    )
    .bind(aggregate_type)
    .bind(bookid.to_string())
    .bind(event_type)
    .bind(payload)
    .execute(&world.owner)
    .await
    .unwrap();
}

fn paid(BookId(key): BookId) -> (&'static str, &'static str, Value) {
    let payload = json!({"type": "Paid", "payid": key, "bookid": key, "userid": 1, "status": "success-pay",
                         "spacename": "numberone", "amount": 10_000, "currency": "KRW", "charge_no": 1,
                         "gateway_ref": "pi", "points": 100});
    ("Payment", "Paid", payload)
}

fn visited(BookId(key): BookId) -> (&'static str, &'static str, Value) {
    let payload = json!({"type": "Visited", "spaceid": key, "userid": 1, "spacename": "numberone",
                         "overtime_minutes": 15});
    ("Space", "Visited", payload)
}

#[tokio::test]
async fn both_parts_of_a_row_lead_to_commands_once_whatever_crashes() {
    let world = with_a_past().await;
    let due = world.place("numberone").await;
    write(&world, due.bookid, paid(due.bookid)).await;
    write(&world, due.bookid, visited(due.bookid)).await;
    // The commands go out, and the process dies before its checkpoint; twice.
    let events = journal::feed::Feed::new(world.journal.clone(), "a test")
        .read(0, 100)
        .await
        .unwrap();
    let events: Vec<_> = events
        .items
        .into_iter()
        .flat_map(|row| row.into_events().unwrap())
        .collect();
    assert_eq!(events.len(), 6);
    for _ in 0..2 {
        let saga = OrderSaga::new(world.journal.clone(), settings());
        drop(saga.plan(&events).await.unwrap());
    }
    world.run_saga().await;
    let story = world.story(due.bookid).await;
    assert_eq!(
        story,
        [
            "Booked",
            "PaymentRequested",
            "Paid",
            "Visited",
            "BookConfirmed",
            "BookClosed"
        ]
    );
    // Both name the row as their cause, which is in the journal.
    let causes = "select count(*) from events b join events v on v.event_id::text = b.metadata ->> 'causation_id'
                  where b.event_type in ('BookConfirmed', 'BookClosed') and v.event_type = 'Visited'";
    assert_eq!(world.number(causes).await, 2);
    assert_eq!(world.number("select count(*) from commands").await, 3);
    assert!(
        world.job(CHARGE_JOB, due.bookid).await.is_none(),
        "it has its outcome"
    );
    // Seen once more, nothing moves.
    let saga = OrderSaga::new(world.journal.clone(), settings());
    saga.plan(&events[3..]).await.unwrap();
    assert_eq!(world.story(due.bookid).await.len(), 6);
}

#[tokio::test]
async fn a_job_of_a_booking_that_only_a_newer_program_reads_asks_nobody_and_waits_longer_each_time()
{
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    write(&office.world, due.bookid, paid(due.bookid)).await;
    let worker = office.charges();
    for claim in 1..=3 {
        office.work(&worker).await;
        let job = office.charge_job(due.bookid).await;
        assert_eq!(
            (job.state.as_str(), job.attempts, job.waits),
            ("open", claim, true)
        );
        let pause = job
            .due_at
            .duration_since(office.world.journal.clock().now());
        // Half of a second, a second, two seconds at least.
        assert!(pause.as_millis() >= 500 << (claim - 1), "{pause:?}");
        let error = job.last_error.unwrap();
        assert!(
            error.contains(r#"Payment event "Paid" version "1""#),
            "{error}"
        );
    }
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (0, 0));
}

#[tokio::test]
async fn a_job_of_a_booking_that_nobody_can_read_is_left_to_people_after_a_day() {
    let office = Office::open(Scripted::new([])).await;
    let (damaged, newer) = (office.never_sent().await, office.never_sent().await);
    // Of a version that is known, without a field that it has; and of a version that is not known.
    let row = (
        "Payment",
        "PaymentDeclined",
        json!({"type": "PaymentDeclined"}),
    );
    write(&office.world, damaged.bookid, row).await;
    write(&office.world, newer.bookid, paid(newer.bookid)).await;
    let (worker, heard) = (office.charges(), Heard::new());
    for (hours, state) in [(23, "open"), (2, "attention")] {
        office.world.timeline.advance(Duration::from_hours(hours));
        office.work(&worker).await;
        assert_eq!(office.charge_job(damaged.bookid).await.state, state);
        assert_eq!(office.charge_job(newer.bookid).await.state, "open");
    }
    let error = office.charge_job(damaged.bookid).await.last_error.unwrap();
    assert!(error.contains("PaymentDeclined"), "{error}");
    assert_eq!(heard.metric("jobs_attention_total{kind=\"charge\"}"), 1);
    let why = [
        "a job needs people",
        "PaymentDeclined",
        &format!("bookid={}", damaged.bookid),
    ];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    assert_eq!(heard.lines(&why[..1]), 1, "of no other: {}", heard.log());
    assert_eq!(office.gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn a_booking_whose_stream_only_a_newer_program_reads_is_poison_for_itself_alone() {
    let mut world = World::new().await;
    let (stuck, other) = (
        world.place("numberone").await,
        world.place("numberone").await,
    );
    // In the feed it stands behind what leads to the command, and the command meets it in the stream.
    let approve = |bookid: BookId| {
        let payload = json!({"type": "Approved", "payid": bookid.0, "bookid": bookid.0, "userid": 1, "status": "success-pay",
                             "spacename": "numberone", "amount": 10_000, "currency": "KRW", "charge_no": 1,
                             "gateway_ref": "pi"});
        ("Payment", "Approved", payload)
    };
    let mut saga = order::follower(world.journal.clone(), settings());
    for due in [&stuck, &other] {
        write(&world, due.bookid, approve(due.bookid)).await;
    }
    let visit = ("Space", "Visited", visited(stuck.bookid).2);
    write(&world, stuck.bookid, visit).await;
    let plan = OrderSaga::new(world.journal.clone(), settings());
    let events = journal::feed::Feed::new(world.journal.clone(), "a test")
        .read(0, 6)
        .await
        .unwrap();
    let events: Vec<_> = events
        .items
        .into_iter()
        .flat_map(|row| row.into_events().unwrap())
        .collect();
    let refused = plan.plan(&events).await;
    let Err(HandlerError::Poison {
        position: 5,
        reason,
    }) = refused
    else {
        panic!("{:?}", refused.map(|_| ()));
    };
    assert!(
        reason.contains(r#"Space event "Visited" version "1""#),
        "{reason}"
    );

    saga.step().await.unwrap();
    saga.release().await.unwrap();
    world.run_saga().await;
    assert_eq!(world.times(other.bookid, "BookConfirmed").await, 1);
    assert_eq!(world.times(stuck.bookid, "BookConfirmed").await, 0);
    assert_eq!(
        world
            .number("select count(*) from parked where name = 'orders'")
            .await,
        2
    );

    // Its `Booked` is of today's code, not of the example's.
    let ([book, payment, _], [_, _, space]) = (TODAY.0, example::EXAMPLE.0) else {
        unreachable!()
    };
    let learnt = Box::leak(Box::new([*book, *payment, *space]));
    world.journal = world.journal.clone().with_events(Table(learnt));
    world.run_saga().await;
    assert_eq!(
        world
            .number("select count(*) from parked where name = 'orders'")
            .await,
        0
    );
    assert_eq!(world.times(stuck.bookid, "BookClosed").await, 1);
}
