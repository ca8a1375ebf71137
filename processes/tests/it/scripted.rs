//! A gateway that says what a test tells it to, and remembers what it was asked.
//!
//! Its books are as idempotent as a real gateway's: one charge and one refund for each key.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use domain::Money;
use domain::ports::{
    ChargeOutcome, ChargeRequest, LookupOutcome, PaymentGateway, RefundOutcome, RefundRequest,
};
use tokio::sync::{Semaphore, watch};

use crate::world::PATIENCE;

/// What the gateway does with a charge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// Captures, and says so.
    Approve,
    /// Captures another amount, and says so.
    ApproveTooMuch,
    /// Declines.
    Decline,
    /// Cannot be reached.
    NotSent,
    /// Fails without having captured.
    Fail,
    /// Captures and never answers.
    CaptureInSilence,
    /// Captures and says so once it is let go on ([`Scripted::let_go`]).
    Hold,
}

/// The gateway.
pub(crate) struct Scripted {
    script: Mutex<VecDeque<Say>>,
    look_up_script: Mutex<VecDeque<LookupOutcome>>,
    refund_script: Mutex<VecDeque<RefundOutcome>>,
    captured: Mutex<BTreeMap<String, Money>>,
    refunded: Mutex<BTreeMap<String, Money>>,
    asked: watch::Sender<Asked>,
    held: Semaphore,
    held_look_ups: Option<Semaphore>,
    silent_at_refunds: bool,
}

/// Keys the gateway was called with, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) charges: Vec<String>,
    pub(crate) look_ups: Vec<String>,
    pub(crate) refunds: Vec<String>,
}

impl Scripted {
    /// Says `script` to one charge after the other, and then approves.
    pub(crate) fn new(script: impl IntoIterator<Item = Say>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            look_up_script: Mutex::default(),
            refund_script: Mutex::default(),
            captured: Mutex::default(),
            refunded: Mutex::default(),
            asked: watch::Sender::default(),
            held: Semaphore::new(0),
            held_look_ups: None,
            silent_at_refunds: false,
        }
    }

    /// Look-ups are answered once they are let go on.
    pub(crate) fn holding_look_ups(mut self) -> Self {
        self.held_look_ups = Some(Semaphore::new(0));
        self
    }

    /// Refunds are never answered.
    pub(crate) fn silent_at_refunds(mut self) -> Self {
        self.silent_at_refunds = true;
        self
    }

    /// What the next charges are told.
    pub(crate) fn say(&self, script: impl IntoIterator<Item = Say>) {
        self.script.lock().unwrap().extend(script);
    }

    /// Forgets what it was told: from now on it is well.
    pub(crate) fn recover(&self) {
        self.script.lock().unwrap().clear();
    }

    /// What the next look-ups are told, whatever the books say.
    pub(crate) fn say_of_look_ups(&self, script: impl IntoIterator<Item = LookupOutcome>) {
        self.look_up_script.lock().unwrap().extend(script);
    }

    /// What the next refunds are told.
    pub(crate) fn say_of_refunds(&self, script: impl IntoIterator<Item = RefundOutcome>) {
        self.refund_script.lock().unwrap().extend(script);
    }

    /// Captures without having been asked by this process.
    pub(crate) fn capture(&self, key: &str, amount: Money) {
        self.captured.lock().unwrap().insert(key.to_owned(), amount);
    }

    /// Lets held charges go on.
    pub(crate) fn let_go(&self, charges: usize) {
        self.held.add_permits(charges);
    }

    /// Lets held look-ups go on.
    pub(crate) fn let_look_ups_go(&self, look_ups: usize) {
        self.held_look_ups.as_ref().unwrap().add_permits(look_ups);
    }

    pub(crate) fn asked(&self) -> Asked {
        self.asked.borrow().clone()
    }

    /// Waits until the gateway was asked what `enough` wants to see.
    pub(crate) async fn until_asked(&self, enough: impl FnMut(&Asked) -> bool) {
        let mut asked = self.asked.subscribe();
        local_postgres::testing::timeout(PATIENCE, asked.wait_for(enough))
            .await
            .unwrap_or_else(|_| panic!("the gateway was asked only {:?}", self.asked()))
            .unwrap();
    }

    /// How many charges its books have.
    pub(crate) fn captures(&self) -> usize {
        self.captured.lock().unwrap().len()
    }

    /// How many refunds its books have.
    pub(crate) fn refunds(&self) -> usize {
        self.refunded.lock().unwrap().len()
    }

    fn enter(&self, request: &ChargeRequest) -> ChargeOutcome {
        let mut captured = self.captured.lock().unwrap();
        let amount = captured
            .entry(request.idempotency_key.clone())
            .or_insert(request.price);
        ChargeOutcome::Approved {
            gateway_ref: reference(&request.idempotency_key),
            captured: *amount,
        }
    }
}

#[async_trait]
impl PaymentGateway for Scripted {
    async fn charge(&self, request: ChargeRequest) -> ChargeOutcome {
        self.asked
            .send_modify(|asked| asked.charges.push(request.idempotency_key.clone()));
        let say = self.script.lock().unwrap().pop_front();
        let why = || "scripted".to_owned();
        match say.unwrap_or(Say::Approve) {
            Say::Approve => self.enter(&request),
            Say::ApproveTooMuch => {
                self.capture(
                    &request.idempotency_key,
                    Money::krw(request.price.minor + 1),
                );
                self.enter(&request)
            }
            Say::Decline => ChargeOutcome::Declined {
                code: "card-declined".to_owned(),
                message: why(),
            },
            Say::NotSent => ChargeOutcome::NotSent { why: why() },
            Say::Fail => ChargeOutcome::Unknown { why: why() },
            Say::CaptureInSilence => {
                self.enter(&request);
                std::future::pending().await
            }
            Say::Hold => {
                self.held.acquire().await.unwrap().forget();
                self.enter(&request)
            }
        }
    }

    async fn refund(&self, request: RefundRequest) -> RefundOutcome {
        self.asked
            .send_modify(|asked| asked.refunds.push(request.idempotency_key.clone()));
        if self.silent_at_refunds {
            std::future::pending::<()>().await;
        }
        let said = self.refund_script.lock().unwrap().pop_front();
        said.unwrap_or_else(|| {
            let refund_ref = reference(&request.idempotency_key);
            self.refunded
                .lock()
                .unwrap()
                .insert(request.idempotency_key, request.refund);
            RefundOutcome::Refunded { refund_ref }
        })
    }

    async fn look_up(&self, key: &str) -> LookupOutcome {
        self.asked
            .send_modify(|asked| asked.look_ups.push(key.to_owned()));
        if let Some(held) = &self.held_look_ups {
            held.acquire().await.unwrap().forget();
        }
        let said = self.look_up_script.lock().unwrap().pop_front();
        said.unwrap_or_else(|| match self.captured.lock().unwrap().get(key) {
            Some(captured) => LookupOutcome::Approved {
                gateway_ref: reference(key),
                captured: *captured,
            },
            None => LookupOutcome::NotFound,
        })
    }
}

fn reference(key: &str) -> String {
    format!("reference of {key}")
}
