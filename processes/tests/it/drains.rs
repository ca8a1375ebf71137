//! Customers and the background, each behind a breaker and a bulkhead of its own: neither takes the other's places.

use std::sync::Arc;

use domain::payment::charge_key;
use domain::ports::{PendingReason, TakePayment, Taken};
use processes::payment::InlinePayment;
use processes::settings::{BreakerSettings, PaymentSettings};

use crate::scripted::{Say, Scripted};
use crate::workers::Office;
use crate::world::{beside, look_again, ms, settings_with, within};

/// Two places each, and a breaker that opens when two calls failed.
fn narrow() -> PaymentSettings {
    settings_with(BreakerSettings {
        max_concurrent: 2,
        min_calls: 2,
        ..BreakerSettings::default()
    })
}

fn counter(office: &Office) -> Arc<InlinePayment> {
    Arc::new(InlinePayment::new(
        office.world.journal.clone(),
        office.gateway.clone(),
        office.world.timeline.clone(),
        narrow(),
    ))
}

#[tokio::test]
async fn a_background_that_hangs_takes_no_place_of_a_customer() {
    let office = Office::with(narrow(), Scripted::new([Say::Hold, Say::Hold])).await;
    for _ in 0..4 {
        office.never_sent().await;
    }
    let worker = office.charges();
    assert_eq!(worker.step().await.unwrap(), 2);
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 2)
        .await;
    assert_eq!(worker.step().await.unwrap(), 0, "the background is full");
    let counter = counter(&office);
    for _ in 0..3 {
        let due = office.world.place("numberone").await;
        let taken = within(counter.take(due)).await;
        assert!(matches!(taken, Taken::Approved { .. }), "{taken:?}");
    }
    office.gateway.let_go(2);
    within(worker.idle()).await;
}

#[tokio::test]
async fn a_background_whose_breaker_is_open_opens_nobody_else_s() {
    let office = Office::with(narrow(), Scripted::new([Say::NotSent, Say::NotSent])).await;
    for _ in 0..2 {
        office.never_sent().await;
    }
    let worker = office.charges();
    worker.step().await.unwrap();
    within(worker.idle()).await;
    // The third one meets an open breaker: nothing is sent. (What was sent before may be sent again.)
    let third = office.never_sent().await;
    worker.step().await.unwrap();
    within(worker.idle()).await;
    let key = charge_key(third.bookid, 1);
    assert!(!office.gateway.asked().charges.contains(&key));
    assert_eq!(
        office.charge_job(third.bookid).await.attempts,
        1,
        "it was tried"
    );
    let due = office.world.place("numberone").await;
    let taken = within(counter(&office).take(due)).await;
    assert!(matches!(taken, Taken::Approved { .. }), "{taken:?}");
}

#[tokio::test]
async fn customers_that_hang_take_no_place_of_the_background() {
    let office = Office::with(narrow(), Scripted::new([Say::Hold, Say::Hold])).await;
    let counter = counter(&office);
    let takes: Vec<_> = [
        office.world.place("numberone").await,
        office.world.place("numberone").await,
    ]
    .into_iter()
    .map(|due| {
        let counter = counter.clone();
        beside(async move { counter.take(due).await })
    })
    .collect();
    office
        .gateway
        .until_asked(|asked| asked.charges.len() == 2)
        .await;
    // Every place of the customers is taken; then they are let go, and their breaker opens.
    let background = async |office: &Office| {
        let due = office.never_sent().await;
        let worker = office.charges();
        // What is due goes by the database's clock, which the timeline may be ahead of.
        let approved = async {
            while office.world.times(due.bookid, "Approved").await == 0 {
                worker.step().await.unwrap();
                worker.idle().await;
                look_again().await;
            }
        };
        within(approved).await;
    };
    background(&office).await;
    office.world.timeline.advance(ms(2_000));
    for take in takes {
        within(take).await.unwrap();
    }
    let due = office.world.place("numberone").await;
    let held_back = Taken::Pending {
        reason: PendingReason::BreakerOpen,
        sent: false,
    };
    assert_eq!(within(counter.take(due)).await, held_back);
    background(&office).await;
    office.gateway.let_go(2);
}
