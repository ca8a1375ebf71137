//! Breaker, bulkhead and late calls, as customers meet them.

use std::sync::Arc;

use domain::ports::{PaymentDue, PendingReason, TakePayment, Taken};
use processes::payment::InlinePayment;
use processes::settings::{BreakerSettings, PaymentSettings};
use tokio::task::JoinHandle;

use crate::heard::Heard;
use crate::scripted::{Say, Scripted};
use crate::world::{World, beside, ms, settings, settings_with, within};

const BREAKER_OPEN: Taken = Taken::Pending {
    reason: PendingReason::BreakerOpen,
    sent: false,
};
const BULKHEAD_FULL: Taken = Taken::Pending {
    reason: PendingReason::BulkheadFull,
    sent: false,
};
const TIMEOUT: Taken = Taken::Pending {
    reason: PendingReason::Timeout,
    sent: true,
};
const UNREACHABLE: Taken = Taken::Pending {
    reason: PendingReason::Unreachable,
    sent: true,
};

/// A counter at which customers pay.
struct Counter {
    world: World,
    gateway: Arc<Scripted>,
    payment: Arc<InlinePayment>,
}

impl Counter {
    async fn open(settings: PaymentSettings, script: impl IntoIterator<Item = Say>) -> Self {
        let world = World::new().await;
        let gateway = Arc::new(Scripted::new(script));
        let payment = InlinePayment::new(
            world.journal.clone(),
            gateway.clone(),
            world.timeline.clone(),
            settings,
        );
        Self {
            world,
            gateway,
            payment: Arc::new(payment),
        }
    }

    async fn pay(&self) -> Taken {
        let due = self.world.place("numberone").await;
        within(self.payment.take(due)).await
    }

    /// A customer who pays in a task of their own.
    async fn pay_beside(&self) -> (PaymentDue, JoinHandle<Taken>) {
        let due = self.world.place("numberone").await;
        let (payment, paid) = (self.payment.clone(), due.clone());
        (due, beside(async move { payment.take(paid).await }))
    }

    /// A customer who pays in a task of their own, and waits for a place by now.
    async fn wait_beside(&self) -> (PaymentDue, JoinHandle<Taken>) {
        let due = self.world.place("numberone").await;
        let looks = self.world.timeline.looks();
        let (payment, paid) = (self.payment.clone(), due.clone());
        let take = beside(async move { payment.take(paid).await });
        // The clock is looked at when the journal has been read, and by the breaker. On a runtime of one
        // thread whoever has looked goes on to the bulkhead before anybody else runs.
        self.world.timeline.looked_at(looks + 2).await;
        (due, take)
    }

    /// Waits until so many charges reached the gateway.
    async fn until_sent(&self, charges: usize) {
        self.gateway
            .until_asked(|asked| asked.charges.len() == charges)
            .await;
    }

    fn sent(&self) -> usize {
        self.gateway.asked().charges.len()
    }
}

fn approved(taken: &Taken) -> bool {
    matches!(taken, Taken::Approved { .. })
}

/// One place, and a breaker that opens at the second call if at least this share failed.
fn narrow(error_pct: u8) -> PaymentSettings {
    settings_with(BreakerSettings {
        max_concurrent: 1,
        min_calls: 2,
        error_pct,
        ..BreakerSettings::default()
    })
}

