//! Why the database did not do what was asked, sorted by what the caller can do about it.

use domain::version::DecodeError;
use sqlx::Error as Sqlx;

use crate::command::ROUNDS_MAX;

/// `too_many_connections`: the server has none left.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// A failure below the domain. Messages name SQLSTATEs and constraints, never payloads or addresses.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, or it broke: what was asked may or may not have happened.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database answered that it cannot now: locks, time-outs, too many connections. Nothing happened.
    #[error("the database is busy ({sqlstate}): {message}")]
    Busy {
        /// SQLSTATE.
        sqlstate: String,
        /// The server's words.
        message: String,
    },
    /// No connection of ours came free in time. Nothing happened.
    #[error("no connection to the database came free")]
    NoConnection,
    /// Others were faster each time, as often as is tried. Nothing happened.
    #[error("others changed the same streams {ROUNDS_MAX} times in a row")]
    Contended,
    /// The connection goes through a pooler, where a session is wanted. Nothing happened.
    #[error(
        "this connection goes through a pooler, and migrations, rebuilds and imports need a session of their own: \
         set MIGRATION_DATABASE_URL to the server itself"
    )]
    Pooled,
    /// The database refused, and will again.
    #[error("the database refused ({sqlstate}): {message}")]
    Refused {
        /// SQLSTATE.
        sqlstate: String,
        /// The server's words.
        message: String,
    },
    /// The file of a read model cannot be used now: its disk, or because it is not built yet. Nothing happened.
    #[error("the file of a read model cannot be used: {0}")]
    File(String),
    /// What is stored cannot be read.
    #[error("a stored event cannot be read: {0}")]
    Unreadable(String),
    /// The database did not answer all of what it was asked, which may have happened.
    #[error("the database did not answer all of it: {0}")]
    Incomplete(String),
    /// What is stored was written by a newer version of this code, which can read it.
    #[error("{0}")]
    Newer(String),
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Busy { .. }
                | Self::NoConnection
                | Self::Contended
                | Self::File(_)
        )
    }

    /// Whether a column or a table is not there (SQLSTATE 42703, 42P01): what is read was made by another version.
    #[must_use]
    pub fn is_of_the_layout(&self) -> bool {
        matches!(self.sqlstate(), Some("42703" | "42P01"))
    }

    /// Whether some value is the trouble (SQLSTATE classes 22 and 23), and so most likely one event: what the rest
    /// would write is fine.
    pub(crate) fn is_of_the_data(&self) -> bool {
        let class = self.sqlstate().and_then(|sqlstate| sqlstate.get(..2));
        matches!(class, Some("22" | "23"))
    }

    /// Whether the connection is the trouble, broken or none free: whatever else is asked fares no better.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoConnection)
            || self.sqlstate() == Some(TOO_MANY_CONNECTIONS)
    }

    /// SQLSTATE, when the database answered with one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Busy { sqlstate, .. } | Self::Refused { sqlstate, .. } => Some(sqlstate),
            Self::Unreachable(_)
            | Self::NoConnection
            | Self::Contended
            | Self::Pooled
            | Self::File(_)
            | Self::Unreadable(_)
            | Self::Incomplete(_)
            | Self::Newer(_) => None,
        }
    }
}

impl StoreError {
    /// What a function of the database answered is none of the words that this version knows: it is a newer one's.
    pub(crate) fn unknown_word(function: &str, word: &str) -> Self {
        Self::Newer(format!(
            "the database's {function} answers {word:?}, which only a newer version of spacerent knows"
        ))
    }
}

impl From<DecodeError> for StoreError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unknown { .. } => Self::Newer(error.to_string()),
            DecodeError::Unreadable { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<Sqlx> for StoreError {
    fn from(error: Sqlx) -> Self {
        match error {
            Sqlx::Database(answer) => {
                let sqlstate = answer
                    .code()
                    .map(std::borrow::Cow::into_owned)
                    .unwrap_or_default();
                let message = answer.message().to_owned();
                match sqlstate.get(..2) {
                    // The server is going down, coming up, or gone: the transaction's fate is open.
                    Some("57") if sqlstate != "57014" => Self::Unreachable(message),
                    Some("08") => Self::Unreachable(message),
                    // Serialisation and deadlock, locks, resources, cancelled by a time-out, idle time-out.
                    Some("40" | "55" | "53" | "57" | "25") => Self::Busy { sqlstate, message },
                    _ => Self::Refused { sqlstate, message },
                }
            }
            Sqlx::PoolTimedOut => Self::NoConnection,
            Sqlx::ColumnDecode { .. } | Sqlx::Decode(_) | Sqlx::TypeNotFound { .. } => {
                Self::Unreadable(error.to_string())
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}
