//! The HTTP side from outside: real listeners, a real database, and either the whole system behind them or a
//! payment that does what the test says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a test is one story, told from its beginning to its end"
)]

mod another_day;
mod app;
mod bodies;
mod client;
mod correlation;
mod cors;
mod every_command;
mod forwarded;
mod free;
mod frozen;
mod gateway;
mod golden;
mod health;
#[path = "../../../journal/tests/it/heard.rs"]
mod heard;
mod idempotency;
mod interruptions;
mod manager;
mod moves;
mod negotiation;
mod newer;
mod orders;
mod pairs;
mod reading;
mod repeated;
mod routes;
mod server;
mod staff;
mod stores;
mod surface;
mod till;
mod unusable;
mod venues;
mod walkthrough;
