//! Two calls for one charge beside each other, one of which leaves its outcome open.

use std::sync::Arc;

use domain::payment::charge_key;
use domain::ports::{PaymentDue, TakePayment, Taken};
use processes::payment::InlinePayment;
use processes::settings::BreakerSettings;

use super::{CALL_MAX, SECOND_LOOK, SETTLE_MS, SETTLED_AFTER, one_charge_is_out, taking, wake};
use crate::scripted::{Say, Scripted};
use crate::timeline::Timeline;
use crate::workers::Office;
use crate::world::{PRICE, beside, look_again, ms, settings_with, within};

/// `POST /payments` and the booking's own call, or the same command twice: one is answered "not known", the other one's
/// process sleeps meanwhile.
#[tokio::test]
async fn the_second_of_two_calls_that_wakes_up_between_two_looks_has_the_gateway_asked_anew() {
    let office = Office::open(Scripted::new([Say::Hold, Say::Fail])).await;
    let (process, other) = (Arc::new(Timeline::new()), Arc::new(Timeline::new()));
    let due = office.world.place("numberone").await;
    let take = taking(&office, &process, &due);
    one_charge_is_out(&office).await;
    process.asleep(CALL_MAX).await;
    let second = within(taking(&office, &other, &due)).await.unwrap();
    assert!(matches!(second, Taken::Pending { sent: true, .. }));
    office.world.run_saga().await;
    office.cancel(due.bookid).await;
    office.world.timeline.advance(SETTLED_AFTER);
    let worker = office.charges();
    office.start(&worker).await;
    office.world.timeline.asleep(SECOND_LOOK).await;
    wake(&process, take).await;
    let unknown = async || {
        let times = office.world.times(due.bookid, "PaymentOutcomeUnknown");
        times.await
    };
    within(async {
        while unknown().await < 2 {
            look_again().await;
        }
    })
    .await;
    office.world.timeline.advance(SECOND_LOOK);
    within(worker.idle()).await;
    // What it had sent arrives now.
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    office.world.run_saga().await;
    office.world.timeline.advance(ms(SETTLE_MS));
    office.work(&worker).await;
    assert!(office.world.payment(due.bookid).await.captured() > 0);
}

/// The booking's own call sent nothing, and says so; another one for the same charge was cut off, and the payment says
/// that.
#[tokio::test]
async fn that_one_call_sent_nothing_does_not_hide_what_another_one_left_open() {
    let narrow = settings_with(BreakerSettings {
        max_concurrent: 1,
        min_calls: 1,
        ..BreakerSettings::default()
    });
    let office = Office::with(narrow.clone(), Scripted::new([Say::Hold, Say::Fail])).await;
    let (own, other) = (Arc::new(Timeline::new()), Arc::new(Timeline::new()));
    let (journal, gateway) = (office.world.journal.clone(), office.gateway.clone());
    let payment = Arc::new(InlinePayment::new(journal, gateway, own.clone(), narrow));
    let take = |due: PaymentDue| {
        let payment = payment.clone();
        beside(async move { payment.take(due).await })
    };
    let _has_the_place = take(office.world.place("numberone").await);
    one_charge_is_out(&office).await;
    let due = office.world.place("numberone").await;
    let looks = office.world.timeline.looks();
    let waits = take(due.clone());
    office.world.timeline.looked_at(looks + 3).await;
    // At a process with room: captured, and the answer cut off.
    office.gateway.capture(&charge_key(due.bookid, 1), PRICE);
    let told = within(taking(&office, &other, &due)).await.unwrap();
    assert!(matches!(told, Taken::Pending { sent: true, .. }));
    own.advance(ms(2_000));
    let told = within(waits).await.unwrap();
    assert!(matches!(told, Taken::Pending { sent: false, .. }));
    office.world.defer(due.bookid, false).await;
    office.world.run_saga().await;
    office.cancel(due.bookid).await;
    let worker = office.charges();
    while office.world.payment(due.bookid).await.is_open() {
        office.work(&worker).await;
    }
    assert!(office.world.payment(due.bookid).await.captured() > 0);
}
