//! The saga's follower: once in effect, whatever crashes, and nobody waits for a booking that cannot go on.

use domain::order::CHARGE_JOB;
use domain::payment::{self, charge_key};
use domain::{BookId, Command, book, space};
use journal::Recorded;
use journal::feed::{Feed, Item};
use journal::follow::{Follower, Handler, HandlerError};
use processes::order::{self, OrderSaga};

use crate::world::{PRICE, World, ms, settings};

/// Everything in the journal.
async fn read(world: &World) -> Vec<Recorded> {
    let page = Feed::new(world.journal.clone(), "a test")
        .read(0, 1_000)
        .await
        .unwrap();
    let events = |item: Item| item.into_events().unwrap();
    page.items.into_iter().flat_map(events).collect()
}

fn saga(world: &World) -> OrderSaga {
    OrderSaga::new(world.journal.clone(), settings())
}

fn follower(world: &World) -> Follower<OrderSaga> {
    order::follower(world.journal.clone(), settings())
}

async fn approve(world: &World, bookid: BookId) {
    let approval = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: "a reference".to_owned(),
        captured: PRICE,
    };
    world
        .execute(vec![Command::Payment(bookid, approval)])
        .await;
}

/// Writes a plan as a follower would, without its checkpoint.
async fn apply(world: &World, saga: &OrderSaga, events: &[Recorded]) -> Result<(), HandlerError> {
    let plan = saga.plan(events).await?;
    let mut session = journal::Session::open(world.journal.pool()).await?;
    let mut tx = session.begin().await?;
    saga.apply(&mut tx, events, plan).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_crash_before_the_checkpoint_repeats_nothing() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    approve(&world, due.bookid).await;
    // The commands go out, and the process dies before it writes its checkpoint; three times.
    for _ in 0..3 {
        let events = read(&world).await;
        drop(saga(&world).plan(&events).await.unwrap());
    }
    let mut another = follower(&world);
    another.step().await.unwrap();
    another.release().await.unwrap();
    world.run_saga().await;
    let story = world.story(due.bookid).await;
    let expected = [
        "Booked",
        "PaymentRequested",
        "Approved",
        "PointsAccrued",
        "Registered",
        "BookConfirmed",
    ];
    assert_eq!(story, expected);
    assert_eq!(world.number("select count(*) from commands").await, 4);
}

#[tokio::test]
async fn follow_up_commands_say_what_caused_them() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    approve(&world, due.bookid).await;
    world.run_saga().await;
    let events = read(&world).await;
    let find = |name: &str| {
        events
            .iter()
            .find(|event| event.event_type == name)
            .unwrap()
    };
    let (approved, registered) = (find("Approved"), find("Registered"));
    assert_eq!(registered.metadata.causation_id, Some(approved.event_id));
    assert_eq!(
        registered.metadata.correlation_id,
        approved.metadata.correlation_id
    );
    assert_eq!(registered.metadata.actor_id.as_deref(), Some("order"));
}

#[tokio::test]
async fn a_second_fold_changes_nothing() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    let saga = saga(&world);
    apply(&world, &saga, &read(&world).await).await.unwrap();
    approve(&world, due.bookid).await;
    apply(&world, &saga, &read(&world).await).await.unwrap();
    let row = "select state || jsonb_build_object('position', position) from orders";
    let before: serde_json::Value = sqlx::query_scalar(row)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(world.number("select count(*) from jobs").await, 0);
    // The first events once more: without their outcome they would ask for a job.
    apply(&world, &saga, &read(&world).await[..2])
        .await
        .unwrap();
    let after: serde_json::Value = sqlx::query_scalar(row)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(world.number("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn a_charge_with_its_outcome_in_the_batch_gets_no_job() {
    let world = World::new().await;
    let paid = world.place("numberone").await;
    approve(&world, paid.bookid).await;
    let open = world.place("numberone").await;
    // Nothing but the insert that must not happen would move the sequence.
    world.run_saga().await;
    assert!(world.job(CHARGE_JOB, paid.bookid).await.is_none());
    assert_eq!(world.number("select max(id) from jobs").await, 1);
    let job = world.job(CHARGE_JOB, open.bookid).await.unwrap();
    assert_eq!(job.payload["sent"], "maybe");
    assert_eq!(job.payload["number"], "1");
    assert_eq!(job.payload["correlation_id"], "a test");
    let call_ends = read(&world).await[0]
        .metadata
        .occurred_at
        .checked_add(ms(12_000))
        .unwrap();
    assert!(
        job.due_at > call_ends,
        "not before the customer's own call has ended"
    );
}

#[tokio::test]
async fn an_outcome_takes_the_job_away() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    world.run_saga().await;
    assert_eq!(
        world
            .journal
            .open_jobs_ending(CHARGE_JOB, "")
            .await
            .unwrap(),
        1
    );
    approve(&world, due.bookid).await;
    world.run_saga().await;
    assert!(world.job(CHARGE_JOB, due.bookid).await.is_none());
}

