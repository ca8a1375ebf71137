//! Charges in the background, when it gets late: cancellations, and the ends of patience.

use std::time::Duration;

use domain::payment::{Stage, charge_key};
use domain::ports::LookupOutcome;

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::{PRICE, beside, ms, within};

/// How long after a cancellation "not found" is believed: a customer's wait, a call, and the time to settle.
const SETTLED_AFTER: Duration = ms(2_000 + 10_000 + 60_000);

#[tokio::test]
async fn a_cancelled_charge_that_was_never_sent_is_over_without_asking() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    office.cancel(due.bookid).await;
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (0, 0));
    assert_eq!(
        office.world.payment(due.bookid).await.stage,
        Stage::Cancelled
    );
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn not_found_is_not_not_charged_before_it_is_settled() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.cancel(due.bookid).await;
    let worker = office.charges();
    office.work(&worker).await;
    assert!(office.world.payment(due.bookid).await.is_open());
    let job = office.charge_job(due.bookid).await;
    assert_eq!((job.state.as_str(), job.waits), ("open", true));
    office.world.timeline.advance(SETTLED_AFTER - ms(1));
    office.work(&worker).await;
    assert!(
        office.world.payment(due.bookid).await.is_open(),
        "a moment too early"
    );
    assert_eq!(
        office.gateway.asked().charges.len(),
        0,
        "it is not wanted any more"
    );
}

#[tokio::test]
async fn not_found_twice_after_it_is_settled_is_not_charged() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.cancel(due.bookid).await;
    office.world.timeline.advance(SETTLED_AFTER);
    let worker = office.charges();
    office.start(&worker).await;
    office.world.timeline.asleep(ms(1_000)).await;
    assert!(
        office.world.payment(due.bookid).await.is_open(),
        "once is not enough"
    );
    office.world.timeline.advance(ms(1_000));
    within(worker.idle()).await;
    assert_eq!(office.gateway.asked().look_ups.len(), 2);
    assert_eq!(
        office.world.payment(due.bookid).await.stage,
        Stage::Cancelled
    );
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn a_charge_that_shows_up_at_the_second_look_goes_back() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.cancel(due.bookid).await;
    office.world.timeline.advance(SETTLED_AFTER);
    let worker = office.charges();
    office.start(&worker).await;
    office.world.timeline.asleep(ms(1_000)).await;
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.world.timeline.advance(ms(1_000));
    within(worker.idle()).await;
    office.world.run_saga().await;
    office.work(&office.refunds()).await;
    office.world.run_saga().await;
    let payment = office.world.payment(due.bookid).await;
    assert_eq!(
        (payment.captured(), payment.refunded(), payment.points()),
        (PRICE.minor, PRICE.minor, 0)
    );
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn a_cancellation_during_the_look_up_stops_the_charge() {
    let office = Office::open(Scripted::new([]).holding_look_ups()).await;
    let due = office.abandoned().await;
    let worker = office.charges();
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.look_ups.len() == 1)
        .await;
    office.cancel(due.bookid).await;
    office.gateway.let_look_ups_go(1);
    within(worker.idle()).await;
    assert_eq!(office.gateway.asked().charges.len(), 0);
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_an_unknown_outcome() {
    let office = Office::open(Scripted::new([Say::CaptureInSilence])).await;
    let due = office.never_sent().await;
    let worker = office.charges();
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    let idle = beside({
        let worker = worker.clone();
        async move { worker.idle().await }
    });
    office.world.timeline.asleep(ms(10_000)).await;
    office.world.timeline.advance(ms(10_000));
    within(idle).await.unwrap();
    assert_eq!(
        office
            .world
            .times(due.bookid, "PaymentOutcomeUnknown")
            .await,
        1
    );
    let job = office.charge_job(due.bookid).await;
    assert_eq!(job.last_error.as_deref(), Some("no answer in time"));
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_key_that_is_too_old_is_only_asked_for() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.world.timeline.advance(HOUR * 20);
    office.work(&office.charges()).await;
    assert_eq!(office.gateway.asked().charges.len(), 0);
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.work(&office.charges()).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn a_charge_whose_key_may_be_forgotten_is_not_taken_for_none() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.cancel(due.bookid).await;
    let worker = office.charges();
    office.world.timeline.advance(HOUR * 20);
    office.work(&worker).await;
    assert!(office.world.payment(due.bookid).await.is_open());
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
    office.world.timeline.advance(HOUR * 4);
    office.work(&worker).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
    assert!(office.world.payment(due.bookid).await.is_open());
}

#[tokio::test]
async fn a_key_that_is_not_too_old_is_sent_again() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.world.timeline.advance(HOUR * 20 - ms(1));
    office.work(&office.charges()).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn after_a_day_people_look_and_nothing_is_guessed() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    let unclear = || LookupOutcome::Unknown {
        why: "no answer".to_owned(),
    };
    office.gateway.say_of_look_ups([unclear(), unclear()]);
    office.world.timeline.advance(HOUR * 24 - ms(1));
    office.work(&office.charges()).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
    office.world.timeline.advance(ms(1));
    office.work(&office.charges()).await;
    let job = office.charge_job(due.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.last_error.as_deref()),
        ("attention", Some("no answer"))
    );
    assert!(office.world.payment(due.bookid).await.is_open());
}

#[tokio::test]
async fn what_was_never_sent_waits_for_a_closed_breaker_as_long_as_it_takes() {
    use crate::world::settings_with;
    use processes::settings::BreakerSettings;
    let touchy = settings_with(BreakerSettings {
        min_calls: 1,
        open_ms: 48 * 3_600_000,
        ..BreakerSettings::default()
    });
    let office = Office::with(touchy, Scripted::new([Say::Fail])).await;
    let worker = office.charges();
    office.never_sent().await;
    office.work(&worker).await;
    let due = office.never_sent().await;
    office.world.timeline.advance(HOUR * 25);
    office.work(&worker).await;
    let job = office.charge_job(due.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.payload.get("tries")),
        ("open", None),
        "it spent nothing"
    );
}

#[tokio::test]
async fn what_was_never_sent_is_charged_however_late() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    office.world.timeline.advance(HOUR * 25);
    office.work(&office.charges()).await;
    assert_eq!(office.gateway.asked().charges.len(), 1);
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}
