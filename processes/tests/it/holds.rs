//! Holds: they end where the charge is sent, and never under a charge that may have arrived.

use std::time::Duration;

use domain::BookId;
use domain::book::Stage;
use domain::payment::charge_key;
use domain::ports::{LookupOutcome, PaymentDue};

use crate::scripted::{Say, Scripted};
use crate::slots::{AHEAD, book, minutes, stage};
use crate::workers::Office;
use crate::world::{PRICE, ms, within};

/// How long after a hold "not found" is believed: a customer's wait, a call, and the time to settle.
const SETTLED_AFTER: Duration = ms(2_000 + 10_000 + 60_000);

/// A booking that is held; its customer's own call may have `sent` the charge or not.
async fn deferred(office: &Office, sent: bool) -> PaymentDue {
    let (due, _) = book(office).await;
    office.world.defer(due.bookid, sent).await;
    office.world.run_saga().await;
    due
}

async fn expired(office: &Office, bookid: BookId) -> bool {
    office.world.times(bookid, "BookExpired").await > 0
}

#[tokio::test]
async fn a_hold_that_ends_while_nothing_was_sent_lets_the_booking_go() {
    let office = Office::open(Scripted::new([])).await;
    let (due, _) = book(&office).await;
    let bookid = due.bookid;
    office.world.defer(bookid, false).await;
    office.world.run_saga().await;
    office.world.timeline.advance(minutes(10));
    for _ in 0..2 {
        office.work(&office.charges()).await;
        office.world.run_saga().await;
    }
    assert_eq!(stage(&office, bookid).await, Stage::Expired);
    assert_eq!(
        office.world.story(bookid).await,
        [
            "Booked",
            "PaymentRequested",
            "PaymentDeferred",
            "BookExpired",
            "VoidRequested",
            "PaymentDeclined",
            "Cancelled"
        ]
    );
    assert_eq!(office.charge_job(bookid).await.state, "done");
    assert!(office.gateway.asked().charges.is_empty());
}

#[tokio::test]
async fn a_hold_does_not_end_before_its_time() {
    let office = Office::open(Scripted::new([Say::Approve])).await;
    let (due, _) = book(&office).await;
    office.world.defer(due.bookid, false).await;
    office.world.run_saga().await;
    office.world.timeline.advance(minutes(9));
    office.work(&office.charges()).await;
    assert_eq!(office.world.times(due.bookid, "BookExpired").await, 0);
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn nobody_is_charged_for_a_time_that_is_over() {
    let office = Office::open(Scripted::new([Say::NotSent])).await;
    let due = deferred(&office, false).await;
    let worker = office.charges();
    office.work(&worker).await;
    office
        .world
        .timeline
        .advance(minutes(u32::try_from(AHEAD).unwrap() + 120));
    for _ in 0..2 {
        office.work(&worker).await;
        office.world.run_saga().await;
    }
    // The only try was certainly not sent: nothing to ask for, and the booking goes at once.
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (1, 0));
    assert_eq!(stage(&office, due.bookid).await, Stage::Expired);
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
}

