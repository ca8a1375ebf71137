//! A payment that does what the test says.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::ports::{PaymentDue, PendingReason, TakePayment, Taken};
use tokio::sync::Semaphore;

/// Takes payments: answers each the same, once it is let.
pub(crate) struct Till {
    answer: Taken,
    asked: Mutex<Vec<PaymentDue>>,
    /// How many may answer.
    gate: Semaphore,
}

impl Till {
    /// Answers at once.
    pub(crate) fn answering(answer: Taken) -> Arc<Self> {
        let till = Self::closed(answer);
        till.open(Semaphore::MAX_PERMITS);
        till
    }

    /// Answers nobody until it is opened.
    pub(crate) fn closed(answer: Taken) -> Arc<Self> {
        Arc::new(Self {
            answer,
            asked: Mutex::default(),
            gate: Semaphore::new(0),
        })
    }

    /// Lets `answers` through.
    pub(crate) fn open(&self, answers: usize) {
        self.gate.add_permits(answers);
    }

    /// Which payments it was asked for.
    pub(crate) fn asked(&self) -> Vec<PaymentDue> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn approved() -> Taken {
    Taken::Approved { position: 4 }
}

pub(crate) fn declined() -> Taken {
    Taken::Declined {
        code: "card_declined".to_owned(),
        message: "the card was declined".to_owned(),
        position: 3,
    }
}

pub(crate) fn pending() -> Taken {
    Taken::Pending {
        reason: PendingReason::Timeout,
        sent: true,
    }
}

#[async_trait]
impl TakePayment for Till {
    async fn take(&self, payment: PaymentDue) -> Taken {
        self.asked.lock().unwrap().push(payment);
        self.gate.acquire().await.unwrap().forget();
        self.answer.clone()
    }
}
