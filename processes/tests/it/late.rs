//! Processes that sleep with a call in hand, and wake up when its charge counts as not made.
//!
//! The clock goes on for everybody. What a process sleeps by is a timeline of its own, which stands still for as long as
//! the process is stopped; when it moves, everything that was timed runs out at once.

mod beside;

use std::sync::Arc;
use std::time::Duration;

use domain::BookId;
use domain::payment::{Stage, charge_key};
use domain::ports::{LookupOutcome, PaymentDue, PendingReason, TakePayment, Taken};
use processes::jobs::Worker;
use processes::jobs::people::{Said, resolve};
use processes::payment::InlinePayment;
use processes::settings::BreakerSettings;
use tokio::task::JoinHandle;

use crate::heard::Heard;
use crate::scripted::{Say, Scripted};
use crate::timeline::Timeline;
use crate::workers::Office;
use crate::world::{PRICE, beside, look_again, ms, settings, settings_with, within};

/// How long after a cancellation "not found" is believed: a customer's wait, a call, and the time to settle.
pub(crate) const SETTLED_AFTER: Duration = ms(2_000 + 10_000 + SETTLE_MS);
const SETTLE_MS: u64 = 60_000;
/// How long a call may take.
const CALL_MAX: Duration = ms(10_000);
/// How long after a "not found" the gateway is asked a second time.
const SECOND_LOOK: Duration = ms(1_000);

/// A customer's own call, in a process of its own.
fn taking(office: &Office, process: &Arc<Timeline>, due: &PaymentDue) -> JoinHandle<Taken> {
    let (journal, gateway) = (office.world.journal.clone(), office.gateway.clone());
    let payment = InlinePayment::new(journal, gateway, process.clone(), settings());
    let due = due.clone();
    beside(async move { payment.take(due).await })
}

async fn one_charge_is_out(office: &Office) {
    let asked = office.gateway.until_asked(|asked| asked.charges.len() == 1);
    asked.await;
}

/// A booking whose customer's own call is at the gateway, in a process that sleeps from then on.
async fn asleep_at_the_gateway(office: &Office) -> (PaymentDue, Arc<Timeline>, JoinHandle<Taken>) {
    let process = Arc::new(Timeline::new());
    let due = office.world.place("numberone").await;
    let take = taking(office, &process, &due);
    one_charge_is_out(office).await;
    process.asleep(CALL_MAX).await;
    office.world.run_saga().await;
    (due, process, take)
}

/// A booking whose charge a worker has sent, in a process that sleeps from then on.
async fn worker_asleep_at_the_gateway(office: &Office) -> (PaymentDue, Arc<Worker>, Arc<Timeline>) {
    let due = office.never_sent().await;
    let process = Arc::new(Timeline::new());
    let slept = Arc::new(Worker::charges(office.desk_in(&process)));
    office.start(&slept).await;
    one_charge_is_out(office).await;
    process.asleep(CALL_MAX).await;
    (due, slept, process)
}

/// The process wakes up, and its time is over.
async fn wake(process: &Timeline, take: JoinHandle<Taken>) {
    process.advance(CALL_MAX);
    let taken = within(take).await.unwrap();
    let (reason, sent) = (PendingReason::Timeout, true);
    assert_eq!(taken, Taken::Pending { reason, sent });
}

/// A cancelled booking's charge counts as not made, and the booking is closed.
async fn not_made(office: &Office, bookid: BookId, worker: &Arc<Worker>) {
    office.cancel(bookid).await;
    office.world.timeline.advance(SETTLED_AFTER);
    office.start(worker).await;
    office.world.timeline.asleep(SECOND_LOOK).await;
    office.world.timeline.advance(SECOND_LOOK);
    within(worker.idle()).await;
    office.world.run_saga().await;
    let payment = office.world.payment(bookid).await;
    assert_eq!(payment.stage, Stage::Cancelled);
    assert_eq!(office.world.times(bookid, "BookClosed").await, 1);
}

/// The state of the job that looks for a late call.
pub(crate) async fn late_job(office: &Office) -> String {
    let state = "select state from jobs where key like '%:late'";
    let state = sqlx::query_scalar(state).fetch_optional(&office.world.owner);
    state.await.unwrap().unwrap_or_default()
}

