//! A journal that came here in a file: nothing of it is done again, and what was in the middle comes to its end.

use std::time::Duration;

use domain::payment::{self, Stage, charge_key, refund_key};
use domain::ports::PaymentDue;
use domain::{BookId, Command};
use journal::follow::FollowerId;
use journal::recover::Decision;
use journal::runtime::Tokio;
use journal::transfer::{BATCH_MAX, Export, Import, MARK_EVERY, Progress, Source, Target};
use processes::jobs::people::{self, Retried};
use processes::order;
use tokio_util::sync::CancellationToken;

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::{PRICE, World};

/// Longer than a gateway surely remembers a key.
pub(crate) const RETENTION: Duration = Duration::from_hours(21);

struct Silent;

impl Progress for Silent {
    fn moved(&self, _: i64, _: i64, _: i64) {}
    fn remark(&self, _: &str) {}
}

/// What the file says of the saga.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Saga {
    /// How far it had acted.
    Known,
    /// Nothing.
    Unknown,
}

/// Carries a journal into `to`, which is empty.
pub(crate) async fn carry(from: &World, to: &World, saga: Saga, hold_payments: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let export = Export {
        journal: &from.journal,
        acting: match saga {
            Saga::Known => order::follower_id(),
            Saga::Unknown => FollowerId::new("nobody", 1),
        },
        from: None,
        to: None,
        mark_every: MARK_EVERY,
        runtime: &Tokio,
        told: &Silent,
        stop: CancellationToken::new(),
    };
    export.run(Target::File(path.clone())).await.unwrap();
    let import = Import {
        owner_url: to.url(),
        append: false,
        allow_truncated: false,
        hold_payments,
        next_booking: None,
        batch_max: BATCH_MAX,
        told: &Silent,
        stop: CancellationToken::new(),
    };
    import.run(Source::File(path)).await.unwrap();
}

/// An office over what `from` has, with a gateway of its own that has heard of nothing.
async fn imported(from: &World, saga: Saga) -> Office {
    let office = Office::open(Scripted::new([])).await;
    carry(from, &office.world, saga, false).await;
    office
}

/// Lets saga and workers do everything that they find.
pub(crate) async fn everything(office: &Office) {
    for _ in 0..4 {
        office.world.run_saga().await;
        office.work(&office.charges()).await;
        office.work(&office.refunds()).await;
    }
}

/// Nobody called the gateway.
pub(crate) fn nobody_called(office: &Office) {
    let asked = office.gateway.asked();
    assert_eq!(asked.charges, [""; 0]);
    assert_eq!(asked.look_ups, [""; 0]);
    assert_eq!(asked.refunds, [""; 0]);
}

async fn events(world: &World) -> i64 {
    world.number("select count(*) from events").await
}

/// A paid and confirmed booking, one that was cancelled to its end, and one whose charge was declined.
async fn finished() -> (Office, [BookId; 3]) {
    let office = Office::open(Scripted::new([Say::Approve, Say::Approve, Say::Decline])).await;
    let mut bookings = [BookId(0); 3];
    for booking in &mut bookings {
        *booking = office.never_sent().await.bookid;
        office.work(&office.charges()).await;
    }
    office.world.run_saga().await;
    office.cancel(bookings[1]).await;
    everything(&office).await;
    assert_eq!(office.world.times(bookings[0], "BookConfirmed").await, 1);
    assert_eq!(office.world.times(bookings[1], "BookClosed").await, 1);
    assert_eq!(office.world.times(bookings[2], "BookRejected").await, 1);
    (office, bookings)
}

#[tokio::test]
async fn what_came_to_its_end_is_left_alone() {
    let (from, _) = finished().await;
    for saga in [Saga::Known, Saga::Unknown] {
        let office = imported(&from.world, saga).await;
        let stood = events(&office.world).await;
        everything(&office).await;
        nobody_called(&office);
        assert_eq!(events(&office.world).await, stood, "{saga:?}");
        let open = "select count(*) from jobs where state <> 'done'";
        assert_eq!(office.world.number(open).await, 0);
        // The saga knows of its orders what the other one knew.
        let orders = "select md5(string_agg(bookid || state::text || position, ' ' order by bookid)) from orders";
        let md5 = async |world: &World| -> String {
            sqlx::query_scalar(orders)
                .fetch_one(&world.owner)
                .await
                .unwrap()
        };
        assert_eq!(md5(&office.world).await, md5(&from.world).await);
        let parked = "select count(*) from parked";
        assert_eq!(office.world.number(parked).await, 0);
    }
}

