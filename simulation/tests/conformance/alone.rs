//! What only Postgres can show.
