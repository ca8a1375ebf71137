//! What the processes promise, on a real Postgres.
//!
//! Where time matters it is a [`timeline::Timeline`] that stands still until a test moves it, and the gateway
//! is [`scripted::Scripted`] and says what a test tells it to. The ways through everything run on real time and
//! the stub gateway.
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

mod budgets;
mod charges;
mod charges_time;
mod customers;
mod drains;
mod guards;
#[path = "../../../journal/tests/it/heard.rs"]
mod heard;
mod holds;
mod imported;
mod imported_late;
mod late;
mod outages;
mod past;
mod people;
mod refunds;
mod remote;
mod saga;
mod scripted;
mod slices;
mod slots;
mod stub;
mod timeline;
mod ways;
mod workers;
mod world;