#[tokio::test]
async fn a_booking_lives_on_after_the_import() {
    let (from, [confirmed, ..]) = finished().await;
    let office = imported(&from.world, Saga::Known).await;
    office.world.run_saga().await;
    office.cancel(confirmed).await;
    everything(&office).await;
    assert_eq!(office.gateway.asked().refunds, [refund_key(confirmed, 1)]);
    assert_eq!(office.world.times(confirmed, "BookClosed").await, 1);
}

/// A booking whose charge has no outcome where it comes from: a worker there tried, and never heard.
async fn in_the_middle(sent: bool) -> (Office, PaymentDue) {
    let from = Office::open(Scripted::new([Say::CaptureInSilence])).await;
    let due = if sent {
        from.abandoned().await
    } else {
        // The note that something was sent stays in the job's row over there.
        from.never_sent().await
    };
    (from, due)
}

#[tokio::test]
async fn a_charge_in_the_middle_is_asked_for_before_it_is_sent() {
    for sent in [true, false] {
        for saga in [Saga::Known, Saga::Unknown] {
            let (from, due) = in_the_middle(sent).await;
            let office = imported(&from.world, saga).await;
            office.world.run_saga().await;
            office.work(&office.charges()).await;
            let (key, asked) = (charge_key(due.bookid, 1), office.gateway.asked());
            assert_eq!(
                asked.look_ups,
                std::slice::from_ref(&key),
                "sent {sent}, {saga:?}"
            );
            assert_eq!(asked.charges, [key]);
            office.world.run_saga().await;
            assert_eq!(office.world.times(due.bookid, "BookConfirmed").await, 1);
        }
    }
}

#[tokio::test]
async fn a_charge_that_the_gateway_knows_is_not_sent() {
    let (from, due) = in_the_middle(false).await;
    let office = imported(&from.world, Saga::Known).await;
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    everything(&office).await;
    assert_eq!(office.gateway.asked().charges, [""; 0]);
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    assert_eq!(office.world.times(due.bookid, "BookConfirmed").await, 1);
}

#[tokio::test]
async fn a_charge_whose_key_is_too_old_is_asked_for_and_then_left_to_people() {
    let (from, due) = in_the_middle(false).await;
    let office = imported(&from.world, Saga::Known).await;
    office.world.timeline.advance(RETENTION);
    office.world.run_saga().await;
    office.work(&office.charges()).await;
    office.world.timeline.advance(RETENTION);
    office.work(&office.charges()).await;
    let asked = office.gateway.asked();
    assert_eq!((asked.look_ups.len(), asked.charges.len()), (2, 0));
    assert_eq!(office.charge_job(due.bookid).await.state, "attention");
}

async fn decide_retry(office: &Office, kind: &str, not_refunded: bool) -> Retried {
    let id = office
        .world
        .number(&format!("select id from jobs where kind = '{kind}'"))
        .await;
    let decision = Decision {
        by: "somebody",
        reason: "seen at the gateway",
    };
    let retried = people::retry(&office.world.journal, id, &decision, not_refunded).await;
    retried.unwrap()
}

#[tokio::test]
async fn held_payments_are_for_people_and_nobody_is_asked() {
    let (from, due) = in_the_middle(false).await;
    let office = Office::open(Scripted::new([])).await;
    carry(&from.world, &office.world, Saga::Known, true).await;
    // Also when the claim of who was about to leave it to people is lost.
    for _ in 0..2 {
        office.world.run_saga().await;
        office.work(&office.charges()).await;
        nobody_called(&office);
        assert_eq!(office.charge_job(due.bookid).await.state, "attention");
        office
            .world
            .sql("update jobs set state = 'open', finished_at = null")
            .await;
    }
    office.work(&office.charges()).await;
    decide_retry(&office, "charge", false).await;
    everything(&office).await;
    assert_eq!(office.gateway.asked().look_ups.len(), 1);
    assert_eq!(office.world.times(due.bookid, "BookConfirmed").await, 1);
}

/// A booking that was cancelled, and whose refund nobody has made yet.
async fn refund_in_the_middle() -> (Office, PaymentDue) {
    let from = Office::open(Scripted::new([])).await;
    let due = from.never_sent().await;
    from.work(&from.charges()).await;
    from.cancel(due.bookid).await;
    assert_eq!(from.world.payment(due.bookid).await.stage, Stage::Refunding);
    (from, due)
}

