//! Chaos on a real Postgres: crashes at every step, connections cut off and cut in the middle of a commit, processes
//! and servers stopped, killed and started again, a full disk. After each of them the same promises hold
//! ([`verdict`]). docs/reliability.md says which test shows what.

#![allow(clippy::print_stdout, reason = "tables for people who run them")]

mod asleep;
mod faults;
mod full_disk;
mod load;
mod looks;
mod matrix;
mod points;
mod proxy;
mod run;
mod tally;
mod verdict;
mod verdict_tests;
mod world;
