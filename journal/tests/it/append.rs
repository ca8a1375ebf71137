//! Appending: versions, whole commands, command ids, slots, points, groups, broken connections.

mod claims;
mod commands;
mod connections;
mod groups;
mod moves;
mod order;
mod points;
mod units;
mod versions;
