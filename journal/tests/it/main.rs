//! What the journal promises, on a real Postgres.
//!
//! No test hopes for an interleaving: triggers that wait for advisory locks, sessions that stay open, a proxy
//! that swallows answers and signals to processes force it ([`force`], [`proxy`], [`death`]). Every line of SQL
//! that is marked `guard` is taken out by a test, which then sees the harm that the line prevents
//! ([`stage::Stage::without_guard`]).
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

mod append;
mod command;
mod death;
mod feed;
mod follow;
mod force;
mod guards;
mod heard;
mod immutability;
mod jobs;
mod model;
mod needs;
mod never_silent;
mod pace;
mod past;
mod pooled;
mod proxy;
mod questions;
mod recover;
mod repository;
mod samples;
mod schema;
mod session;
mod silence;
mod sql;
mod stage;
mod status;
mod storm;
mod story;
mod torn;
mod transfer;
mod unheard;
mod venues;
mod wake;
