//! What the projections of a booking share: which booking an event belongs to, and when it happened.

use jiff::Timestamp;
use journal::Recorded;
use uuid::Uuid;

use crate::projection::{Key, Unfit};

/// How many letters of a space's name are shown where it is in an index: an entry has room for about 2,700 bytes.
const NAME_MAX: usize = 200;

/// The booking that an event belongs to; all three streams of a booking carry its number. `None`: the stream
/// is not named by a number, so the event belongs to no booking.
#[must_use]
pub fn key(event: &Recorded) -> Option<Key> {
    number(event).map(|id| [id].into())
}

fn number(event: &Recorded) -> Option<i64> {
    event.key().parse().ok()
}

/// The booking's number.
///
/// # Errors
/// [`Unfit`] when the stream is not named by one.
pub fn id(event: &Recorded) -> Result<i64, Unfit> {
    let unfit = || Unfit(format!("stream {:?} is not named by a number", event.key()));
    number(event).ok_or_else(unfit)
}

/// When it happened, as exactly as the database keeps times.
#[must_use]
pub fn at(event: &Recorded) -> Timestamp {
    let exact = event.metadata.occurred_at;
    Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact)
}

/// A space's name as it fits into an index: a longer one is cut, and told apart by a fingerprint.
#[must_use]
pub fn short(spacename: &str) -> String {
    match spacename.char_indices().nth(NAME_MAX) {
        None => spacename.to_owned(),
        Some((end, _)) => {
            let fingerprint = Uuid::new_v5(&Uuid::NAMESPACE_OID, spacename.as_bytes());
            format!(
                "{}… {fingerprint}",
                spacename.get(..end).unwrap_or_default()
            )
        }
    }
}
