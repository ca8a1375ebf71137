//! What a customer waits for, and what goes on without them.

use std::sync::Arc;

use domain::payment;
use domain::ports::{PaymentDue, PaymentGateway, PendingReason, StubLedger, TakePayment, Taken};
use domain::{BookId, Command};
use journal::runtime::SystemRandom;
use processes::gateway::stub::StubGateway;
use processes::payment::InlinePayment;

use crate::scripted::{Say, Scripted};
use crate::world::{PRICE, World, beside, ms, settings, within};

fn payment(world: &World, gateway: &Arc<Scripted>) -> Arc<InlinePayment> {
    over(world, gateway.clone())
}

fn over(world: &World, gateway: Arc<dyn PaymentGateway>) -> Arc<InlinePayment> {
    let journal = world.journal.clone();
    Arc::new(InlinePayment::new(
        journal,
        gateway,
        world.timeline.clone(),
        settings(),
    ))
}

fn pending(reason: PendingReason, sent: bool) -> Taken {
    Taken::Pending { reason, sent }
}

/// A take in a task of its own.
fn taking(payment: &Arc<InlinePayment>, due: &PaymentDue) -> tokio::task::JoinHandle<Taken> {
    let (payment, due) = (payment.clone(), due.clone());
    beside(async move { payment.take(due).await })
}

#[tokio::test]
async fn an_approval_is_recorded_and_answered_with_its_position() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    let position = world.last_position(due.bookid, "PointsAccrued").await;
    assert_eq!(taken, Taken::Approved { position });
    assert_eq!(
        gateway.asked().charges,
        [payment::charge_key(due.bookid, 1)]
    );
    assert_eq!(world.payment(due.bookid).await.points(), PRICE.minor / 100);
}

#[tokio::test]
async fn what_is_known_is_answered_without_the_gateway() {
    for say in [Say::Approve, Say::Decline] {
        let world = World::new().await;
        let gateway = Arc::new(Scripted::new([say]));
        let due = world.place("numberone").await;
        let first = payment(&world, &gateway).take(due.clone()).await;
        assert!(!matches!(first, Taken::Pending { .. }), "{first:?}");
        // In another process, too.
        for _ in 0..2 {
            assert_eq!(payment(&world, &gateway).take(due.clone()).await, first);
        }
        assert_eq!(gateway.asked().charges.len(), 1);
        assert_eq!(
            world.story(due.bookid).await.len(),
            if matches!(say, Say::Approve) { 4 } else { 3 }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_takes_at_once_charge_once() {
    let world = World::new().await;
    let stub = stub(&world);
    let due = world.place("numberone").await;
    let payments = [over(&world, stub.clone()), over(&world, stub.clone())];
    let takes: Vec<_> = (0..20).map(|n| taking(&payments[n % 2], &due)).collect();
    for take in takes {
        let taken = within(take).await.unwrap();
        assert!(matches!(taken, Taken::Approved { .. }), "{taken:?}");
    }
    assert_eq!(stub.charges().await.unwrap().len(), 1);
    assert_eq!(world.times(due.bookid, "Approved").await, 1);
    assert_eq!(world.times(due.bookid, "DuplicateCharge").await, 0);
}

fn stub(world: &World) -> Arc<StubGateway> {
    let pool = world.journal.pool().clone();
    Arc::new(StubGateway::new(
        pool,
        world.timeline.clone(),
        Arc::new(SystemRandom),
    ))
}

#[tokio::test]
async fn a_slow_charge_lets_the_customer_go_and_is_approved_late_and_once() {
    let world = World::new().await;
    let stub = stub(&world);
    let due = world.place("braker").await;
    let take = taking(&over(&world, stub.clone()), &due);
    world.timeline.asleep(ms(2_500)).await;
    // The call has been sent: from here on it is a failure after 2 s.
    world.timeline.asleep(ms(10_000)).await;
    world.timeline.advance(ms(2_000));
    assert_eq!(
        within(take).await.unwrap(),
        pending(PendingReason::Timeout, true)
    );
    assert_eq!(world.times(due.bookid, "Approved").await, 0);
    world.timeline.advance(ms(500));
    world.until(due.bookid, "PointsAccrued").await;
    assert_eq!(world.times(due.bookid, "Approved").await, 1);
    assert_eq!(stub.charges().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_customer_who_goes_away_changes_nothing() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([Say::Hold]));
    let due = world.place("numberone").await;
    let take = taking(&payment(&world, &gateway), &due);
    gateway.until_asked(|asked| asked.charges.len() == 1).await;
    take.abort();
    assert!(take.await.unwrap_err().is_cancelled());
    gateway.let_go(1);
    world.until(due.bookid, "Approved").await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_an_unknown_outcome() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([Say::CaptureInSilence]));
    let due = world.place("numberone").await;
    let payment = payment(&world, &gateway);
    let take = taking(&payment, &due);
    world.timeline.asleep(ms(10_000)).await;
    gateway.until_asked(|asked| asked.charges.len() == 1).await;
    world.timeline.advance(ms(2_000));
    assert_eq!(
        within(take).await.unwrap(),
        pending(PendingReason::Timeout, true)
    );
    assert_eq!(world.story(due.bookid).await.len(), 2, "it is waited for");
    world.timeline.advance(ms(8_000));
    world.until(due.bookid, "PaymentOutcomeUnknown").await;
    // It is the background's now.
    assert_eq!(
        payment.take(due.clone()).await,
        pending(PendingReason::Timeout, true)
    );
    assert_eq!(gateway.asked().charges.len(), 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_recorded_and_pending() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([Say::Fail]));
    let due = world.place("numberone").await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Unreachable, true));
    assert_eq!(world.times(due.bookid, "PaymentOutcomeUnknown").await, 1);
}

