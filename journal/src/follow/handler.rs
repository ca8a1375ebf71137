//! What is driven along the feed, and how it went.

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::feed::Span;
use crate::{Recorded, StoreError};

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// This event cannot be applied, and will not be able to: park it.
    #[error("event {position} cannot be applied: {reason}")]
    Poison {
        /// Which event.
        position: i64,
        /// Why it cannot be taken.
        reason: String,
    },
    /// Something else failed; the batch comes again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for HandlerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What is driven along the feed; it writes through a `C`, in the transaction of its checkpoint.
#[async_trait]
pub trait Handler<C = PgConnection>: Send + Sync {
    /// What [`Handler::plan`] works out and [`Handler::apply`] writes.
    type Plan: Send;

    /// Works on a batch outside any transaction. What it does to the outside must be safe to do again: the
    /// batch comes again when the transaction behind it fails.
    async fn plan(&self, events: &[Recorded]) -> Result<Self::Plan, HandlerError>;

    /// Writes the batch in the checkpoint's transaction.
    async fn apply(
        &self,
        tx: &mut C,
        events: &[Recorded],
        plan: Self::Plan,
    ) -> Result<(), HandlerError>;

    /// What was applied last is committed. Not told when that is not known.
    fn committed(&self) {}
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody else holds the lease.
    Denied,
    /// The lease was lost in the middle; nothing was written.
    Lost,
    /// There was nothing to take.
    Idle {
        /// Where it holds, if it does.
        hole: Option<Span>,
    },
    /// Events were taken.
    Advanced {
        /// How many: of a row that was split each part, of one that means nothing none.
        events: usize,
        /// Up to where.
        position: i64,
    },
}
