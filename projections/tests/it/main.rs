//! What the read models promise, on a real Postgres: they follow, they can be rebuilt while readers read, and
//! what was rebuilt equals what was live.
//!
//! [`world`] is a database of one test's own with a journal over it; [`story`] plays bookings through the real
//! aggregates, so that no test folds events that could never be.

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

mod as_of;
mod board;
mod bulk;
mod calendar;
mod conformance;
mod estimate;
mod file;
mod fold;
mod following;
#[path = "../../../journal/tests/it/heard.rs"]
mod heard;
mod past;
mod poison;
mod prepare;
mod queries;
mod rebuild;
mod resume;
mod shelf;
mod slots;
mod standstill;
mod story;
mod switch;
mod verify;
mod wait;
mod world;
