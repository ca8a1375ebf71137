//! A payment gateway, and the network to it: charged and cut off, late, slow, silent, and forgetful after a day.

mod books;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::payment::Command;
use domain::ports::{
    ChargeOutcome, ChargeRequest, LookupOutcome, PaymentGateway, RefundOutcome, RefundRequest,
};
use tokio::sync::oneshot;

use crate::mutation::Mutation;
use crate::scheduler::{Place, Scheduler, lock};
pub use books::Charge;
use books::{Arrival, Books};

/// The longest that a request is under way: shorter than what `PAYMENT_CALL_MAX_MS` and `PAYMENT_SETTLE_MS` allow for.
const UNDER_WAY_MAX: Duration = Duration::from_secs(20);
const UNDER_WAY_MAX_MS: i64 = 20_000;
/// The longest that the connection of a process outlives its sleep: much shorter than a key is remembered.
const ASLEEP_MAX_MS: i64 = 3_600_000;
/// How many of a hundred requests arrive although their process slept.
const OUTLIVES_SLEEP: u64 = 50;
/// How many charges of a hundred are declined, and how many refunds are refused.
const DECLINES: u64 = 10;
const REFUSES: u64 = 2;

/// What it does when it changes its mind.
pub(crate) const AFTER_ALL: &str = "a declined charge was captured after all";

#[derive(Default)]
struct Inner {
    books: Books,
    bad_percent: u64,
    /// How many charges are sent before the process of the next one falls asleep, and for how long.
    sleeps: Option<(u64, Duration)>,
    seen: BTreeMap<&'static str, u64>,
}

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    scheduler: Scheduler,
    mutation: Option<Mutation>,
    inner: Arc<Mutex<Inner>>,
}

impl Gateway {
    /// One whose network does harm to so many of a hundred calls.
    #[must_use]
    pub fn new(scheduler: Scheduler, mutation: Option<Mutation>, bad_percent: u64) -> Self {
        let inner = Inner {
            bad_percent,
            ..Inner::default()
        };
        Self {
            scheduler,
            mutation,
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// From now on every call is answered.
    pub fn recover(&self) {
        let mut inner = lock(&self.inner);
        inner.bad_percent = 0;
        inner.sleeps = None;
    }

    /// So many charges are sent, and with the next one in its hand a process falls asleep.
    pub(crate) fn put_to_sleep_after(&self, charges: u64, pause: Duration) {
        lock(&self.inner).sleeps = Some((charges, pause));
    }

    /// For how long the process that is about to charge sleeps, if it does.
    fn falls_asleep(&self) -> Option<Duration> {
        let mut inner = lock(&self.inner);
        let (charges, pause) = inner.sleeps?;
        inner.sleeps = charges.checked_sub(1).map(|left| (left, pause));
        (charges == 0).then_some(pause)
    }

    /// Every charge that it has in its books.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.inner).books.charges().to_vec()
    }

    /// What the gateway says by itself of one of its charges: that it was captured, after all even if it had said that
    /// it was declined.
    pub(crate) fn speaks_up(&self) -> Option<(i64, Command)> {
        let charges = lock(&self.inner).books.charges().len();
        let number = self.scheduler.below(charges.max(1) as u64);
        let said = lock(&self.inner)
            .books
            .speak_up_of(usize::try_from(number).ok()?);
        let (bookid, said, was_declined) = said?;
        self.count(if was_declined {
            AFTER_ALL
        } else {
            "the gateway said again that it had captured"
        });
        Some((bookid, said))
    }

    /// Bookings of which a refund was refused.
    pub(crate) fn refused(&self) -> BTreeSet<i64> {
        lock(&self.inner).books.refused()
    }

    pub(crate) fn seen(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.inner).seen.clone()
    }

