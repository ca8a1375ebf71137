//! Refunds in the background: one key however often it is tried, a budget, and then people.

use std::time::Duration;

use domain::payment::{Stage, refund_key};
use domain::ports::{PaymentDue, RefundOutcome};
use journal::recover::{Decided, Decision};
use processes::jobs::people::{self, Retried};

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::{PRICE, beside, ms, within};

fn unknown() -> RefundOutcome {
    RefundOutcome::Unknown {
        why: "no answer".to_owned(),
    }
}

/// A booking that was paid and then cancelled; its refund is to be made.
async fn cancelled(office: &Office) -> PaymentDue {
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    office.cancel(due.bookid).await;
    assert_eq!(
        office.world.payment(due.bookid).await.stage,
        Stage::Refunding
    );
    due
}

#[tokio::test]
async fn a_refund_is_tried_again_under_its_key() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.gateway.say_of_refunds([unknown(), unknown()]);
    let worker = office.refunds();
    for failed in 1..=2 {
        office.work(&worker).await;
        assert_eq!(office.world.times(due.bookid, "RefundFailed").await, failed);
        let job = office.refund_job(due.bookid).await;
        assert_eq!((job.state.as_str(), job.waits), ("open", true));
    }
    office.work(&worker).await;
    let key = refund_key(due.bookid, 1);
    assert_eq!(
        office.gateway.asked().refunds,
        [key.clone(), key.clone(), key]
    );
    assert_eq!(office.gateway.refunds(), 1);
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
    let payment = office.world.payment(due.bookid).await;
    assert_eq!((payment.refunded(), payment.points()), (PRICE.minor, 0));
    office.work(&worker).await;
    assert_eq!(office.gateway.asked().refunds.len(), 3, "done is done");
}

#[tokio::test]
async fn after_eight_tries_people_look() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.gateway.say_of_refunds((0..20).map(|_| unknown()));
    let worker = office.refunds();
    for _ in 0..10 {
        office.work(&worker).await;
    }
    assert_eq!(office.gateway.asked().refunds.len(), 8);
    assert_eq!(office.world.times(due.bookid, "RefundFailed").await, 8);
    let job = office.refund_job(due.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.last_error.as_deref()),
        ("attention", Some("no answer"))
    );
}

#[tokio::test]
async fn a_refund_that_is_refused_is_for_people_at_once() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.gateway.say_of_refunds([RefundOutcome::Rejected {
        code: "too-old".to_owned(),
    }]);
    office.work(&office.refunds()).await;
    assert_eq!(office.world.times(due.bookid, "RefundFailed").await, 1);
    let job = office.refund_job(due.bookid).await;
    assert_eq!(job.state, "attention");
    assert_eq!(
        job.last_error.as_deref(),
        Some("the gateway refused: too-old")
    );
}

#[tokio::test]
async fn a_refund_whose_worker_died_is_made_once() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    let worker = office.refunds();
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "Cancelled").await, 1);
    // As if it had died between the record and its finish.
    office
        .world
        .sql("update jobs set state = 'open', finished_at = null where kind = 'refund'")
        .await;
    office.work(&office.refunds()).await;
    assert_eq!(office.gateway.asked().refunds.len(), 1);
    assert_eq!(office.world.times(due.bookid, "Cancelled").await, 1);
    assert_eq!(office.refund_job(due.bookid).await.state, "done");
}

#[tokio::test]
async fn a_surplus_goes_back_too() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let due = office.never_sent().await;
    // A worker sends the charge and is held up. The booking is cancelled, the charge is found unknown, twice,
    // long after, and given up; and then it is captured after all.
    let slow = office.charges();
    office.start(&slow).await;
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 1)
        .await;
    office.cancel(due.bookid).await;
    office
        .world
        .sql("update jobs set claimed_until = now() - interval '1 h'")
        .await;
    let patient = office.charges();
    office.world.hurry().await;
    // The held-up worker's own patience must not end first: its call is let go before time moves that far.
    office.world.timeline.asleep(ms(10_000)).await;
    patient.step().await.unwrap();
    within(patient.idle()).await;
    assert!(office.world.payment(due.bookid).await.is_open());
    let not_charged = domain::payment::Command::RecordNotCharged { charge_no: 1 };
    office
        .world
        .execute(vec![domain::Command::Payment(due.bookid, not_charged)])
        .await;
    office.gateway.let_go(1);
    within(slow.idle()).await;
    assert_eq!(office.world.times(due.bookid, "LateApproval").await, 1);
    office.world.run_saga().await;
    office.work(&office.refunds()).await;
    let payment = office.world.payment(due.bookid).await;
    assert_eq!(
        (payment.captured(), payment.refunded()),
        (PRICE.minor, PRICE.minor)
    );
}

