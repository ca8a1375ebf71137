//! Makes a read model anew beside the one that readers see, verifies it, and switches.
//!
//! The new generation is filled by the very follower that fills the live one, from the first event on; only a
//! witness looks over its shoulder, and it takes large batches, without indexes, until it has nearly caught up.
//! Then the live rows are read in one snapshot together with their position, the new generation is brought to
//! exactly that position, read back, and compared: with what was folded, where a difference means that nothing is
//! switched, and with the live rows, where a difference is what a rebuild is for, and is listed. The switch itself
//! holds the live follower still for a moment.
//!
//! A run that is stopped or killed leaves a half-built generation: the next one goes on with it ([`resume`]).
//! What a read model was at one position is built the same way, for people to look at, and never becomes live
//! ([`as_of`]); what a rebuild would take is measured on a sample ([`estimate`]).

mod as_of;
mod compare;
mod estimate;
mod filling;
mod progress;
mod report;
mod resume;
mod run;
mod slices;
mod switch;
mod witness;

use journal::follow::{BULK_BATCH_MAX, HandlerError};
use journal::runtime::Runtime;
use journal::{Journal, StoreError};
use tokio_util::sync::CancellationToken;

pub use as_of::{BookingAsOf, Dropped, Moment, ParkedAt};
pub use estimate::{Estimate, Sample, TableSize};
pub use progress::{Progress, Silent, Stage};
pub use report::{DIFFERENCES_MAX, Difference, Report};

use crate::by_name;
use crate::projection::Projection;
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
    /// Slices that were filled beside each other stand at different places.
    #[error("the slices of {0} were not brought to one position; nothing was switched")]
    Uneven(&'static str),
    /// The live generation is of a newer program.
    #[error(
        "{name} was filled by version {found} of its fold and this program knows {known}: an older program does not replace it"
    )]
    Newer {
        /// Which projection.
        name: &'static str,
        /// The version in the database.
        found: i32,
        /// The version in this program.
        known: i32,
    },
    /// The live generation was too busy for the switch.
    #[error("the switch did not get its locks: {0}")]
    Busy(StoreError),
    /// It was told to stop.
    #[error("the rebuild of {0} was stopped; nothing was switched")]
    Stopped(&'static str),
    /// Positions that the journal does not have.
    #[error("there is no position {asked}: positions of this journal go from 1 to {head}")]
    NoPosition {
        /// Which one.
        asked: i64,
        /// The highest one.
        head: i64,
    },
    /// A time before everything, or after now.
    #[error("{0}")]
    NoMoment(String),
    /// Nothing was recorded of a booking.
    #[error("nothing was recorded of booking {booking} up to position {position}")]
    NoBooking {
        /// Which one.
        booking: i64,
        /// Up to where.
        position: i64,
    },
    /// Rows of this read model are not made of one booking's events alone.
    #[error("{0} does not show single bookings; leave --booking away to build all of it as it was")]
    NotByBooking(&'static str),
    /// There is nothing to drop.
    #[error("there is no {0} to drop; `spacerent status` lists what there is")]
    NothingToDrop(String),
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

/// Rebuilds read models of one database. Cheap to clone.
#[derive(Clone)]
pub struct Rebuilder<'a> {
    owner_url: &'a str,
    journal: &'a Journal,
    runtime: &'a dyn Runtime,
    progress: &'a dyn Progress,
    stop: CancellationToken,
    batch_max: i64,
    slices: u32,
}

/// How many slices a generation is filled in at most, each with a connection of its own.
pub const SLICES_MAX: u32 = 16;

impl<'a> Rebuilder<'a> {
    /// Works in the database of `owner_url`, as the owner of its tables. `journal` is the journal of the same
    /// database.
    #[must_use]
    pub fn new(owner_url: &'a str, journal: &'a Journal, runtime: &'a dyn Runtime) -> Self {
        Self {
            owner_url,
            journal,
            runtime,
            progress: &Silent,
            stop: CancellationToken::new(),
            batch_max: BULK_BATCH_MAX,
            slices: 1,
        }
    }

    /// Takes at most so many events at a time while it fills in bulk, instead of [`BULK_BATCH_MAX`]. Twice as many,
    /// and the rows that one batch touches, are held in memory: about 4 kB an event.
    #[must_use]
    pub fn in_batches_of(self, batch_max: i64) -> Self {
        Self { batch_max, ..self }
    }

    /// Fills so many slices of the keys beside each other, [`SLICES_MAX`] at most; a rebuild that is gone on with
    /// keeps the number that it began with. It takes as many connections, and one more to read.
    #[must_use]
    pub fn in_slices(self, slices: u32) -> Self {
        let slices = slices.clamp(1, SLICES_MAX);
        Self { slices, ..self }
    }

    /// Tells how far it is.
    #[must_use]
    pub fn telling(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Stops at the next batch, table or stage when this is cancelled, and leaves what it has built to the next run.
    #[must_use]
    pub fn stopped_by(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// An error when it was told to stop.
    fn go_on(&self, projection: &Projection) -> Result<(), ReplayError> {
        if self.stop.is_cancelled() {
            return Err(ReplayError::Stopped(projection.name));
        }
        Ok(())
    }

    /// Rebuilds the projection `name` while the live generation goes on serving.
    ///
    /// # Errors
    /// [`ReplayError`]; readers then see what they saw before.
    pub async fn replay(&self, name: &str, goal: Goal) -> Result<Report, ReplayError> {
        let projection = known(name)?;
        let started = self.journal.clock().now();
        let mut run = Run::begin(self.clone(), projection, None).await?;
        let rebuilt = run.rebuild(goal).await;
        let report = run.end(rebuilt).await?;
        Ok(report.took(started, self.journal.clock().now()))
    }

    /// Switches back to the generation that was live before, after it has caught up. It is compared with the live
    /// one and not verified otherwise.
    ///
    /// # Errors
    /// [`ReplayError`]; readers then see what they saw before.
    pub async fn roll_back(&self, name: &str) -> Result<Report, ReplayError> {
        let projection = known(name)?;
        let started = self.journal.clock().now();
        let mut run = Run::begin_with_kept(self.clone(), projection).await?;
        let caught_up = run.take_over().await;
        let report = run.end(caught_up).await?;
        Ok(report.took(started, self.journal.clock().now()))
    }
}

fn known(name: &str) -> Result<&'static Projection, ReplayError> {
    by_name(name).ok_or_else(|| ReplayError::Unknown(name.to_owned()))
}
