//! Bookings with a time: customers who do not come, time past the end. Holds that end are in `holds.rs`.

use std::time::Duration;

use domain::book::{self, Scheduled, Stage};
use domain::order::NO_SHOW_JOB;
use domain::payment::charge_key;
use domain::ports::PaymentDue;
use domain::space::{self, Method};
use domain::terms::{Policy, Slot, Terms};
use domain::{BookId, Command, Money};
use jiff::{SignedDuration, Timestamp};

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::PRICE;

/// How long before its start a booking of these tests is made, in minutes.
pub(crate) const AHEAD: i64 = 300;
const MINUTE: Duration = Duration::from_secs(60);

/// A booking from [`AHEAD`] minutes from now on, for an hour; its slot is kept for ten minutes, and its customer is
/// waited for a quarter of an hour.
pub(crate) async fn book(office: &Office) -> (PaymentDue, Slot) {
    let now = office.world.journal.clock().now();
    let start = now + SignedDuration::from_mins(AHEAD);
    let slot = Slot::new(start, start + SignedDuration::from_hours(1));
    let scheduled = Scheduled {
        slot,
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".to_owned(),
            policy: Policy {
                grace_minutes: 0,
                tiers: vec![],
            },
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: PRICE,
            hand_over: Method::Key,
        },
        booked_at: now,
    };
    let due = office
        .world
        .place_for("numberone", Some(Box::new(scheduled)))
        .await;
    (due, slot)
}

/// The same, paid, registered and confirmed.
async fn confirmed(office: &Office) -> (BookId, Slot) {
    let (due, slot) = book(office).await;
    office.world.run_saga().await;
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    (due.bookid, slot)
}

async fn staff(office: &Office, bookid: BookId, commands: Vec<space::Command>) {
    for command in commands {
        office
            .world
            .execute(vec![Command::Space(bookid, command)])
            .await;
    }
}

fn until_checked_in() -> Vec<space::Command> {
    let by = || "Kim".to_owned();
    vec![
        space::Command::CompletePreparation { by: by() },
        space::Command::HandOver {
            method: Method::Key,
            by: by(),
        },
        space::Command::CheckIn { by: Some(by()) },
    ]
}

pub(crate) async fn stage(office: &Office, bookid: BookId) -> Stage {
    let book = office.world.journal.load::<book::Book>(bookid).await;
    book.unwrap().unwrap().0.stage
}

pub(crate) fn minutes(minutes: u32) -> Duration {
    MINUTE * minutes
}

#[tokio::test]
async fn a_customer_who_does_not_come_is_a_no_show_when_their_time_is_over() {
    let office = Office::open(Scripted::new([Say::Approve])).await;
    let (bookid, slot) = confirmed(&office).await;
    let job = office.world.job(NO_SHOW_JOB, bookid).await.unwrap();
    let grace = SignedDuration::from_mins(15);
    assert_eq!(micros(job.due_at), micros(slot.start + grace));
    let timers = "select count(*) from jobs where timer and state = 'open'";
    assert_eq!(office.world.number(timers).await, 1);
    // Woken too early, it waits.
    office.work(&office.no_shows()).await;
    assert_eq!(office.world.times(bookid, "NoShowMarked").await, 0);
    office
        .world
        .timeline
        .advance(minutes(u32::try_from(AHEAD).unwrap() + 15));
    office.work(&office.no_shows()).await;
    office.world.run_saga().await;
    let story = office.world.story(bookid).await;
    assert_eq!(story[story.len() - 2..], ["NoShowMarked", "BookClosed"]);
    let job = office.world.job(NO_SHOW_JOB, bookid).await.unwrap();
    assert_eq!(job.state, "done");
}

/// As Postgres keeps it.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

#[tokio::test]
async fn a_customer_who_came_is_no_no_show() {
    let office = Office::open(Scripted::new([Say::Approve])).await;
    let (bookid, _) = confirmed(&office).await;
    staff(&office, bookid, until_checked_in()).await;
    office
        .world
        .timeline
        .advance(minutes(u32::try_from(AHEAD).unwrap() + 15));
    office.work(&office.no_shows()).await;
    assert_eq!(office.world.times(bookid, "NoShowMarked").await, 0);
    let job = office.world.job(NO_SHOW_JOB, bookid).await.unwrap();
    assert_eq!((job.state.as_str(), job.attempts), ("done", 1));
}

