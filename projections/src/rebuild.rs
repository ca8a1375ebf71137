//! Makes a read model anew beside the one that readers see, verifies it, and switches.
//!
//! The new generation is filled by the very follower that fills the live one, from the first event on; only a
//! witness looks over its shoulder. When it has caught up, the live rows are read in one snapshot together with
//! their position, the new generation is brought to exactly that position, read back, and compared: with what
//! was folded, where a difference means that nothing is switched, and with the live rows, where a difference is
//! what a rebuild is for, and is listed. The switch itself holds the live follower still for a moment.
//!
//! A run that is killed leaves a half-built generation, which the next one removes.

mod compare;
mod filling;
mod report;
mod run;
mod witness;

use journal::follow::HandlerError;
use journal::runtime::Runtime;
use journal::{Journal, StoreError};

pub use report::{DIFFERENCES_MAX, Difference, Report};

use crate::by_name;
use run::Run;

/// What a rebuild is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Rebuild and let readers see the new generation.
    Switch,
    /// Rebuild and compare only; the new generation is dropped.
    Compare,
}

/// Why a rebuild failed; readers see what they saw before.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No such projection.
    #[error("there is no projection {0:?}; there are {known}", known = crate::NAMES.join(", "))]
    Unknown(String),
    /// The database has no live generation.
    #[error("the read model {0} was never prepared; run `spacerent migrate`")]
    Unprepared(&'static str),
    /// Somebody rebuilds it right now.
    #[error("another rebuild of {0} is running")]
    Running(&'static str),
    /// There is nothing to switch back to.
    #[error("there is no earlier generation of {0} to switch back to")]
    NothingKept(&'static str),
    /// The kept generation cannot be filled by this program.
    #[error("the kept generation of {name} is of version {found}, this program knows {known}")]
    Foreign {
        /// Which projection.
        name: &'static str,
        /// The version in the database.
        found: i32,
        /// The version in this program.
        known: i32,
    },
    /// A transaction that may still append keeps a hole open.
    #[error(
        "events {first} to {last} are still being written: a transaction does not end, see `spacerent status`"
    )]
    Held {
        /// First missing position.
        first: i64,
        /// Last missing position.
        last: i64,
    },
    /// What was read back is not what was folded. Nothing was switched.
    #[error(
        "table {table} was read back with {found} rows where {folded} were folded, or with other content: \
         somebody else writes into it, or the fold is not pure; nothing was switched"
    )]
    Damaged {
        /// Which table.
        table: &'static str,
        /// How many rows should be there.
        folded: u64,
        /// How many are.
        found: u64,
    },
    /// The follower of the new generation was taken away.
    #[error("another process took over the new generation of {0}")]
    TakenOver(&'static str),
    /// The live generation was too busy for the switch.
    #[error("the switch did not get its locks: {0}")]
    Busy(StoreError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<HandlerError> for ReplayError {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Store(error) => Self::Store(error),
            // The follower parks poison itself and hands none out.
            poison @ HandlerError::Poison { .. } => {
                Self::Store(StoreError::Unreadable(poison.to_string()))
            }
        }
    }
}

/// Rebuilds the projection `name` in the database of `owner_url`, as the owner of its tables, while the live
/// generation goes on serving. `journal` is the journal of the same database.
///
/// # Errors
/// [`ReplayError`]; readers then see what they saw before.
pub async fn replay(
    owner_url: &str,
    journal: &Journal,
    runtime: &dyn Runtime,
    name: &str,
    goal: Goal,
) -> Result<Report, ReplayError> {
    let projection = by_name(name).ok_or_else(|| ReplayError::Unknown(name.to_owned()))?;
    let started = journal.clock().now();
    let mut run = Run::begin(owner_url, journal, runtime, projection).await?;
    let rebuilt = run.rebuild(goal).await;
    let report = run.end(rebuilt).await?;
    Ok(report.took(started, journal.clock().now()))
}

/// Switches back to the generation that was live before, after it has caught up. It is compared with the live
/// one and not verified otherwise.
///
/// # Errors
/// [`ReplayError`]; readers then see what they saw before.
pub async fn roll_back(
    owner_url: &str,
    journal: &Journal,
    runtime: &dyn Runtime,
    name: &str,
) -> Result<Report, ReplayError> {
    let projection = by_name(name).ok_or_else(|| ReplayError::Unknown(name.to_owned()))?;
    let started = journal.clock().now();
    let mut run = Run::begin_with_kept(owner_url, journal, runtime, projection).await?;
    let caught_up = run.take_over().await;
    let report = run.end(caught_up).await?;
    Ok(report.took(started, journal.clock().now()))
}
