//! Fail points: named places at which a test may stop or kill the process.
//!
//! `fail_point!("booking-stored")` is one line in the code, and in a build without debug assertions it is nothing at
//! all: neither a call nor the name is compiled. Elsewhere it asks whoever was [installed](install), and that is the
//! program when it was told to (docs/adr/0018). A place may say of what it speaks: `fail_point!("job-claimed", kind)`.

#[cfg(debug_assertions)]
use std::sync::OnceLock;

/// Every place that is in the code. The crash matrix has a crash at each of them, and a test compares this list with
/// the code.
#[cfg(debug_assertions)]
pub const PLACES: [&str; 26] = [
    // A command with an idempotency key.
    "key-taken",
    "key-answer-due",
    "key-answer-stored",
    // A booking.
    "booking-numbered",
    "booking-stored",
    "deferral-due",
    "deferral-stored",
    // A cancellation.
    "cancel-due",
    "cancel-stored",
    // A move to another time.
    "move-due",
    "move-stored",
    // The gateway.
    "charge-due",
    "charge-answered",
    "look-up-answered",
    "refund-due",
    "refund-answered",
    // What it said, into the journal.
    "outcome-due",
    "outcome-stored",
    // The saga.
    "saga-commands-due",
    "saga-command-sent",
    // A follower, the saga or a read model.
    "checkpoint-moved",
    "batch-written",
    "batch-committed",
    // A job.
    "job-claimed",
    "job-noted",
    "job-worked",
];

/// Is told the place that was reached, and of what it speaks.
#[cfg(debug_assertions)]
pub type Hook = fn(place: &str, of: &str);

#[cfg(debug_assertions)]
static HOOK: OnceLock<Hook> = OnceLock::new();

/// Has `hook` told of every place from now on; the first one stays.
#[cfg(debug_assertions)]
pub fn install(hook: Hook) {
    let _ = HOOK.set(hook);
}

/// A place was reached: what `fail_point!` stands for.
#[cfg(debug_assertions)]
pub fn reached(place: &str, of: &dyn std::fmt::Display) {
    if let Some(hook) = HOOK.get() {
        hook(place, &of.to_string());
    }
}

/// Names a place at which a test may stop the process; nothing without debug assertions.
#[macro_export]
macro_rules! fail_point {
    ($place:literal) => {
        $crate::fail_point!($place, "")
    };
    ($place:literal, $of:expr) => {{
        #[cfg(debug_assertions)]
        $crate::fail_point::reached($place, &$of);
    }};
}
