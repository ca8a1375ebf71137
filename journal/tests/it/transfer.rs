//! A journal in a file: out of one database, into another, and nothing lost, doubled or believed on the way.

mod adding;
mod commands;
mod damage;
mod desk;
mod going_on;
mod jobs;
mod live;
mod property;
mod refusals;
mod round;
mod slots;
mod venues;