#[tokio::test]
async fn what_was_not_sent_is_pending_and_leaves_no_event() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([Say::NotSent]));
    let due = world.place("numberone").await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Unreachable, false));
    assert_eq!(world.story(due.bookid).await.len(), 2);
}

#[tokio::test]
async fn a_payment_that_is_no_longer_wanted_is_not_charged() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    let void = payment::Command::Cancel {
        refund: PRICE,
        percent: 100,
        reason: "a test".to_owned(),
    };
    world
        .execute(vec![Command::Payment(due.bookid, void)])
        .await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    assert_eq!(gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn a_cancelled_booking_is_not_charged_before_the_saga_has_seen_it_either() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    world.cancel(due.bookid).await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    assert_eq!(gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn a_deferred_charge_is_the_background_s() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    // "Nothing was sent" must stay true for whoever works on it.
    world.defer(due.bookid, false).await;
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    assert_eq!(gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn an_old_charge_is_the_background_s() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    world.timeline.advance(ms(12_000));
    let taken = payment(&world, &gateway).take(due.clone()).await;
    assert_eq!(taken, pending(PendingReason::Timeout, true));
    assert_eq!(gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn a_payment_that_nobody_asked_for_is_not_charged() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let mut due = world.place("numberone").await;
    due.bookid = BookId(999);
    let taken = payment(&world, &gateway).take(due).await;
    assert_eq!(taken, pending(PendingReason::NotRecorded, false));
    assert_eq!(gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_when_the_journal_cannot_be_read() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    world.journal.pool().close().await;
    let taken = payment(&world, &gateway).take(due).await;
    assert_eq!(taken, pending(PendingReason::NotRecorded, true));
    assert_eq!(gateway.asked().charges.len(), 0);
}

/// The database is there, but takes no events.
const STORE_AWAY: &str = "
    create function away() returns trigger language plpgsql as $$
    begin raise exception 'away' using errcode = '57P03'; end $$;
    create trigger away before insert on events for each statement execute function away();";

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_tried_again_and_then_pending() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    world.sql(STORE_AWAY).await;
    let take = taking(&payment(&world, &gateway), &due);
    for pause in [50, 100, 200, 400, 800] {
        world.timeline.asleep(ms(pause)).await;
        world.timeline.advance(ms(pause));
    }
    assert_eq!(
        within(take).await.unwrap(),
        pending(PendingReason::NotRecorded, true)
    );
    assert_eq!((gateway.asked().charges.len(), gateway.captures()), (1, 1));
}

#[tokio::test]
async fn an_outcome_is_recorded_when_the_store_comes_back() {
    let world = World::new().await;
    let gateway = Arc::new(Scripted::new([]));
    let due = world.place("numberone").await;
    world.sql(STORE_AWAY).await;
    let take = taking(&payment(&world, &gateway), &due);
    world.timeline.asleep(ms(50)).await;
    world.sql("drop trigger away on events").await;
    world.timeline.advance(ms(50));
    let taken = within(take).await.unwrap();
    assert!(matches!(taken, Taken::Approved { .. }), "{taken:?}");
    assert_eq!(world.times(due.bookid, "Approved").await, 1);
}
