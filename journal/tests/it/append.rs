//! Appending: versions, whole commands, command ids, slots, groups, broken connections.

mod claims;
mod commands;
mod connections;
mod groups;
mod order;
mod versions;
