//! What people say of charges and refunds that were left to them: recorded in their name, and the order goes on.

use std::time::Duration;

use domain::ports::{LookupOutcome, PaymentDue, RefundOutcome};
use domain::{BookId, Command, payment};
use journal::recover::{Decided, Decision};
use processes::jobs::people::{self, NotResolved, Said};

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::PRICE;

const DAY: Duration = Duration::from_hours(24);

/// The job that is for people.
async fn left_to_people(office: &Office) -> i64 {
    let id = "select id from jobs where state = 'attention'";
    office.world.number(id).await
}

async fn say(office: &Office, id: i64, said: Said) -> Result<Decided, NotResolved> {
    let decision = Decision {
        by: "ann",
        reason: "seen at the gateway",
    };
    people::resolve(&office.world.journal, id, &decision, &said).await
}

/// How many events of this name are in ann's name.
async fn by_ann(office: &Office, event_type: &str) -> i64 {
    let count = format!(
        "select count(*) from events where event_type = '{event_type}'
         and metadata ->> 'actor_type' = 'manager' and metadata ->> 'actor_id' = 'ann'"
    );
    office.world.number(&count).await
}

/// A booking whose charge nobody knows anything about for a day.
async fn unknown(office: &Office) -> PaymentDue {
    let due = office.abandoned().await;
    let unclear = LookupOutcome::Unknown {
        why: "no answer".to_owned(),
    };
    office.gateway.say_of_look_ups([unclear]);
    office.world.timeline.advance(DAY);
    office.work(&office.charges()).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
    due
}

/// A booking that was cancelled after two charges. Of its two refunds the gateway refused one and made the other.
async fn half_refunded(office: &Office) -> BookId {
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    let more = payment::Command::ChargeOvertime {
        amount: PRICE.with_minor(1_000),
    };
    office
        .world
        .execute(vec![Command::Payment(due.bookid, more)])
        .await;
    office.world.run_saga().await;
    office.work(&office.charges()).await;
    office.cancel(due.bookid).await;
    office.gateway.say_of_refunds([RefundOutcome::Rejected {
        code: "account-closed".to_owned(),
    }]);
    office.work(&office.refunds()).await;
    office.world.run_saga().await;
    due.bookid
}

