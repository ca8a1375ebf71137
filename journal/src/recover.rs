//! Recovery by people: what is parked and what is for people, and what they decide about it.
//!
//! A decision is a row in `decisions` that stays: what it was about, who, why. Parked events are tried again by
//! their follower, under its lease ([`crate::follow`]); here it is only asked.

mod jobs;
mod parked;
mod references;

pub use jobs::{Decided, JobRow};
pub use parked::{ParkedEvent, ParkedKey};

/// Which follower's key: what is parked is parked there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedAt {
    /// The follower's name.
    pub name: String,
    /// Its generation.
    pub generation: i32,
    /// The booking's number, as text.
    pub key: String,
}

/// Who decided something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Who; not empty.
    pub by: &'a str,
    /// Why; not empty.
    pub reason: &'a str,
}
