//! Charges in the background: what was perhaps sent is asked for, and nothing is guessed.

use domain::payment::charge_key;
use domain::ports::{LookupOutcome, TakePayment, Taken};
use processes::payment::InlinePayment;
use processes::settings::BreakerSettings;

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::{PRICE, ms, settings, settings_with, within};

#[tokio::test]
async fn what_was_never_sent_is_sent_at_once() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (1, 0));
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookConfirmed").await, 1);
}

#[tokio::test]
async fn a_charge_whose_process_died_before_it_was_recorded_is_asked_for() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    // The customer's call captured, and its process died with the answer in its hands.
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.work(&office.charges()).await;
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (0, 1));
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(office.world.times(due.bookid, "PointsAccrued").await, 1);
}

#[tokio::test]
async fn a_charge_whose_worker_died_in_the_middle_is_asked_for() {
    let office = Office::open(Scripted::new([Say::CaptureInSilence])).await;
    let due = office.never_sent().await;
    let dying = office.charges();
    office.start(&dying).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    // It never wakes again; its claim runs out.
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (1, 1));
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(office.gateway.captures(), 1);
}

#[tokio::test]
async fn what_the_gateway_does_not_know_is_sent_again_under_its_key() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    let key = charge_key(due.bookid, 1);
    assert_eq!(
        (asked.look_ups, asked.charges),
        (vec![key.clone()], vec![key])
    );
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_recorded_with_the_number_of_its_try_and_asked_for() {
    let office = Office::open(Scripted::new([Say::Fail, Say::NotSent, Say::Decline])).await;
    let due = office.never_sent().await;
    let worker = office.charges();
    office.work(&worker).await;
    let job = office.charge_job(due.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.attempts, job.waits),
        ("open", 1, true)
    );
    assert_eq!(job.last_error.as_deref(), Some("scripted"));
    assert_eq!(
        office
            .world
            .times(due.bookid, "PaymentOutcomeUnknown")
            .await,
        1
    );
    office.work(&worker).await;
    assert_eq!(
        office.gateway.asked().look_ups.len(),
        1,
        "from now on it is asked for first"
    );
    assert_eq!(
        office
            .world
            .times(due.bookid, "PaymentOutcomeUnknown")
            .await,
        1,
        "not sent says nothing new"
    );
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "PaymentDeclined").await, 1);
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
    let attempts: Vec<i64> = sqlx::query_scalar(
        "select (payload->>'attempt')::bigint from events where event_type = 'PaymentOutcomeUnknown'",
    )
    .fetch_all(&office.world.owner)
    .await
    .unwrap();
    assert_eq!(attempts, [1]);
}

#[tokio::test]
async fn a_payment_that_is_under_way_is_left_alone() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    let unclear = [
        LookupOutcome::Pending,
        LookupOutcome::Unknown {
            why: "no answer".to_owned(),
        },
    ];
    office.gateway.say_of_look_ups(unclear);
    let worker = office.charges();
    office.work(&worker).await;
    office.work(&worker).await;
    assert_eq!(office.gateway.asked().charges.len(), 0);
    assert_eq!(
        office.world.story(due.bookid).await.len(),
        2,
        "nothing is known, nothing is said"
    );
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn a_decline_that_was_found_is_recorded() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    let declined = LookupOutcome::Declined {
        code: "no".to_owned(),
        message: "no".to_owned(),
    };
    office.gateway.say_of_look_ups([declined]);
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookRejected").await, 1);
    assert_eq!(office.gateway.asked().charges.len(), 0);
}

#[tokio::test]
async fn what_is_settled_is_left_alone() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    let payment = InlinePayment::new(
        office.world.journal.clone(),
        office.gateway.clone(),
        office.world.timeline.clone(),
        settings(),
    );
    assert!(matches!(
        payment.take(due.clone()).await,
        Taken::Approved { .. }
    ));
    // The saga has not seen it yet: the job is still there.
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.charges.len(), asked.look_ups.len()), (1, 0));
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
}

#[tokio::test]
async fn a_second_reference_under_one_key_is_a_second_charge_and_goes_back() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let due = office.abandoned().await;
    let payment = InlinePayment::new(
        office.world.journal.clone(),
        office.gateway.clone(),
        office.world.timeline.clone(),
        settings(),
    );
    let take = payment.take(due.clone());
    let story = async {
        office
            .gateway
            .until_asked(|asked| asked.charges.len() == 1)
            .await;
        // A gateway that is not idempotent after all.
        let another = LookupOutcome::Approved {
            gateway_ref: "another".to_owned(),
            captured: PRICE,
        };
        office.gateway.say_of_look_ups([another]);
        office.work(&office.charges()).await;
        office.gateway.let_go(1);
    };
    within(futures::future::join(take, story)).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(office.world.times(due.bookid, "DuplicateCharge").await, 1);
    assert_eq!(office.world.times(due.bookid, "RefundRequested").await, 1);
}

#[tokio::test]
async fn another_amount_than_was_asked_is_for_people() {
    let office = Office::open(Scripted::new([Say::ApproveTooMuch])).await;
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    let job = office.charge_job(due.bookid).await;
    assert_eq!(job.state, "attention");
    assert!(
        job.last_error
            .unwrap()
            .contains("captured 10001 where 10000 was asked")
    );
    assert!(
        office.world.payment(due.bookid).await.is_open(),
        "nothing is made up"
    );
}

#[tokio::test]
async fn new_charges_are_held_back_and_old_keys_are_not() {
    let touchy = settings_with(BreakerSettings {
        min_calls: 1,
        ..BreakerSettings::default()
    });
    let office = Office::with(touchy, Scripted::new([Say::Fail])).await;
    let worker = office.charges();
    let failed = office.never_sent().await;
    office.work(&worker).await;
    // Open: a new charge waits, and has not been tried.
    let new = office.never_sent().await;
    office.gateway.say([Say::Fail]);
    office.work(&worker).await;
    let job = office.charge_job(new.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.payload.get("tries")),
        ("open", None)
    );
    assert_eq!(
        job.last_error.as_deref(),
        Some("the payment gateway is overloaded")
    );
    // The old key was asked for and sent again meanwhile.
    let key = |bookid| charge_key(bookid, 1);
    assert_eq!(
        office.gateway.asked().charges,
        [key(failed.bookid), key(failed.bookid)]
    );
    office.world.timeline.advance(ms(5_000));
    office.work(&worker).await;
    assert_eq!(office.world.times(new.bookid, "Approved").await, 1);
    assert_eq!(office.world.times(failed.bookid, "Approved").await, 1);
}
