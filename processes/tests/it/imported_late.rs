//! A process that slept woke up with a call in hand, and the journal was moved before it was known what became of that: it
//! is found out where the journal is now.

use domain::BookId;
use domain::payment::{charge_key, refund_key};
use journal::recover::Decision;
use processes::jobs::people::{self, Retried};

use crate::imported::{RETENTION, Saga, carry, everything, nobody_called};
use crate::late::{SETTLED_AFTER, late_job, woken_too_late};
use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::PRICE;

/// An office over a journal in which nobody knows yet what became of a late call, and its booking.
async fn moved(hold_payments: bool) -> (Office, BookId) {
    let from = Office::open(Scripted::new([Say::Hold])).await;
    let (due, _) = woken_too_late(&from).await;
    let office = Office::open(Scripted::new([])).await;
    carry(&from.world, &office.world, Saga::Known, hold_payments).await;
    // Time has gone on there, and it goes on here.
    office.world.timeline.advance(SETTLED_AFTER);
    (office, due.bookid)
}

async fn decide_retry(office: &Office) -> Retried {
    let late = "select id from jobs where key like '%:late'";
    let id = office.world.number(late).await;
    let decision = Decision {
        by: "somebody",
        reason: "seen at the gateway",
    };
    let retried = people::retry(&office.world.journal, id, &decision, false).await;
    retried.unwrap()
}

#[tokio::test]
async fn a_late_call_is_found_out_about_where_the_journal_was_moved_to() {
    let (office, bookid) = moved(false).await;
    office.gateway.capture(&charge_key(bookid, 1), PRICE);
    everything(&office).await;
    let asked = office.gateway.asked();
    assert_eq!(asked.charges, [""; 0]);
    assert_eq!(asked.refunds, [refund_key(bookid, 1)]);
    assert_eq!(office.world.times(bookid, "LateApproval").await, 1);
    let payment = office.world.payment(bookid).await;
    assert_eq!(
        (payment.captured(), payment.refunded()),
        (PRICE.minor, PRICE.minor)
    );
    assert_eq!(late_job(&office).await, "done");
}

#[tokio::test]
async fn what_a_late_call_took_is_not_given_back_under_a_key_that_may_be_forgotten() {
    let (office, bookid) = moved(false).await;
    office.gateway.capture(&charge_key(bookid, 1), PRICE);
    // The other system may have found it, and given it back, right after the file was written.
    office.world.timeline.advance(RETENTION);
    everything(&office).await;
    assert_eq!(office.world.times(bookid, "LateApproval").await, 1);
    assert_eq!(office.gateway.asked().refunds, [""; 0]);
    assert_eq!(office.refund_job(bookid).await.state, "attention");
}

#[tokio::test]
async fn a_late_call_is_for_people_where_payments_are_held() {
    let (office, bookid) = moved(true).await;
    everything(&office).await;
    nobody_called(&office);
    assert_eq!(late_job(&office).await, "attention");
    let retried = decide_retry(&office).await;
    assert!(matches!(retried, Retried::Decided(_)), "{retried:?}");
    office.gateway.capture(&charge_key(bookid, 1), PRICE);
    everything(&office).await;
    assert_eq!(office.world.times(bookid, "LateApproval").await, 1);
    // What follows from it is held with it.
    assert_eq!(office.gateway.asked().refunds, [""; 0]);
    assert_eq!(office.refund_job(bookid).await.state, "attention");
}