#[tokio::test]
async fn a_cancellation_has_a_charge_looked_at_again_that_was_left_to_people() {
    let office = Office::open(Scripted::new([])).await;
    let due = unknown(&office).await;
    office.cancel(due.bookid).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
    let declined = LookupOutcome::Declined {
        code: "no".to_owned(),
        message: "no".to_owned(),
    };
    office.gateway.say_of_look_ups([declined]);
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn a_worker_that_is_about_to_leave_a_charge_to_people_sees_the_cancellation() {
    let office = Office::open(Scripted::new([]).holding_look_ups()).await;
    let due = office.abandoned().await;
    office.world.timeline.advance(DAY);
    let worker = office.charges();
    office.start(&worker).await;
    office
        .gateway
        .until_asked(|asked| asked.look_ups.len() == 1)
        .await;
    office.cancel(due.bookid).await;
    office.gateway.let_look_ups_go(1);
    crate::world::within(worker.idle()).await;
    assert_eq!(office.charge_job(due.bookid).await.state, "open");
}

#[tokio::test]
async fn what_was_not_charged_ends_a_cancelled_booking() {
    let office = Office::open(Scripted::new([])).await;
    let due = unknown(&office).await;
    office.cancel(due.bookid).await;
    // The gateway does not know it, which means nothing after a day.
    office.work(&office.charges()).await;
    let id = left_to_people(&office).await;
    let decided = say(&office, id, Said::NotCharged).await.unwrap();
    assert_eq!(decided, Decided::Done);
    assert_eq!(by_ann(&office, "PaymentDeclined").await, 1);
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
    assert_eq!(office.charge_job(due.bookid).await.state, "done");
    let kept = "select count(*) from decisions where action = 'job.resolve' and decided_by = 'ann'
                and subject -> 'said' ->> 'outcome' = 'not charged'";
    assert_eq!(office.world.number(kept).await, 1);
}

#[tokio::test]
async fn what_was_not_charged_ends_a_booking_that_is_wanted() {
    let office = Office::open(Scripted::new([])).await;
    let due = unknown(&office).await;
    let id = left_to_people(&office).await;
    say(&office, id, Said::NotCharged).await.unwrap();
    office.world.run_saga().await;
    assert_eq!(office.world.times(due.bookid, "BookRejected").await, 1);
}

#[tokio::test]
async fn what_was_charged_confirms_a_booking_or_goes_back() {
    for cancelled in [false, true] {
        let office = Office::open(Scripted::new([])).await;
        let due = unknown(&office).await;
        if cancelled {
            office.cancel(due.bookid).await;
            office.work(&office.charges()).await;
        }
        let id = left_to_people(&office).await;
        let said = Said::Charged("pi 7".to_owned());
        say(&office, id, said).await.unwrap();
        office.world.run_saga().await;
        office.work(&office.refunds()).await;
        office.world.run_saga().await;
        assert_eq!(by_ann(&office, "Approved").await, 1);
        let payment = office.world.payment(due.bookid).await;
        let back = if cancelled { PRICE.minor } else { 0 };
        assert_eq!(
            (payment.captured(), payment.refunded()),
            (PRICE.minor, back)
        );
        let end = if cancelled {
            "BookClosed"
        } else {
            "BookConfirmed"
        };
        assert_eq!(office.world.times(due.bookid, end).await, 1);
    }
}

#[tokio::test]
async fn a_reference_of_another_charge_is_not_taken() {
    let office = Office::open(Scripted::new([])).await;
    let other = office.never_sent().await;
    office.work(&office.charges()).await;
    let payment = office.world.payment(other.bookid).await;
    let reference = payment.gateway_ref().unwrap().to_owned();
    let due = unknown(&office).await;
    let id = left_to_people(&office).await;
    let refused = say(&office, id, Said::Charged(reference))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, NotResolved::OfAnother { bookid, .. } if bookid == other.bookid.0),
        "{refused}"
    );
    let refused = say(&office, id, Said::Charged(" ".to_owned())).await;
    assert!(matches!(refused, Err(NotResolved::Refused(_))));
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
    say(&office, id, Said::Charged("its own".to_owned()))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_refunded_by_hand_ends_a_cancellation() {
    let office = Office::open(Scripted::new([])).await;
    let bookid = half_refunded(&office).await;
    assert_eq!(office.world.times(bookid, "Cancelled").await, 0);
    assert_eq!(office.world.times(bookid, "BookClosed").await, 0);
    let id = left_to_people(&office).await;
    let said = Said::Refunded("transfer 88".to_owned());
    say(&office, id, said.clone()).await.unwrap();
    assert_eq!(by_ann(&office, "Cancelled").await, 1);
    // Whoever was killed before the job ended says it again: it is recorded once.
    let again = format!("update jobs set state = 'attention' where id = {id}");
    office.world.sql(&again).await;
    assert_eq!(say(&office, id, said).await.unwrap(), Decided::Done);
    assert_eq!(by_ann(&office, "Cancelled").await, 1);
    office.world.run_saga().await;
    for end in ["Registercancelled", "BookClosed"] {
        assert_eq!(office.world.times(bookid, end).await, 1, "{end}");
    }
    assert_eq!(office.gateway.refunds(), 1);
    assert_eq!(office.world.payment(bookid).await.refunded(), PRICE.minor);
}

#[tokio::test]
async fn what_cannot_be_so_changes_nothing() {
    let office = Office::open(Scripted::new([Say::ApproveTooMuch])).await;
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    let id = left_to_people(&office).await;
    let stood = office.world.story(due.bookid).await;
    let refunded = Said::Refunded("88".to_owned());
    let answer = say(&office, id, refunded).await;
    assert!(
        matches!(answer, Err(NotResolved::NotAbout(_))),
        "{answer:?}"
    );
    assert_eq!(office.world.story(due.bookid).await, stood);
    // Its worker has it.
    office.world.sql("update jobs set state = 'open'").await;
    let open = Decided::NotForPeople("open".to_owned());
    let answer = say(&office, id, Said::NotCharged).await;
    assert_eq!(answer.unwrap(), open);
    assert_eq!(office.world.story(due.bookid).await, stood);
    // Its outcome came after all.
    let approved = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: "pi".to_owned(),
        captured: PRICE,
    };
    office
        .world
        .execute(vec![Command::Payment(due.bookid, approved)])
        .await;
    office
        .world
        .sql("update jobs set state = 'attention'")
        .await;
    let answer = say(&office, id, Said::NotCharged).await;
    assert!(matches!(answer, Err(NotResolved::Known)), "{answer:?}");
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
    let decisions = "select count(*) from decisions";
    assert_eq!(office.world.number(decisions).await, 0);
}