    fn count(&self, what: &'static str) {
        self.scheduler.tell(|| format!("gateway: {what}"));
        *lock(&self.inner).seen.entry(what).or_default() += 1;
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn is_bad(&self) -> bool {
        let percent = lock(&self.inner).bad_percent;
        self.scheduler.chance(percent)
    }

    /// What arrives that was sent at `sent_ms`, unless its connection did not outlive the sleep of its process.
    fn arrival(&self, sent_ms: i64, refuses: u64) -> Option<Arrival> {
        let now_ms = self.scheduler.now_ms();
        let age_ms = now_ms - sent_ms;
        let slept = age_ms > UNDER_WAY_MAX_MS;
        let is_cut = age_ms > ASLEEP_MAX_MS || !self.scheduler.chance(OUTLIVES_SLEEP);
        if slept && is_cut {
            return None;
        }
        Some(Arrival {
            now_ms,
            slept,
            refused: self.scheduler.chance(refuses),
        })
    }

    /// What the other side of the network does with a charge.
    fn charge_arrives(&self, request: &ChargeRequest, sent_ms: i64) -> Option<ChargeOutcome> {
        let arrival = self.arrival(sent_ms, DECLINES)?;
        let (outcome, is_new) = lock(&self.inner).books.charge(request, arrival);
        let key = &request.idempotency_key;
        self.scheduler
            .tell(|| format!("gateway: {key} is {outcome:?}"));
        if is_new && arrival.slept {
            self.count("a charge arrived whose process had slept");
        }
        Some(outcome)
    }

    fn refund_arrives(&self, request: &RefundRequest, sent_ms: i64) -> Option<RefundOutcome> {
        let arrival = self.arrival(sent_ms, REFUSES)?;
        let (outcome, is_new) = lock(&self.inner).books.give_back(request, arrival);
        if is_new && arrival.refused {
            self.count("a refund was refused");
        }
        Some(outcome)
    }

    /// Sends something that arrives whether or not anybody waits, and answers unless the network swallows it. What is
    /// slow may be slow on the way, or be taken in at once under its key.
    async fn send<T: Send + 'static>(
        &self,
        key: &str,
        arrive: impl FnOnce(&Self) -> Option<T> + Send + 'static,
    ) -> Sent<T> {
        self.scheduler.pause().await;
        if !self.is_bad() {
            let answer = arrive(self);
            self.scheduler.pause().await;
            return answer.map_or(Sent::Perhaps, Sent::Answered);
        }
        match self.scheduler.below(5) {
            0 => {
                self.count("a call was not sent");
                Sent::Not
            }
            1 => {
                self.count("a call was lost on the way");
                Sent::Perhaps
            }
            2 => {
                self.count("a call was answered and the answer lost");
                let _ = arrive(self);
                Sent::Perhaps
            }
            3 => {
                self.count("a call arrived late, and nobody waited");
                let (late, gateway) = (self.scheduler.up_to(UNDER_WAY_MAX), self.clone());
                self.scheduler.spawn(Place::Gateway, async move {
                    gateway.scheduler.sleep(late).await;
                    let _ = arrive(&gateway);
                });
                Sent::Perhaps
            }
            _ => {
                self.count("a call was slow");
                let (slow, gateway) = (self.scheduler.up_to(UNDER_WAY_MAX), self.clone());
                let (answer, answered) = oneshot::channel();
                let key = self.scheduler.chance(50).then(|| key.to_owned());
                lock(&self.inner).books.under_way.extend(key.clone());
                self.scheduler.spawn(Place::Gateway, async move {
                    gateway.scheduler.sleep(slow).await;
                    if let Some(key) = key {
                        lock(&gateway.inner).books.under_way.remove(&key);
                    }
                    let _ = answer.send(arrive(&gateway));
                });
                let answer = answered.await.ok().flatten();
                answer.map_or(Sent::Perhaps, Sent::Answered)
            }
        }
    }

    fn new_key(&self, key: &str) -> String {
        format!("{key}/{}", self.scheduler.below(u64::MAX))
    }
}

/// What became of a call.
enum Sent<T> {
    Answered(T),
    Not,
    Perhaps,
}

fn cut_off() -> String {
    "the connection was cut off".to_owned()
}

#[async_trait]
impl PaymentGateway for Gateway {
    async fn charge(&self, mut request: ChargeRequest) -> ChargeOutcome {
        if self.has(Mutation::NewKeyEachTry) {
            request.idempotency_key = self.new_key(&request.idempotency_key);
        }
        if let Some(pause) = self.falls_asleep() {
            self.count("a process fell asleep with a charge in its hand");
            self.scheduler.stop_here(pause);
        }
        let (key, sent_ms) = (request.idempotency_key.clone(), self.scheduler.now_ms());
        let arrive = move |gateway: &Self| gateway.charge_arrives(&request, sent_ms);
        let unknown = match self.send(&key, arrive).await {
            Sent::Answered(outcome) => return outcome,
            Sent::Not => return ChargeOutcome::NotSent { why: cut_off() },
            Sent::Perhaps => ChargeOutcome::Unknown { why: cut_off() },
        };
        if self.has(Mutation::UnknownIsDeclined) {
            return ChargeOutcome::Declined {
                code: "no-answer".to_owned(),
                message: cut_off(),
            };
        }
        if self.has(Mutation::UnknownIsNotSent) {
            return ChargeOutcome::NotSent { why: cut_off() };
        }
        unknown
    }

    async fn refund(&self, mut request: RefundRequest) -> RefundOutcome {
        if self.has(Mutation::NewRefundKeyEachTry) {
            request.idempotency_key = self.new_key(&request.idempotency_key);
        }
        let (key, sent_ms) = (request.idempotency_key.clone(), self.scheduler.now_ms());
        let arrive = move |gateway: &Self| gateway.refund_arrives(&request, sent_ms);
        match self.send(&key, arrive).await {
            Sent::Answered(outcome) => outcome,
            Sent::Not | Sent::Perhaps => RefundOutcome::Unknown { why: cut_off() },
        }
    }

    async fn look_up(&self, idempotency_key: &str) -> LookupOutcome {
        self.scheduler.pause().await;
        if self.is_bad() {
            self.count("a look-up was not answered");
            return LookupOutcome::Unknown { why: cut_off() };
        }
        let now_ms = self.scheduler.now_ms();
        let found = lock(&self.inner).books.look_up(idempotency_key, now_ms);
        match found {
            LookupOutcome::Pending => self.count("a look-up was told to wait"),
            LookupOutcome::NotFound if self.has(Mutation::NotFoundBelievedAtOnce) => {
                return LookupOutcome::Declined {
                    code: "not-found".to_owned(),
                    message: "no such charge".to_owned(),
                };
            }
            _ => {}
        }
        found
    }
}
