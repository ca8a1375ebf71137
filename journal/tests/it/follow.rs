//! Followers: one owner at a time, batch and checkpoint together, poison parked.

mod batch;
pub(crate) mod clerk;
mod lease;
mod park;
mod past;
mod retry;
mod running;
mod slices;
mod slices_parked;
mod slices_running;
mod turn;