async fn until_late_job(office: &Office) {
    within(async {
        while late_job(office).await != "open" {
            look_again().await;
        }
    })
    .await;
}

/// A customer's call that woke up when its charge counted as not made: a worker is to look for it.
pub(crate) async fn woken_too_late(office: &Office) -> (PaymentDue, Arc<Worker>) {
    let (due, process, take) = asleep_at_the_gateway(office).await;
    let worker = office.charges();
    not_made(office, due.bookid, &worker).await;
    wake(&process, take).await;
    until_late_job(office).await;
    (due, worker)
}

/// How many calls it is told of that ended when their charge counted as not made: a metric and a line of the log each.
fn told_of(heard: &Heard) -> i64 {
    let told = heard.metric("payment_calls_after_their_time_total");
    let why = [
        "a call ended when its charge counted as not made already",
        "key=\"charge:1:1\"",
    ];
    assert_eq!(
        i64::try_from(heard.lines(&why)).unwrap(),
        told,
        "{}",
        heard.log()
    );
    told
}

/// What came late is in the story once, and went back.
async fn given_back(office: &Office, bookid: BookId) {
    office.world.run_saga().await;
    office.work(&office.refunds()).await;
    office.world.run_saga().await;
    let story = office.world.story(bookid).await;
    let expected = ["LateApproval", "RefundRequested", "SurplusRefunded"];
    assert_eq!(story[story.len() - 3..], expected, "{story:?}");
    let payment = office.world.payment(bookid).await;
    let money = (payment.captured(), payment.refunded(), payment.points());
    assert_eq!(money, (PRICE.minor, PRICE.minor, 0));
    let (captures, refunds) = (office.gateway.captures(), office.gateway.refunds());
    assert_eq!((captures, refunds), (1, 1));
    assert_eq!(late_job(office).await, "done");
    let left = "select count(*) from jobs where state <> 'done'";
    assert_eq!(office.world.number(left).await, 0);
}

#[tokio::test]
async fn a_customers_call_that_wakes_up_too_late_is_found_and_goes_back() {
    let heard = Heard::new();
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, process, take) = asleep_at_the_gateway(&office).await;
    let worker = office.charges();
    not_made(&office, due.bookid, &worker).await;
    assert_eq!(told_of(&heard), 0);
    wake(&process, take).await;
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    until_late_job(&office).await;
    assert_eq!(told_of(&heard), 1);
    // A saga that is behind reads only now that the charge was not made, and ends the charge's own job.
    office.world.run_saga().await;
    assert_eq!(late_job(&office).await, "open");
    office.work(&worker).await;
    given_back(&office, due.bookid).await;
}

#[tokio::test]
async fn a_workers_call_that_wakes_up_too_late_is_found_and_goes_back() {
    let heard = Heard::new();
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, slept, process) = worker_asleep_at_the_gateway(&office).await;
    let worker = office.charges();
    not_made(&office, due.bookid, &worker).await;
    process.advance(CALL_MAX);
    within(slept.idle()).await;
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    assert_eq!(late_job(&office).await, "open");
    assert_eq!(told_of(&heard), 1);
    office.work(&worker).await;
    given_back(&office, due.bookid).await;
}

#[tokio::test]
async fn what_went_out_late_is_looked_for_until_it_must_have_arrived() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, worker) = woken_too_late(&office).await;
    office.work(&worker).await;
    office.world.timeline.advance(ms(SETTLE_MS - 1));
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "open", "a moment too early");
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.world.timeline.advance(ms(1));
    office.work(&worker).await;
    given_back(&office, due.bookid).await;
}

#[tokio::test]
async fn what_never_went_out_is_asked_for_twice_and_is_done() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, worker) = woken_too_late(&office).await;
    let story = office.world.story(due.bookid).await;
    office.world.timeline.advance(ms(SETTLE_MS));
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "open", "once is not enough");
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "done");
    assert_eq!(office.world.story(due.bookid).await, story);
}

#[tokio::test]
async fn a_call_that_wakes_up_when_its_charge_is_known_changes_nothing() {
    let heard = Heard::new();
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, slept, process) = worker_asleep_at_the_gateway(&office).await;
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.work(&office.charges()).await;
    let story = office.world.story(due.bookid).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
    process.advance(CALL_MAX);
    within(slept.idle()).await;
    assert_eq!(office.world.story(due.bookid).await, story);
    assert_eq!(late_job(&office).await, "");
    assert_eq!(told_of(&heard), 0);
}

