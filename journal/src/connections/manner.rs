//! What a connection may rely on between two transactions.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

/// Whether a connection of ours is one and the same session of the server for as long as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is: role and time-outs are given when it is made, and statements are prepared once.
    Sessions,
    /// Something between lends us a session for a transaction at a time, and any other one for the next. So
    /// everything happens in a transaction, also a single statement, and what a session would know is said in the
    /// statement that begins it: this one.
    Transactions(Arc<str>),
}

impl Manner {
    /// Transactions that know these settings, given as names and values that need no quoting.
    ///
    /// sqlx prepares every statement under a name of its own, in a round trip before the one that executes it. Names
    /// that another client, or this one, left on the session are in the way, and are forgotten first.
    pub(crate) fn of_transactions(settings: &[(&'static str, String)]) -> Self {
        let mut sql = String::from("begin; deallocate all");
        for (name, value) in settings {
            sql.push_str(&format!("; set local {name} = '{value}'"));
        }
        Self::Transactions(sql.into())
    }

    /// SQL that begins a transaction, where it is not simply `BEGIN`.
    pub(crate) fn begin(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Sessions => None,
            Self::Transactions(sql) => Some(Cow::Owned(sql.to_string())),
        }
    }

    /// What a connection is made with. Nothing is kept for a later statement, and nothing stands in the start-up
    /// message that a pooler would refuse.
    pub(super) fn connect_options(&self, options: PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::Sessions => options,
            Self::Transactions(_) => options.statement_cache_capacity(0).extra_float_digits(None),
        }
    }
}
