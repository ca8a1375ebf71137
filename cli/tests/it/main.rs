//! The program as its users run it: the built binary, its own Postgres, real ports, real signals.

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

mod bare;
mod breaker;
// Its fail points are compiled with debug assertions only.
#[cfg(debug_assertions)]
mod chaos;
mod commands;
mod crashes;
mod events;
mod keys;
mod load;
mod mypage_file;
mod newer;
mod nodes;
mod nodes_slices;
mod outages;
mod pgbouncer;
mod pooler;
mod pooler_decisions;
mod process;
mod recovery;
mod replay;
mod roles;
mod server;
mod site;
mod standstill;
mod terminal;
mod trace;
mod transfer;
mod walkthrough;
