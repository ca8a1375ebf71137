//! The program as its users run it: the built binary, its own Postgres, real ports, real signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod commands;
mod crashes;
mod replay;
mod server;
mod walkthrough;
