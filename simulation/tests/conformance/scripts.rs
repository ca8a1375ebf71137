//! Random scripts, on both.
