//! Acts. The only crate that calls the outside.
//!
//! [`order`] runs the saga: it reads the feed, sends the commands that follow from an event, and leaves what
//! must call the outside or wait as job rows. [`jobs`] works those off. [`payment`] is what a customer waits
//! for, in this process; [`remote`] asks another process for it. [`gateway`] has the adapters to the companies
//! that move money. In front of every call stands a [`breaker`] with a bulkhead.

pub mod breaker;
mod deadline;
pub mod gateway;
mod guard;
mod guarded;
pub mod jobs;
pub mod order;
pub mod payment;
pub mod remote;
pub mod settings;
