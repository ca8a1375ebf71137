//! A payment gateway, and the network to it: charged and cut off, late, slow, silent, and forgetful after a day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::Money;
use domain::ports::{
    ChargeOutcome, ChargeRequest, LookupOutcome, PaymentGateway, RefundOutcome, RefundRequest,
};
use tokio::sync::oneshot;

use crate::mutation::Mutation;
use crate::scheduler::{Place, Scheduler, lock};

/// How long a key is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 24 * 3_600_000;
/// The longest that a request is under way: shorter than what `PAYMENT_CALL_MAX_MS` and `PAYMENT_SETTLE_MS` allow for.
const UNDER_WAY_MAX: Duration = Duration::from_secs(20);
const UNDER_WAY_MAX_MS: i64 = 20_000;
/// The longest that the connection of a process outlives its sleep: much shorter than a key is remembered.
const ASLEEP_MAX_MS: i64 = 3_600_000;
/// What it says of a charge whose process slept on the way.
const ASLEEP: &str = "a charge arrived whose process had slept";

/// How many refunds of a hundred it will not make.
const REFUSES: u64 = 2;

/// What it does when it changes its mind.
pub(crate) const AFTER_ALL: &str = "a declined charge was captured after all";

/// A charge in the gateway's books.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The booking.
    pub bookid: i64,
    /// Which charge.
    pub charge_no: u32,
    /// What was captured; nothing of one that was declined.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
    asked: i64,
    reference: String,
    declined: bool,
    /// When it arrived.
    pub(crate) at_ms: i64,
    key: String,
    /// Whether its process slept on the way, for longer than a charge is waited for.
    pub(crate) slept: bool,
}

/// Money that went back.
struct Refund {
    bookid: i64,
    /// It will not do it.
    refused: bool,
    reference: String,
    at_ms: i64,
    key: String,
}

#[derive(Default)]
struct Books {
    charges: Vec<Charge>,
    refunds: Vec<Refund>,
    /// Keys of charges that it has taken in and not decided on.
    under_way: BTreeSet<String>,
    /// Whether what arrives now comes from a process that slept.
    slept: bool,
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
    books: Arc<Mutex<Books>>,
}

impl Gateway {
    /// One whose network does harm to so many of a hundred calls.
    #[must_use]
    pub fn new(scheduler: Scheduler, mutation: Option<Mutation>, bad_percent: u64) -> Self {
        let books = Books {
            bad_percent,
            ..Books::default()
        };
        Self {
            scheduler,
            mutation,
            books: Arc::new(Mutex::new(books)),
        }
    }

    /// From now on every call is answered.
    pub fn recover(&self) {
        let mut books = lock(&self.books);
        books.bad_percent = 0;
        books.sleeps = None;
    }

    /// So many charges are sent, and with the next one in its hand a process falls asleep.
    pub(crate) fn put_to_sleep_after(&self, charges: u64, pause: Duration) {
        lock(&self.books).sleeps = Some((charges, pause));
    }

    /// For how long the process that is about to charge sleeps, if it does.
    fn falls_asleep(&self) -> Option<Duration> {
        let mut books = lock(&self.books);
        let (charges, pause) = books.sleeps?;
        books.sleeps = charges.checked_sub(1).map(|left| (left, pause));
        (charges == 0).then_some(pause)
    }

