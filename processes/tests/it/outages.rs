//! The gateway away, silent, talking nonsense, or cutting the line after the charge: bookings go on, nothing is
//! charged twice, and everything comes to its end when it is back. In real time, with short waits.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{TakePayment, Taken};
use journal::runtime::{Runtime, Tokio};
use local_postgres::testing::timeout;
use processes::payment::InlinePayment;
use processes::settings::PaymentSettings;
use processes::{jobs, order};
use tokio_util::sync::CancellationToken;

use crate::scripted::{Say, Scripted};
use crate::world::{World, beside, look_again, settings, within};

/// Bookings while the gateway is not well.
const BOOKINGS: usize = 5;
/// More calls than are made while the gateway is not well.
const MANY: usize = 1_000;
/// Within this time all of them are paid and confirmed after it is back: the end of the calls, the margin
/// before a worker takes over, and its first back-off.
const CONVERGED_MAX: Duration = Duration::from_secs(15);

/// Waits of a tenth and less.
fn hasty() -> PaymentSettings {
    PaymentSettings {
        timeout_ms: 200,
        call_max_ms: 500,
        ..settings()
    }
}

async fn survives(say: Say) {
    let world = World::in_real_time().await;
    let journal = world.journal.clone();
    let runtime: Arc<dyn Runtime> = Arc::new(Tokio);
    let gateway = Arc::new(Scripted::new([say; MANY]));
    let stop = CancellationToken::new();
    let tasks = [
        beside(order::run(
            journal.clone(),
            runtime.clone(),
            hasty(),
            stop.clone(),
        )),
        beside(jobs::run(
            journal.clone(),
            gateway.clone(),
            runtime.clone(),
            hasty(),
            stop.clone(),
        )),
    ];
    let payment = InlinePayment::new(journal.clone(), gateway.clone(), runtime, hasty());
    let mut bookings = Vec::new();
    for _ in 0..BOOKINGS {
        let due = world.place("numberone").await;
        let taken = timeout(Duration::from_secs(2), payment.take(due.clone()))
            .await
            .unwrap();
        let Taken::Pending { sent, .. } = taken else {
            panic!("{taken:?}")
        };
        // As `POST /books` does before it answers 202.
        world.defer(due.bookid, sent).await;
        bookings.push(due.bookid);
    }
    gateway.recover();
    let converged = async {
        for bookid in &bookings {
            while world.times(*bookid, "BookConfirmed").await == 0 {
                look_again().await;
            }
        }
        while journal.open_jobs_ending("charge", "").await.unwrap() > 0 {
            look_again().await;
        }
    };
    timeout(CONVERGED_MAX, converged)
        .await
        .expect("not everything is paid");
    assert_eq!(gateway.captures(), BOOKINGS);
    for bookid in bookings {
        assert_eq!(world.times(bookid, "Approved").await, 1);
        assert_eq!(world.times(bookid, "DuplicateCharge").await, 0);
    }
    assert_eq!(
        world
            .number("select count(*) from jobs where state <> 'done'")
            .await,
        0
    );
    stop.cancel();
    for task in tasks {
        within(task).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_connections() {
    survives(Say::NotSent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_hangs() {
    survives(Say::Hold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_answers_garbage() {
    survives(Say::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_charges_and_cuts_the_line() {
    survives(Say::CaptureInSilence).await;
}