#[tokio::test]
async fn a_refund_in_the_middle_is_made_under_its_key() {
    let (from, due) = refund_in_the_middle().await;
    let office = imported(&from.world, Saga::Known).await;
    everything(&office).await;
    assert_eq!(office.gateway.asked().refunds, [refund_key(due.bookid, 1)]);
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn a_refund_whose_key_is_too_old_is_left_to_people() {
    let (from, due) = refund_in_the_middle().await;
    let office = imported(&from.world, Saga::Known).await;
    office.world.timeline.advance(RETENTION);
    everything(&office).await;
    nobody_called(&office);
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
    let refused = decide_retry(&office, "refund", false).await;
    assert!(
        matches!(refused, Retried::MayBeASecondRefund(_)),
        "{refused:?}"
    );
    decide_retry(&office, "refund", true).await;
    everything(&office).await;
    assert_eq!(office.gateway.asked().refunds, [refund_key(due.bookid, 1)]);
}

/// A booking that was cancelled, and of which the saga had not read that when the file was written: no refund is asked for
/// in it. The other system went on, and asked for one under the number that this one will give it.
async fn cancelled_in_the_middle() -> (Office, PaymentDue) {
    let from = Office::open(Scripted::new([])).await;
    let due = from.never_sent().await;
    from.work(&from.charges()).await;
    from.world.run_saga().await;
    let cancel = Command::cancel_booking(due.bookid, None, from.world.journal.clock().now());
    from.world.execute(cancel).await;
    assert_eq!(from.world.times(due.bookid, "Bookcancelled").await, 1);
    assert_eq!(from.world.times(due.bookid, "RefundRequested").await, 0);
    (from, due)
}

#[tokio::test]
async fn a_refund_that_follows_from_what_was_imported_is_held_with_it() {
    let (from, due) = cancelled_in_the_middle().await;
    let office = Office::open(Scripted::new([])).await;
    carry(&from.world, &office.world, Saga::Known, true).await;
    everything(&office).await;
    assert_eq!(office.world.times(due.bookid, "RefundRequested").await, 1);
    nobody_called(&office);
    assert_eq!(office.refund_job(due.bookid).await.state, "attention");
    decide_retry(&office, "refund", true).await;
    everything(&office).await;
    assert_eq!(office.world.times(due.bookid, "BookClosed").await, 1);
}

#[tokio::test]
async fn a_refund_that_follows_from_what_was_imported_is_as_old_as_that() {
    for (old, refunds) in [(false, 1), (true, 0)] {
        let (from, due) = cancelled_in_the_middle().await;
        let office = imported(&from.world, Saga::Known).await;
        if old {
            // The other system's may have been made so long ago that the gateway has forgotten its key.
            office.world.timeline.advance(RETENTION);
        }
        everything(&office).await;
        assert_eq!(office.world.times(due.bookid, "RefundRequested").await, 1);
        assert_eq!(office.gateway.asked().refunds.len(), refunds, "old: {old}");
        let state = if old { "attention" } else { "done" };
        assert_eq!(office.refund_job(due.bookid).await.state, state);
    }
}

#[tokio::test]
async fn a_refund_that_people_settled_by_hand_is_not_made() {
    let (from, due) = refund_in_the_middle().await;
    from.world
        .sql("update jobs set state = 'attention' where kind = 'refund'")
        .await;
    let id = from
        .world
        .number("select id from jobs where kind = 'refund'")
        .await;
    let decision = Decision {
        by: "somebody",
        reason: "by bank transfer",
    };
    from.world.journal.resolve_job(id, &decision).await.unwrap();
    let office = imported(&from.world, Saga::Known).await;
    everything(&office).await;
    nobody_called(&office);
    assert_eq!(office.refund_job(due.bookid).await.state, "done");
}

#[tokio::test]
async fn what_the_saga_had_not_acted_on_it_acts_on_here() {
    let from = World::new().await;
    let due = from.place("numberone").await;
    from.run_saga().await;
    let approval = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: "a reference".to_owned(),
        captured: PRICE,
    };
    from.execute(vec![Command::Payment(due.bookid, approval)])
        .await;
    let office = imported(&from, Saga::Known).await;
    everything(&office).await;
    nobody_called(&office);
    assert_eq!(office.world.times(due.bookid, "Registered").await, 1);
    assert_eq!(office.world.times(due.bookid, "BookConfirmed").await, 1);
}

#[tokio::test]
async fn what_the_saga_had_sent_without_its_checkpoint_is_not_repeated() {
    let (from, [confirmed, ..]) = finished().await;
    // As if it had died before every one of its checkpoints.
    from.world
        .sql("update followers set position = 0 where name = 'orders'")
        .await;
    let office = imported(&from.world, Saga::Known).await;
    let stood = events(&office.world).await;
    everything(&office).await;
    nobody_called(&office);
    assert_eq!(events(&office.world).await, stood);
    assert_eq!(office.world.times(confirmed, "Registered").await, 1);
}
