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
