//! For tests only: a database per test, and whole servers to be killed.
//!
//! [`Database::create`] gives each test its own database on one server that all test processes of this user
//! share. The server is started by the first and stopped a few seconds after the last of them has ended,
//! however it ended. [`Cluster`] is a server of one test's own; [`stop_immediately`], [`kill`],
//! [`kill_postmaster`], [`freeze`] and [`thaw`] do the same to any server by its folder.

mod cluster;
mod crash;
mod database;
mod discard;
mod run;
mod shared;
mod template;
mod watchdog;

pub use cluster::Cluster;
pub use crash::{freeze, kill, kill_postmaster, stop_immediately, thaw};
pub use database::Database;

/// Real time, for what a test waits for and measures: what hangs fails, and says where.
pub use crate::wait::{stopwatch, timeout};

/// Makes sure that this machine has server programs, in the default folder if they have to be fetched: for
/// tests that start programs with data folders of their own, each of which would fetch them again.
///
/// # Errors
/// When there are none and none can be fetched.
pub async fn provide_programs() -> Result<(), crate::Error> {
    let programs = crate::programs::Programs::here(&crate::default_folder())?;
    programs.provide().await.map(drop)
}