async fn move_to(office: &Office, bookid: BookId, slot: Slot, price: Money) {
    let (journal, now) = (&office.world.journal, office.world.journal.clock().now());
    let (book, _) = journal.load::<book::Book>(bookid).await.unwrap().unwrap();
    let difference = book.difference(price, now);
    let commands = Command::reschedule(bookid, slot, difference, now);
    office.world.execute(commands).await;
}

/// Cancelling now would give nothing back, and moving must not be a way around that.
#[tokio::test]
async fn a_move_to_a_cheaper_time_gives_back_no_more_than_a_cancellation_would() {
    let office = Office::open(Scripted::new([Say::Approve])).await;
    let (bookid, slot) = confirmed(&office).await;
    let (journal, now) = (&office.world.journal, office.world.journal.clock().now());
    let (book, _) = journal.load::<book::Book>(bookid).await.unwrap().unwrap();
    assert_eq!(book.refund_quote(now).refund.minor, 0);
    let short = Slot::new(slot.start, slot.start + SignedDuration::from_mins(1));
    move_to(&office, bookid, short, PRICE.with_minor(167)).await;
    let payment = office.world.payment(bookid).await;
    assert_eq!(payment.refundable(), PRICE.minor);
}

#[tokio::test]
async fn a_booking_that_was_moved_is_waited_for_at_its_new_time() {
    let office = Office::open(Scripted::new([Say::Approve])).await;
    let (bookid, slot) = confirmed(&office).await;
    let by = SignedDuration::from_hours(3);
    let later = Slot::new(slot.start + by, slot.end + by);
    move_to(&office, bookid, later, PRICE).await;
    office.world.run_saga().await;
    let timers = "select count(*) from jobs where kind = 'no-show' and state = 'open'";
    assert_eq!(office.world.number(timers).await, 2);
    office
        .world
        .timeline
        .advance(minutes(u32::try_from(AHEAD).unwrap() + 15));
    office.work(&office.no_shows()).await;
    // The first timer found another slot, the second one that it is too early.
    assert_eq!(office.world.times(bookid, "NoShowMarked").await, 0);
    assert_eq!(office.world.number(timers).await, 1);
    office.world.timeline.advance(minutes(180));
    office.work(&office.no_shows()).await;
    assert_eq!(office.world.times(bookid, "NoShowMarked").await, 1);
}

#[tokio::test]
async fn time_past_the_end_is_charged_under_its_own_key() {
    let office = Office::open(Scripted::new([Say::Approve, Say::Approve])).await;
    let (bookid, slot) = confirmed(&office).await;
    staff(&office, bookid, until_checked_in()).await;
    let late = space::Command::CheckOut {
        at: slot.end + SignedDuration::from_mins(30),
        by: None,
    };
    staff(&office, bookid, vec![late]).await;
    office.world.run_saga().await;
    // The saga sees what its own command did.
    office.world.run_saga().await;
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    let payment = office.world.payment(bookid).await;
    assert_eq!(payment.captured(), PRICE.minor + PRICE.minor / 2);
    assert_eq!(payment.points(), (PRICE.minor + PRICE.minor / 2) / 100);
    let keys = [charge_key(bookid, 1), charge_key(bookid, 2)];
    assert_eq!(office.gateway.asked().charges, keys);
    assert_eq!(stage(&office, bookid).await, Stage::Closed);
    let open = "select count(*) from jobs where kind = 'charge' and state <> 'done'";
    assert_eq!(office.world.number(open).await, 0);
}

#[tokio::test]
async fn a_declined_overtime_leaves_an_amount_that_is_outstanding() {
    let office = Office::open(Scripted::new([Say::Approve, Say::Decline])).await;
    let (bookid, slot) = confirmed(&office).await;
    staff(&office, bookid, until_checked_in()).await;
    let late = space::Command::CheckOut {
        at: slot.end + SignedDuration::from_mins(6),
        by: None,
    };
    staff(&office, bookid, vec![late]).await;
    office.world.run_saga().await;
    office.work(&office.charges()).await;
    office.world.run_saga().await;
    let payment = office.world.payment(bookid).await;
    assert_eq!(payment.captured(), PRICE.minor);
    assert_eq!(payment.outstanding(), PRICE.minor / 10);
    assert_eq!(stage(&office, bookid).await, Stage::Closed);
}