    /// Every charge that it has in its books.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.books).charges.clone()
    }

    /// What the gateway says by itself of one of its charges: that it was captured, after all even if it had said that
    /// it was declined.
    pub(crate) fn speaks_up(&self) -> Option<(i64, domain::payment::Command)> {
        let mut books = lock(&self.books);
        let number = self.scheduler.below(books.charges.len().max(1) as u64);
        let charge = books.charges.get_mut(usize::try_from(number).ok()?)?;
        let was_declined = std::mem::replace(&mut charge.declined, false);
        if was_declined {
            charge.captured = charge.asked;
        }
        let said = domain::payment::Command::RecordApproval {
            charge_no: charge.charge_no,
            gateway_ref: charge.reference.clone(),
            captured: Money::krw(charge.captured),
        };
        let bookid = charge.bookid;
        drop(books);
        self.count(if was_declined {
            AFTER_ALL
        } else {
            "the gateway said again that it had captured"
        });
        Some((bookid, said))
    }

    /// Bookings of which a refund was refused.
    pub(crate) fn refused(&self) -> BTreeSet<i64> {
        let books = lock(&self.books);
        let refused = books.refunds.iter().filter(|refund| refund.refused);
        refused.map(|refund| refund.bookid).collect()
    }

    pub(crate) fn seen(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.books).seen.clone()
    }

    fn count(&self, what: &'static str) {
        self.scheduler.tell(|| format!("gateway: {what}"));
        *lock(&self.books).seen.entry(what).or_default() += 1;
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn is_bad(&self) -> bool {
        let percent = lock(&self.books).bad_percent;
        self.scheduler.chance(percent)
    }

    /// What the other side of the network does with a charge.
    fn arrive(&self, request: &ChargeRequest) -> ChargeOutcome {
        let (now, declines) = (self.scheduler.now_ms(), self.scheduler.chance(10));
        let mut books = lock(&self.books);
        let key = &request.idempotency_key;
        let known = |charge: &&Charge| charge.key == *key && now - charge.at_ms <= REMEMBERED_MS;
        if let Some(charge) = books.charges.iter().find(known) {
            return charge.outcome();
        }
        let charge = Charge {
            bookid: request.payid.0,
            charge_no: request.charge_no,
            captured: if declines { 0 } else { request.price.minor },
            refunded: 0,
            asked: request.price.minor,
            reference: format!("charge-{}", books.charges.len() + 1),
            declined: declines,
            at_ms: now,
            key: key.clone(),
            slept: books.slept,
        };
        if charge.slept {
            *books.seen.entry(ASLEEP).or_default() += 1;
        }
        let outcome = charge.outcome();
        self.scheduler
            .tell(|| format!("gateway: {key} is {outcome:?}"));
        books.charges.push(charge);
        outcome
    }

    fn arrive_back(&self, request: &RefundRequest) -> RefundOutcome {
        let (now, refuses) = (self.scheduler.now_ms(), self.scheduler.chance(REFUSES));
        let mut books = lock(&self.books);
        let key = &request.idempotency_key;
        let known = |refund: &&Refund| refund.key == *key && now - refund.at_ms <= REMEMBERED_MS;
        if let Some(refund) = books.refunds.iter().find(known) {
            return refund.outcome();
        }
        let reference = format!("refund-{}", books.refunds.len() + 1);
        let charge = books
            .charges
            .iter_mut()
            .find(|charge| charge.reference == request.gateway_ref);
        let Some(charge) = charge else {
            let code = "no-such-charge".to_owned();
            return RefundOutcome::Rejected { code };
        };
        if refuses {
            *books.seen.entry("a refund was refused").or_default() += 1;
        } else {
            charge.refunded += request.refund.minor;
        }
        let refund = Refund {
            bookid: request.payid.0,
            refused: refuses,
            reference,
            at_ms: now,
            key: key.clone(),
        };
        let outcome = refund.outcome();
        books.refunds.push(refund);
        outcome
    }

    /// Sends something that arrives whether or not anybody waits, and answers unless the network swallows it. What is slow
    /// may be slow on the way, or be taken in at once under its key.
    async fn send<T: Send + 'static>(
        &self,
        key: &str,
        arrive: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Sent<T> {
        let sent_ms = self.scheduler.now_ms();
        let arrive = move |gateway: &Self| {
            // The connection that it travelled on may outlive a machine that slept, or not.
            let age_ms = gateway.scheduler.now_ms() - sent_ms;
            let slept = age_ms > UNDER_WAY_MAX_MS;
            if slept && (age_ms > ASLEEP_MAX_MS || gateway.scheduler.chance(50)) {
                return None;
            }
            lock(&gateway.books).slept = slept;
            Some(arrive(gateway))
        };
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
                lock(&self.books).under_way.extend(key.clone());
                self.scheduler.spawn(Place::Gateway, async move {
                    gateway.scheduler.sleep(slow).await;
                    if let Some(key) = key {
                        lock(&gateway.books).under_way.remove(&key);
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

impl Refund {
    fn outcome(&self) -> RefundOutcome {
        if self.refused {
            let code = "refused".to_owned();
            return RefundOutcome::Rejected { code };
        }
        let refund_ref = self.reference.clone();
        RefundOutcome::Refunded { refund_ref }
    }
}

/// What became of a call.
enum Sent<T> {
    Answered(T),
    Not,
    Perhaps,
}

impl Charge {
    fn outcome(&self) -> ChargeOutcome {
        if self.declined {
            return ChargeOutcome::Declined {
                code: "card-declined".to_owned(),
                message: "declined".to_owned(),
            };
        }
        ChargeOutcome::Approved {
            gateway_ref: self.reference.clone(),
            captured: Money::krw(self.captured),
        }
    }
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
        let key = request.idempotency_key.clone();
        let sent = self.send(&key, move |gateway| gateway.arrive(&request));
        let unknown = match sent.await {
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
        let key = request.idempotency_key.clone();
        let sent = self.send(&key, move |gateway| gateway.arrive_back(&request));
        match sent.await {
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
        let now = self.scheduler.now_ms();
        if lock(&self.books).under_way.contains(idempotency_key) {
            self.count("a look-up was told to wait");
            return LookupOutcome::Pending;
        }
        let books = lock(&self.books);
        let known = books
            .charges
            .iter()
            .find(|charge| charge.key == idempotency_key && now - charge.at_ms <= REMEMBERED_MS);
        match known.map(Charge::outcome) {
            Some(ChargeOutcome::Approved {
                gateway_ref,
                captured,
            }) => LookupOutcome::Approved {
                gateway_ref,
                captured,
            },
            Some(ChargeOutcome::Declined { code, message }) => {
                LookupOutcome::Declined { code, message }
            }
            None if self.has(Mutation::NotFoundBelievedAtOnce) => LookupOutcome::Declined {
                code: "not-found".to_owned(),
                message: "no such charge".to_owned(),
            },
            _ => LookupOutcome::NotFound,
        }
    }
}