#[tokio::test]
async fn the_breaker_opens_at_twenty_calls_half_of_which_failed_and_closes_after_a_probe() {
    let heard = Heard::new();
    let script = [Say::Fail, Say::Approve].into_iter().cycle().take(20);
    let counter = Counter::open(settings(), script).await;
    for call in 0..20 {
        let taken = counter.pay().await;
        assert!(taken != BREAKER_OPEN, "call {call}");
    }
    // Open: answered at once, though time stands still, and nothing is sent.
    assert_eq!(counter.pay().await, BREAKER_OPEN);
    counter.world.timeline.advance(ms(4_999));
    assert_eq!(counter.pay().await, BREAKER_OPEN);
    assert_eq!(counter.sent(), 20);
    assert_eq!(heard.metric("circuit_breaker_state{name=\"inline\"}"), 2);
    let held = "payment_calls_held_back_total{name=\"inline\",reason=\"breaker_open\"}";
    assert_eq!(heard.metric(held), 2);
    assert_eq!(heard.lines(&["the breaker changed"]), 1, "{}", heard.log());
    // Half-open: exactly one probe.
    counter.world.timeline.advance(ms(1));
    counter.gateway.say([Say::Hold]);
    let (_, probe) = counter.pay_beside().await;
    counter.until_sent(21).await;
    for _ in 0..3 {
        assert_eq!(counter.pay().await, BREAKER_OPEN);
    }
    counter.gateway.let_go(1);
    assert!(approved(&within(probe).await.unwrap()));
    // Closed.
    for _ in 0..3 {
        assert!(approved(&counter.pay().await));
    }
    assert_eq!(heard.metric("circuit_breaker_state{name=\"inline\"}"), 0);
    assert_eq!(heard.lines(&["the breaker changed"]), 3, "{}", heard.log());
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_again() {
    let counter = Counter::open(narrow(100), [Say::Fail, Say::Fail, Say::Fail]).await;
    assert_eq!(
        [counter.pay().await, counter.pay().await],
        [UNREACHABLE, UNREACHABLE]
    );
    counter.world.timeline.advance(ms(5_000));
    assert_eq!(counter.pay().await, UNREACHABLE);
    assert_eq!(counter.pay().await, BREAKER_OPEN);
    counter.world.timeline.advance(ms(5_000));
    assert!(approved(&counter.pay().await));
}

#[tokio::test]
async fn what_was_not_sent_is_a_failure_too() {
    let counter = Counter::open(narrow(100), [Say::NotSent, Say::NotSent]).await;
    counter.pay().await;
    counter.pay().await;
    assert_eq!(counter.pay().await, BREAKER_OPEN);
}

#[tokio::test]
async fn a_decline_is_an_answer() {
    let counter = Counter::open(narrow(1), [Say::Decline, Say::Decline, Say::Decline]).await;
    for _ in 0..3 {
        assert!(matches!(counter.pay().await, Taken::Declined { .. }));
    }
}

#[tokio::test]
async fn an_unanswered_call_is_a_failure_even_if_it_is_approved_later() {
    let settings = settings_with(BreakerSettings {
        min_calls: 1,
        ..BreakerSettings::default()
    });
    let counter = Counter::open(settings, [Say::Hold]).await;
    let (due, take) = counter.pay_beside().await;
    counter.until_sent(1).await;
    counter.world.timeline.asleep(ms(10_000)).await;
    counter.world.timeline.advance(ms(2_000));
    assert_eq!(within(take).await.unwrap(), TIMEOUT);
    assert_eq!(counter.pay().await, BREAKER_OPEN);
    counter.gateway.let_go(1);
    counter.world.until(due.bookid, "Approved").await;
    assert_eq!(
        counter.pay().await,
        BREAKER_OPEN,
        "its answer does not close the breaker"
    );
}

#[tokio::test]
async fn no_place_in_time_is_no_failure() {
    // With one place: the first holds it for 2 s, the second takes it then, the third has waited in vain at 3 s.
    let counter = Counter::open(narrow(60), [Say::Hold, Say::Hold]).await;
    let (_, first) = counter.pay_beside().await;
    counter.until_sent(1).await;
    counter.world.timeline.advance(ms(1_000));
    let (_, second) = counter.wait_beside().await;
    let (unlucky, third) = counter.wait_beside().await;
    counter.world.timeline.advance(ms(1_000));
    assert_eq!(within(first).await.unwrap(), TIMEOUT);
    counter.until_sent(2).await;
    counter.world.timeline.advance(ms(1_000));
    assert_eq!(within(third).await.unwrap(), BULKHEAD_FULL);
    assert_eq!(within(second).await.unwrap(), TIMEOUT);
    assert_eq!(
        counter.world.story(unlucky.bookid).await.len(),
        2,
        "nothing was sent or recorded"
    );
    // One failure and one answer are less than 60 %; one more failure would not be.
    counter.gateway.let_go(2);
    assert!(approved(&counter.pay().await));
    assert!(approved(&counter.pay().await));
}

#[tokio::test]
async fn a_late_call_gives_its_place_back() {
    let counter = Counter::open(narrow(100), [Say::Hold, Say::Approve]).await;
    let (due, take) = counter.pay_beside().await;
    counter.until_sent(1).await;
    counter.world.timeline.asleep(ms(10_000)).await;
    counter.world.timeline.advance(ms(2_000));
    assert_eq!(within(take).await.unwrap(), TIMEOUT);
    assert!(approved(&counter.pay().await), "the only place is free");
    counter.gateway.let_go(1);
    counter.world.until(due.bookid, "Approved").await;
}

#[tokio::test]
async fn only_so_many_calls_go_on_late() {
    let heard = Heard::new();
    let settings = PaymentSettings {
        late_max: 1,
        ..settings()
    };
    let counter = Counter::open(settings, [Say::Hold, Say::Hold]).await;
    let (first, one) = counter.pay_beside().await;
    counter.until_sent(1).await;
    counter.world.timeline.advance(ms(1));
    let (second, two) = counter.pay_beside().await;
    counter.until_sent(2).await;
    counter.world.timeline.advance(ms(1_999));
    assert_eq!(within(one).await.unwrap(), TIMEOUT);
    counter.world.timeline.advance(ms(1));
    assert_eq!(within(two).await.unwrap(), TIMEOUT);
    // The second is dropped, and found out about by a worker.
    counter
        .world
        .until(second.bookid, "PaymentOutcomeUnknown")
        .await;
    let dropped = "payment_late_calls_total{outcome=\"dropped\"}";
    assert_eq!(heard.metric(dropped), 1);
    counter.gateway.let_go(2);
    counter.world.until(first.bookid, "Approved").await;
    assert_eq!(counter.world.times(second.bookid, "Approved").await, 0);
}