#[tokio::test]
async fn what_was_certainly_not_sent_goes_out_again_and_waits_no_longer_than_the_hold() {
    let office = Office::open(Scripted::new([Say::NotSent, Say::NotSent])).await;
    let due = deferred(&office, false).await;
    let worker = office.charges();
    office.work(&worker).await;
    office.world.timeline.advance(minutes(10) - ms(100));
    office.work(&worker).await;
    let wait = office.charge_job(due.bookid).await.due_at;
    assert!(wait <= office.world.journal.clock().now() + ms(100));
    office.work(&worker).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (3, 0));
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn a_try_that_was_not_sent_says_nothing_of_those_before() {
    let office = Office::open(Scripted::new([Say::CaptureInSilence, Say::NotSent])).await;
    let due = deferred(&office, false).await;
    let dying = office.charges();
    office.start(&dying).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    // The one that takes over does not find it at first.
    office.gateway.say_of_look_ups([LookupOutcome::NotFound]);
    office.work(&office.charges()).await;
    assert_eq!(office.gateway.asked().charges.len(), 2);
    office.work(&office.charges()).await;
    assert_eq!(office.gateway.asked().look_ups.len(), 2, "it is asked for");
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn a_hold_never_ends_while_nobody_says_what_became_of_the_charge() {
    let office = Office::open(Scripted::new([])).await;
    let due = deferred(&office, true).await;
    office.world.timeline.advance(minutes(60));
    let unclear = LookupOutcome::Unknown {
        why: "no answer".to_owned(),
    };
    office
        .gateway
        .say_of_look_ups([LookupOutcome::Pending, unclear]);
    let worker = office.charges();
    for _ in 0..2 {
        office.work(&worker).await;
    }
    assert!(!expired(&office, due.bookid).await);
    // It had arrived: late, and the slot is still there.
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.work(&worker).await;
    office.world.run_saga().await;
    assert_eq!(stage(&office, due.bookid).await, Stage::Confirmed);
    assert!(office.gateway.asked().charges.is_empty());
}

#[tokio::test]
async fn what_the_gateway_does_not_know_is_not_sent_after_the_hold() {
    let office = Office::open(Scripted::new([])).await;
    let due = deferred(&office, true).await;
    let worker = office.charges();
    office.world.timeline.advance(minutes(10));
    office.work(&worker).await;
    office.world.timeline.advance(SETTLED_AFTER - ms(1));
    office.work(&worker).await;
    assert!(!expired(&office, due.bookid).await, "a moment too early");
    office.world.timeline.advance(ms(1));
    office.start(&worker).await;
    office.world.timeline.asleep(ms(1_000)).await;
    assert!(!expired(&office, due.bookid).await, "once is not enough");
    office.world.timeline.advance(ms(1_000));
    within(worker.idle()).await;
    assert_eq!(stage(&office, due.bookid).await, Stage::Expired);
    assert!(office.gateway.asked().charges.is_empty());
}

#[tokio::test]
async fn a_hold_that_ends_during_the_look_up_stops_the_charge() {
    let office = Office::open(Scripted::new([]).holding_look_ups()).await;
    let due = deferred(&office, true).await;
    let worker = office.charges();
    office.world.timeline.advance(minutes(10) - ms(1));
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.look_ups.len() == 1)
        .await;
    office.world.timeline.advance(ms(1));
    office.gateway.let_look_ups_go(1);
    within(worker.idle()).await;
    assert!(office.gateway.asked().charges.is_empty());
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
}

#[tokio::test]
async fn a_worker_that_lost_its_claim_expires_nothing() {
    let office = Office::open(Scripted::new([])).await;
    let due = deferred(&office, false).await;
    // Another one takes the job over as soon as it is claimed.
    office
        .world
        .sql(
            "create function taken_over() returns trigger language plpgsql as $$
             begin update jobs set fence = fence + 1 where id = new.id; return null; end $$;
             create trigger taken_over after update of owner on jobs
             for each row when (new.owner is not null) execute function taken_over();",
        )
        .await;
    office.world.timeline.advance(minutes(10));
    office.work(&office.charges()).await;
    assert!(!expired(&office, due.bookid).await);
    office.world.sql("drop trigger taken_over on jobs").await;
    office.work(&office.charges()).await;
    assert!(expired(&office, due.bookid).await);
}

#[tokio::test]
async fn who_takes_over_from_an_expiry_sends_nothing_whatever_its_clock_says() {
    for sent in [false, true] {
        let office = Office::open(Scripted::new([])).await;
        let due = deferred(&office, sent).await;
        // A worker whose clock is ahead noted it and died.
        office
            .world
            .sql(r#"update jobs set payload = payload || '{"let_go": "yes"}'"#)
            .await;
        office.work(&office.charges()).await;
        assert!(office.gateway.asked().charges.is_empty());
        assert_eq!(expired(&office, due.bookid).await, !sent);
    }
}
