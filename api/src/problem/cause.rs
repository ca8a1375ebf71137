//! What the crates below say went wrong, as a client is told; what it is not told goes to the log.

use domain::{Refusal, book};
use journal::{CommandError, StoreError};

use super::Problem;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            error if error.is_transient() => {
                tracing::warn!(%error, "the storage did not do what was asked");
                Self::StorageUnavailable
            }
            error if error.is_of_the_layout() => {
                tracing::error!(%error, "a read model is of another version than this program: run `spacerent migrate --rebuild`");
                Self::ReadModelOutdated
            }
            StoreError::Newer(_) => {
                metrics::counter!("requests_for_newer_version_total").increment(1);
                tracing::error!(%error, "a request was about what only a newer version can read: upgrade this node");
                Self::NewerVersionNeeded
            }
            error => internal(&error),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Store(error) => error.into(),
            CommandError::SlotTaken => Self::SlotTaken {
                alternatives: vec![],
            },
            CommandError::PointsNotCovered => Self::PointsNotCovered,
            CommandError::OtherVersion { current } => Self::VersionMismatch { current },
            CommandError::Contended => Self::Contended,
            CommandError::Refused(Refusal::Book(book::Error::NoSuchBooking)) => Self::NoSuchItem,
            // Refusals that a client can cause are met where the command is sent.
            CommandError::Refused(_) => internal(&error),
        }
    }
}

/// A problem that is ours: the log says what, the client only that.
pub(crate) fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %error, "a request failed for a reason of ours");
    Problem::Internal
}

/// The same, for what the code takes for impossible.
pub(crate) fn impossible(what: &'static str) -> Problem {
    tracing::error!(what, "a request met what cannot be");
    Problem::Internal
}