#[tokio::test]
async fn a_deferral_that_sent_nothing_brings_the_job_forward() {
    for in_one_batch in [true, false] {
        let world = World::new().await;
        let due = world.place("numberone").await;
        if !in_one_batch {
            world.run_saga().await;
        }
        world.defer(due.bookid, false).await;
        world.run_saga().await;
        let job = world.job(CHARGE_JOB, due.bookid).await.unwrap();
        assert_eq!(job.payload["sent"], "no");
        assert!(!job.waits);
        let keys: Vec<String> = sqlx::query_scalar("select key from jobs")
            .fetch_all(&world.owner)
            .await
            .unwrap();
        assert_eq!(keys, [charge_key(due.bookid, 1)]);
    }
}

#[tokio::test]
async fn a_deferral_that_may_have_sent_changes_no_job() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    world.defer(due.bookid, true).await;
    world.run_saga().await;
    let job = world.job(CHARGE_JOB, due.bookid).await.unwrap();
    assert_eq!(job.payload["sent"], "maybe");
    assert!(job.waits);
}

#[tokio::test]
async fn a_hand_over_that_beats_the_cancellation_parks_nothing() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    approve(&world, due.bookid).await;
    world.run_saga().await;
    // As it was before cancellations stopped the staff: journals hold such stories.
    let cancel = book::Command::Cancel {
        reason: None,
        at: world.journal.clock().now(),
    };
    world.execute(vec![Command::Book(due.bookid, cancel)]).await;
    world.run_saga().await;
    // Staff hand the space over between the refund and the saga's next look.
    let refunded = payment::Command::RecordRefund {
        refund_no: 1,
        refund_ref: "back".to_owned(),
    };
    world
        .execute(vec![Command::Payment(due.bookid, refunded)])
        .await;
    let by = || "staff".to_owned();
    let ready = space::Command::CompletePreparation { by: by() };
    world.execute(vec![Command::Space(due.bookid, ready)]).await;
    let over = space::Command::HandOver {
        method: space::Method::Staff,
        by: by(),
    };
    world.execute(vec![Command::Space(due.bookid, over)]).await;
    world.run_saga().await;
    assert_eq!(world.number("select count(*) from parked").await, 0);
    assert_eq!(world.times(due.bookid, "BookClosed").await, 1);
    assert_eq!(world.times(due.bookid, "Registercancelled").await, 0);
}

#[tokio::test]
async fn a_booking_that_cannot_go_on_is_parked_alone() {
    let world = World::new().await;
    // A payment without a booking: its rejection finds no stream.
    let stray = BookId(1_000);
    let request = payment::Command::Request {
        bookid: stray,
        userid: None,
        spacename: "numberone".to_owned(),
        price: PRICE,
        points: domain::payment::Points::default(),
    };
    world.execute(vec![Command::Payment(stray, request)]).await;
    let decline = payment::Command::RecordDecline {
        charge_no: 1,
        code: "no".to_owned(),
        message: "no".to_owned(),
    };
    world.execute(vec![Command::Payment(stray, decline)]).await;
    let due = world.place("numberone").await;
    approve(&world, due.bookid).await;
    world.run_saga().await;
    assert_eq!(world.times(due.bookid, "BookConfirmed").await, 1);
    let parked: Vec<(String, Option<String>)> =
        sqlx::query_as("select event_type, reason from parked order by position")
            .fetch_all(&world.owner)
            .await
            .unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].0, "PaymentDeclined");
    assert!(
        parked[0]
            .1
            .as_ref()
            .unwrap()
            .contains("there is no such booking")
    );
}

#[tokio::test]
async fn an_order_that_cannot_be_read_parks_its_booking_alone() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    let other = world.place("numberone").await;
    world.run_saga().await;
    let broken = due.bookid;
    world
        .sql(&format!(
            "update orders set state = '{{\"stage\":\"?\"}}' where bookid = {broken}"
        ))
        .await;
    approve(&world, due.bookid).await;
    approve(&world, other.bookid).await;
    world.run_saga().await;
    assert_eq!(world.times(other.bookid, "BookConfirmed").await, 1);
    assert_eq!(world.times(due.bookid, "Registered").await, 0);
    assert_eq!(world.number("select count(*) from parked").await, 2);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_parks_its_booking_alone() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    let other = world.place("numberone").await;
    approve(&world, due.bookid).await;
    approve(&world, other.bookid).await;
    // Written by a later version; the saga's next command for this booking has to read it.
    let bookid = due.bookid;
    world
        .sql(&format!(
            "insert into events (
                 aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata
             ) values ('Space', '{bookid}', 1, 'Tomorrow', '9', '{{\"type\":\"Tomorrow\"}}', '{{}}')"
        ))
        .await;
    world.run_saga().await;
    assert_eq!(world.times(other.bookid, "BookConfirmed").await, 1);
    let parked: Vec<String> = sqlx::query_scalar("select event_type from parked order by position")
        .fetch_all(&world.owner)
        .await
        .unwrap();
    assert_eq!(parked, ["Approved", "PointsAccrued", "Tomorrow"]);
}

#[tokio::test]
async fn a_cancelled_booking_waits_for_its_outcome() {
    let world = World::new().await;
    let due = world.place("numberone").await;
    world.cancel(due.bookid).await;
    world.run_saga().await;
    approve(&world, due.bookid).await;
    world.run_saga().await;
    assert_eq!(
        world.times(due.bookid, "Registered").await,
        0,
        "no space for who cancelled"
    );
    let refund = world.payment(due.bookid).await;
    assert!(
        refund
            .refund(1)
            .is_some_and(|refund| refund.amount == PRICE)
    );
}
