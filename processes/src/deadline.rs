//! Deadlines: moments that lie a while after another.

use std::time::Duration;

use jiff::Timestamp;

/// The moment `by` after `at`; the end of time when there is none.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
