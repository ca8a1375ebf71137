//! How long, how many, how often: what an operator can set about payments.
//!
//! The names are those of the environment (`PAYMENT_…`, `CB_…`) in lower case; the defaults are the seed's
//! where it had one.

use std::time::Duration;

/// About calls to the payment gateway, or to whoever plays the payment role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentSettings {
    /// How long a customer waits, in milliseconds.
    pub timeout_ms: u64,
    /// How long a call may take before its answer is not waited for any more, in milliseconds.
    pub call_max_ms: u64,
    /// How long after the last possible call's end "not found" is believed, in milliseconds.
    pub settle_ms: u64,
    /// How many calls may go on after their customer stopped waiting.
    pub late_max: u32,
    /// When calls are not even tried.
    pub breaker: BreakerSettings,
}

/// When calls are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// How far back calls are counted, in milliseconds.
    pub window_ms: u64,
    /// How many calls the window must hold before they are judged.
    pub min_calls: u32,
    /// Which share of failures opens the breaker, in percent.
    pub error_pct: u8,
    /// How long it stays open before one call may try again, in milliseconds.
    pub open_ms: u64,
    /// How many calls are in flight at once.
    pub max_concurrent: u32,
}

impl Default for PaymentSettings {
    fn default() -> Self {
        Self {
            timeout_ms: 2_000,
            call_max_ms: 10_000,
            settle_ms: 60_000,
            late_max: 50,
            breaker: BreakerSettings::default(),
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window_ms: 10_000,
            min_calls: 20,
            error_pct: 50,
            open_ms: 5_000,
            max_concurrent: 10,
        }
    }
}

impl PaymentSettings {
    /// How long a customer waits.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long a call may take.
    #[must_use]
    pub fn call_max(&self) -> Duration {
        Duration::from_millis(self.call_max_ms)
    }

    /// How long after the moment that a charge was wanted a customer's call for it has ended, whatever became
    /// of it: the wait for a place, and the call.
    #[must_use]
    pub fn inline_max(&self) -> Duration {
        self.timeout() + self.call_max()
    }

    /// How long after the last moment that a charge may have been wanted "not found" is believed.
    #[must_use]
    pub fn settled_after(&self) -> Duration {
        self.inline_max() + self.settle()
    }

    /// How long after the end of a call "not found" is believed.
    #[must_use]
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}
