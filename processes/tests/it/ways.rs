//! The ways through everything: saga, workers and stub gateway at work, in real time.

use std::sync::Arc;

use domain::ports::{LedgerCharge, PaymentDue, StubLedger, TakePayment, Taken};
use journal::runtime::{Runtime, SystemRandom, Tokio};
use processes::gateway::stub::StubGateway;
use processes::payment::InlinePayment;
use processes::{jobs, order};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{PRICE, World, beside, settings, within};

/// A world in which everything runs.
struct Running {
    world: World,
    stub: Arc<StubGateway>,
    payment: InlinePayment,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    async fn start() -> Self {
        let world = World::in_real_time().await;
        let journal = world.journal.clone();
        let runtime: Arc<dyn Runtime> = Arc::new(Tokio);
        let stub = StubGateway::new(
            journal.pool().clone(),
            runtime.clone(),
            Arc::new(SystemRandom),
        );
        let stub = Arc::new(stub);
        let stop = CancellationToken::new();
        let tasks = vec![
            beside(order::run(
                journal.clone(),
                runtime.clone(),
                settings(),
                stop.clone(),
            )),
            beside(jobs::run(
                journal.clone(),
                stub.clone(),
                runtime.clone(),
                settings(),
                stop.clone(),
            )),
        ];
        let payment = InlinePayment::new(journal, stub.clone(), runtime, settings());
        Self {
            world,
            stub,
            payment,
            stop,
            tasks,
        }
    }

    async fn book(&self, spacename: &str) -> (PaymentDue, Taken) {
        let due = self.world.place(spacename).await;
        let taken = self.payment.take(due.clone()).await;
        (due, taken)
    }

    async fn ledger_of(&self, due: &PaymentDue) -> Vec<LedgerCharge> {
        let charges = self.stub.charges().await.unwrap();
        charges
            .into_iter()
            .filter(|charge| charge.bookid == due.bookid)
            .collect()
    }

    /// Everything ends when it is told to.
    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            within(task).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_paid_registered_and_confirmed() {
    let running = Running::start().await;
    let (due, taken) = running.book("numberone").await;
    let position = running
        .world
        .last_position(due.bookid, "PointsAccrued")
        .await;
    assert_eq!(taken, Taken::Approved { position });
    running.world.until(due.bookid, "BookConfirmed").await;
    let story = running.world.story(due.bookid).await;
    let expected = [
        "Booked",
        "PaymentRequested",
        "Approved",
        "PointsAccrued",
        "Registered",
        "BookConfirmed",
    ];
    assert_eq!(story, expected);
    let charges = running.ledger_of(&due).await;
    assert_eq!(charges.len(), 1);
    assert_eq!((charges[0].amount, charges[0].refunded), (PRICE.minor, 0));
    assert_eq!(
        running
            .world
            .journal
            .open_jobs_ending("charge", "")
            .await
            .unwrap(),
        0
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_gives_everything_back() {
    let running = Running::start().await;
    let (due, _) = running.book("numberone").await;
    running.world.until(due.bookid, "BookConfirmed").await;
    running.world.cancel(due.bookid).await;
    running.world.until(due.bookid, "BookClosed").await;
    let story = running.world.story(due.bookid).await;
    let expected = [
        "Bookcancelled",
        "FulfilmentStopped",
        "RefundRequested",
        "Cancelled",
        "PointsClawedBack",
        "Registercancelled",
        "BookClosed",
    ];
    assert_eq!(story[6..], expected);
    let charges = running.ledger_of(&due).await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0].refunded, charges[0].amount);
    let payment = running.world.payment(due.bookid).await;
    assert_eq!(
        (payment.captured(), payment.refunded(), payment.points()),
        (PRICE.minor, PRICE.minor, 0)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_booking_is_rejected() {
    let running = Running::start().await;
    let (due, taken) = running.book("declined").await;
    let Taken::Declined { code, position, .. } = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(code, "card-declined");
    assert_eq!(
        position,
        running
            .world
            .last_position(due.bookid, "PaymentDeclined")
            .await
    );
    running.world.until(due.bookid, "BookRejected").await;
    assert_eq!(running.ledger_of(&due).await, []);
    assert_eq!(running.world.payment(due.bookid).await.points(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_whose_customer_left_before_anything_was_sent_is_seen_through() {
    let running = Running::start().await;
    let due = running.world.place("numberone").await;
    running.world.defer(due.bookid, false).await;
    running.world.until(due.bookid, "BookConfirmed").await;
    assert_eq!(running.ledger_of(&due).await.len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_meets_the_charge_gives_back_what_was_taken() {
    let running = Running::start().await;
    for _ in 0..5 {
        // Whichever is first: the worker's charge, or the saga's look at the cancellation.
        let due = running.world.place("numberone").await;
        running.world.defer(due.bookid, false).await;
        running.world.cancel(due.bookid).await;
        running.world.until(due.bookid, "BookClosed").await;
        for charge in running.ledger_of(&due).await {
            assert_eq!(charge.refunded, charge.amount);
        }
        let payment = running.world.payment(due.bookid).await;
        assert_eq!(
            (payment.captured(), payment.points()),
            (payment.refunded(), 0)
        );
        // Who was charged before they cancelled may have been registered meanwhile; that is undone, too.
        let story = running.world.story(due.bookid).await;
        let place = |name: &str| story.iter().position(|event| event == name);
        if place("Registered").is_some() {
            assert!(place("Approved") < place("Bookcancelled"), "{story:?}");
            assert!(
                place("Registercancelled") > place("Registered"),
                "{story:?}"
            );
        }
    }
    running.stop().await;
}
