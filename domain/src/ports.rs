//! What the domain needs from outside, as traits: time, randomness, and the two sides of a payment.
//!
//! Two payment ports, not one. [`TakePayment`] is what a booking asks of whoever runs the payment role, in
//! process or over HTTP, and it is what a customer waits for. [`PaymentGateway`] is what the payment role
//! asks of the company that moves money.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::value::{BookId, Money};

/// Tells the time. The real one is `journal::runtime::SystemClock`; tests and simulations bring their own.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Now, where the time was set by hand: tests play a day in a minute. What is otherwise measured by the database's
    /// clock then goes by this.
    fn set_by_hand(&self) -> Option<Timestamp> {
        None
    }
}

/// Draws numbers that nobody needs to guess at: ids and jitter, never keys or tokens.
pub trait Random: Send + Sync {
    /// A fresh id.
    fn uuid(&self) -> Uuid;
    /// A number below `bound`; zero when `bound` is zero.
    fn below(&self, bound: u64) -> u64;
}

/// Asks for a booking's payment, whose intent is already in the journal.
#[async_trait]
pub trait TakePayment: Send + Sync {
    /// Takes the payment, waiting as long as a customer waits (`PAYMENT_TIMEOUT_MS`). Whatever the answer,
    /// the outcome of the charge will be in the Payment stream in the end.
    async fn take(&self, payment: PaymentDue) -> Taken;
}

/// A payment that was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentDue {
    /// The booking, which is also the payment's number.
    pub bookid: BookId,
    /// Which charge.
    pub charge_no: u32,
    /// Which space; the stub gateway's fault hooks go by it.
    pub spacename: String,
    /// What is charged, in minor units.
    pub price: Money,
    /// The journey that this belongs to, kept in every event's metadata.
    pub correlation_id: String,
    /// W3C trace context of the request, if it had one.
    pub traceparent: Option<String>,
}

/// What became of a payment while the customer waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Captured and recorded.
    Approved {
        /// Position of the last recorded event, `PointsAccrued`.
        position: i64,
    },
    /// Declined and recorded.
    Declined {
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
        /// Position of `PaymentDeclined`.
        position: i64,
    },
    /// Not known yet; it is being found out.
    Pending {
        /// Why it is not known.
        reason: PendingReason,
        /// Whether the charge may have reached the gateway.
        sent: bool,
    },
}

/// Why a customer was told to wait. The sentence is for people; other processes go by [`PendingReason::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PendingReason {
    /// The breaker is open: the gateway is having a bad time.
    #[error("the payment gateway is overloaded")]
    BreakerOpen,
    /// No place among the calls in flight came free in time.
    #[error("too many payments are in flight")]
    BulkheadFull,
    /// The call was not answered in time.
    #[error("the payment gateway did not answer in time")]
    Timeout,
    /// The gateway could not be reached, or its answer could not be read.
    #[error("the payment gateway could not be reached")]
    Unreachable,
    /// The outcome could not be written down in time.
    #[error("the outcome could not be recorded")]
    NotRecorded,
}

impl PendingReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BreakerOpen,
        Self::BulkheadFull,
        Self::Timeout,
        Self::Unreachable,
        Self::NotRecorded,
    ];

    /// Its code between the roles. It stays when the sentence is worded better: versions meet in a rolling upgrade.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker-open",
            Self::BulkheadFull => "bulkhead-full",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::NotRecorded => "not-recorded",
        }
    }

    /// The reason with this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code)
    }
}

/// Moves money. Every call may be repeated: the same key is the same charge or refund.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Captures money.
    async fn charge(&self, request: ChargeRequest) -> ChargeOutcome;
    /// Gives captured money back.
    async fn refund(&self, request: RefundRequest) -> RefundOutcome;
    /// Finds out what became of a charge, by its key.
    async fn look_up(&self, idempotency_key: &str) -> LookupOutcome;
}

/// A charge to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// The payment.
    pub payid: BookId,
    /// Which charge of it.
    pub charge_no: u32,
    /// Which space.
    pub spacename: String,
    /// What is charged, in minor units.
    pub price: Money,
    /// The same key is the same charge.
    pub idempotency_key: String,
    /// The journey that this belongs to.
    pub correlation_id: String,
}

/// What became of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// Captured.
    Approved {
        /// The gateway's reference.
        gateway_ref: String,
        /// What was captured.
        captured: Money,
    },
    /// Refused for good under this key.
    Declined {
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// Certainly not sent.
    NotSent {
        /// What went wrong, for people.
        why: String,
    },
    /// Sent, perhaps; it must be asked for.
    Unknown {
        /// What went wrong, for people.
        why: String,
    },
}

/// A refund to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// The payment.
    pub payid: BookId,
    /// Which refund of it.
    pub refund_no: u32,
    /// The charge's reference.
    pub gateway_ref: String,
    /// What is given back, in minor units.
    pub refund: Money,
    /// Why, for the gateway's own books.
    pub reason: String,
    /// The same key is the same refund.
    pub idempotency_key: String,
    /// The journey that this belongs to.
    pub correlation_id: String,
}

/// What became of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money is on its way back.
    Refunded {
        /// The gateway's reference.
        refund_ref: String,
    },
    /// The gateway will not do it: people must look.
    Rejected {
        /// The gateway's code.
        code: String,
    },
    /// Not known, or not sent; the same key may be sent again.
    Unknown {
        /// What went wrong, for people.
        why: String,
    },
}

/// What a gateway knows of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupOutcome {
    /// It was captured.
    Approved {
        /// The gateway's reference.
        gateway_ref: String,
        /// What was captured.
        captured: Money,
    },
    /// It was declined.
    Declined {
        /// The gateway's code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// It is under way.
    Pending,
    /// The gateway has never heard of it, as of now.
    NotFound,
    /// The gateway did not say.
    Unknown {
        /// What went wrong, for people.
        why: String,
    },
}

/// What the stub gateway remembers, for people who check it against the journal. Only development has one.
#[async_trait]
pub trait StubLedger: Send + Sync {
    /// Every captured charge, oldest first.
    ///
    /// # Errors
    /// Why the ledger cannot be read.
    async fn charges(&self) -> Result<Vec<LedgerCharge>, String>;
}

/// A captured charge in the stub's ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LedgerCharge {
    /// The booking.
    pub bookid: BookId,
    /// Which charge of it.
    pub charge_no: u32,
    /// Minor units captured.
    pub amount: i64,
    /// Minor units given back.
    pub refunded: i64,
    /// The idempotency key.
    pub key: String,
}