#[tokio::test]
async fn a_gateway_that_says_nothing_of_a_late_call_for_a_day_is_for_people() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (_, worker) = woken_too_late(&office).await;
    let unclear = || LookupOutcome::Unknown {
        why: "no answer".to_owned(),
    };
    office.gateway.say_of_look_ups([unclear(), unclear()]);
    office
        .world
        .timeline
        .advance(Duration::from_hours(24) - ms(1));
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "open");
    office.world.timeline.advance(ms(1));
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "attention");
    let id = office
        .world
        .number("select id from jobs where key like '%:late'")
        .await;
    let decision = journal::recover::Decision {
        by: "a person",
        reason: "the gateway's desk knows nothing of it",
    };
    let resolved = resolve(&office.world.journal, id, &decision, &Said::NotCharged).await;
    assert!(resolved.is_ok(), "{resolved:?}");
    assert_eq!(late_job(&office).await, "done");
}

#[tokio::test]
async fn nothing_found_after_the_gateway_may_have_forgotten_it_says_nothing() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (_, worker) = woken_too_late(&office).await;
    office.world.timeline.advance(Duration::from_hours(20));
    office.work(&worker).await;
    assert_eq!(late_job(&office).await, "attention");
}

#[tokio::test]
async fn a_call_that_wakes_up_between_two_looks_has_the_gateway_asked_anew() {
    let office = Office::open(Scripted::new([Say::Hold])).await;
    let (due, process, take) = asleep_at_the_gateway(&office).await;
    office.cancel(due.bookid).await;
    office.world.timeline.advance(SETTLED_AFTER);
    let worker = office.charges();
    office.start(&worker).await;
    office.world.timeline.asleep(SECOND_LOOK).await;
    wake(&process, take).await;
    office
        .world
        .until(due.bookid, "PaymentOutcomeUnknown")
        .await;
    office.world.timeline.advance(SECOND_LOOK);
    within(worker.idle()).await;
    let is_open = async || office.world.payment(due.bookid).await.is_open();
    assert!(is_open().await, "what it found out was of before");
    // From now on the end of that call is known, and "not found" is believed long after it only.
    office
        .world
        .timeline
        .advance(ms(SETTLE_MS) - SECOND_LOOK - ms(1));
    office.work(&worker).await;
    assert!(is_open().await, "a moment too early");
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.work(&worker).await;
    assert_eq!(office.world.times(due.bookid, "Approved").await, 1);
}

#[tokio::test]
async fn a_process_that_slept_before_it_sent_anything_sends_nothing() {
    let narrow = settings_with(BreakerSettings {
        max_concurrent: 1,
        ..BreakerSettings::default()
    });
    let office = Office::with(narrow.clone(), Scripted::new([Say::Hold])).await;
    let process = Arc::new(Timeline::new());
    let (journal, gateway) = (office.world.journal.clone(), office.gateway.clone());
    let payment = Arc::new(InlinePayment::new(
        journal,
        gateway,
        process.clone(),
        narrow,
    ));
    let (first, waits) = (
        office.world.place("numberone").await,
        office.world.place("numberone").await,
    );
    let take = |due: PaymentDue| {
        let payment = payment.clone();
        beside(async move { payment.take(due).await })
    };
    let has_the_place = take(first);
    one_charge_is_out(&office).await;
    let looks = office.world.timeline.looks();
    let slept = take(waits);
    // It has looked at the clock for its patience, for whether it is in time, and at the breaker.
    office.world.timeline.looked_at(looks + 3).await;
    office.world.timeline.advance(ms(2_001));
    office.gateway.let_go(1);
    let taken = within(has_the_place).await.unwrap();
    assert!(matches!(taken, Taken::Approved { .. }), "{taken:?}");
    let taken = within(slept).await.unwrap();
    let (reason, sent) = (PendingReason::Timeout, false);
    assert_eq!(taken, Taken::Pending { reason, sent });
    assert_eq!(office.gateway.asked().charges.len(), 1);
}
