//! What is asked for, and how it is answered.

use domain::{Command, Refusal};
use uuid::Uuid;

use super::ROUNDS_MAX;
use crate::append::{Answer, Claim};
use crate::{StoreError, Trace};

/// Commands that are stored together or not at all.
#[derive(Clone, Debug)]
pub struct Request {
    /// The same id happens once.
    pub command_id: Uuid,
    /// Where it comes from.
    pub trace: Trace,
    /// One per stream.
    pub commands: Vec<Command>,
    /// Slots that must be free.
    pub claims: Vec<Claim>,
}

impl Request {
    /// A request of one command without claims.
    #[must_use]
    pub fn one(command_id: Uuid, trace: Trace, command: Command) -> Self {
        Self {
            command_id,
            trace,
            commands: vec![command],
            claims: vec![],
        }
    }
}

/// What a request that was not refused did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Its events are stored.
    Stored(Answer),
    /// It was stored before, under the same command id; the answer of then.
    Already(Answer),
    /// There was nothing to do; where its streams stand.
    Unchanged(Answer),
}

impl Done {
    /// Position and versions, whichever way it went.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        match self {
            Self::Stored(answer) | Self::Already(answer) | Self::Unchanged(answer) => answer,
        }
    }
}

/// Why a request did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An aggregate refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A slot is taken.
    #[error("the slot is taken")]
    SlotTaken,
    /// The user has fewer points than are to be spent.
    #[error("the points are not covered")]
    PointsNotCovered,
    /// The stream has none of the versions that the request expected.
    #[error("the stream is at version {current}")]
    OtherVersion {
        /// The one that it has.
        current: i64,
    },
    /// Others were faster [`ROUNDS_MAX`] times.
    #[error("others changed the same streams {ROUNDS_MAX} times in a row")]
    Contended,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    /// What was in the way, when nobody refused: the database, or others who were faster each time. The same request may
    /// succeed a little later if that error is transient.
    ///
    /// # Errors
    /// The refusal.
    pub fn into_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            Self::Contended => Ok(StoreError::Contended),
            Self::Refused(_)
            | Self::SlotTaken
            | Self::PointsNotCovered
            | Self::OtherVersion { .. } => Err(self),
        }
    }
}