#[tokio::test]
async fn a_refund_that_is_not_answered_counts_as_a_try() {
    let office = Office::open(Scripted::new([]).silent_at_refunds()).await;
    let due = cancelled(&office).await;
    let worker = office.refunds();
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.refunds.len() == 1)
        .await;
    let idle = beside({
        let worker = worker.clone();
        async move { worker.idle().await }
    });
    office.world.timeline.asleep(ms(10_000)).await;
    office.world.timeline.advance(ms(10_000));
    within(idle).await.unwrap();
    assert_eq!(office.world.times(due.bookid, "RefundFailed").await, 1);
    assert_eq!(office.refund_job(due.bookid).await.state, "open");
}

/// Longer than a gateway surely remembers a key.
const RETENTION: Duration = Duration::from_hours(20);

/// A refund that was perhaps made, and then nobody worked for so long.
async fn perhaps_made(later: Duration) -> (Office, PaymentDue) {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.gateway.say_of_refunds([unknown()]);
    office.work(&office.refunds()).await;
    office.world.timeline.advance(later);
    office.work(&office.refunds()).await;
    (office, due)
}

#[tokio::test]
async fn a_refund_whose_key_may_be_forgotten_is_not_sent_again() {
    let (office, due) = perhaps_made(RETENTION).await;
    assert_eq!(office.gateway.asked().refunds.len(), 1);
    let job = office.refund_job(due.bookid).await;
    assert_eq!(job.state, "attention");
    let error = job.last_error.unwrap();
    assert!(error.contains("may have forgotten"), "{error}");
    let (office, _) = perhaps_made(RETENTION - ms(1)).await;
    assert_eq!(office.gateway.asked().refunds.len(), 2, "not too old");
}

#[tokio::test]
async fn a_refund_that_was_never_sent_is_sent_however_late() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.world.timeline.advance(RETENTION);
    office.gateway.say_of_refunds([unknown()]);
    let worker = office.refunds();
    office.work(&worker).await;
    // Its key counts from when it was first sent.
    office.world.timeline.advance(RETENTION - ms(1));
    office.work(&worker).await;
    assert_eq!(office.gateway.refunds(), 1);
    assert_eq!(office.refund_job(due.bookid).await.state, "done");
}

async fn retry(office: &Office, not_refunded: bool) -> Retried {
    let id = "select id from jobs where kind = 'refund'";
    let id = office.world.number(id).await;
    let decision = Decision {
        by: "ann",
        reason: "seen at the gateway",
    };
    let retried = people::retry(&office.world.journal, id, &decision, not_refunded).await;
    retried.unwrap()
}

#[tokio::test]
async fn an_old_refund_is_tried_once_more_when_somebody_says_that_it_was_not_made() {
    let (office, due) = perhaps_made(RETENTION).await;
    let refused = retry(&office, false).await;
    assert!(
        matches!(refused, Retried::MayBeASecondRefund(_)),
        "{refused:?}"
    );
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
    assert_eq!(retry(&office, true).await, Retried::Decided(Decided::Done));
    office.gateway.say_of_refunds([unknown()]);
    office.work(&office.refunds()).await;
    assert_eq!(office.gateway.asked().refunds.len(), 2);
    // What was said holds for as long as a key does.
    office.world.timeline.advance(RETENTION);
    office.work(&office.refunds()).await;
    assert_eq!(office.gateway.asked().refunds.len(), 2);
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
    let decisions =
        "select count(*) from decisions where action = 'job.retry' and decided_by = 'ann'
                     and subject -> 'said' ? 'looked_at'";
    assert_eq!(office.world.number(decisions).await, 1);
}

#[tokio::test]
async fn a_young_refund_is_tried_once_more_without_a_word_and_grows_old() {
    let office = Office::open(Scripted::new([])).await;
    let due = cancelled(&office).await;
    office.gateway.say_of_refunds((0..8).map(|_| unknown()));
    for _ in 0..8 {
        office.work(&office.refunds()).await;
    }
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
    assert_eq!(retry(&office, false).await, Retried::Decided(Decided::Done));
    // Nobody works until the key is too old: that it was asked for says nothing of the gateway.
    office.world.timeline.advance(RETENTION);
    office.work(&office.refunds()).await;
    assert_eq!(office.gateway.asked().refunds.len(), 8);
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
}
