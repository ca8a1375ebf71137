//! What SQLite's errors mean. Its codes: <https://www.sqlite.org/rescode.html>.

use journal::StoreError;
use sqlx::Error as Sqlx;

/// The file's content is not what SQLite wrote there.
const DAMAGED: &str = "SQLITE_CORRUPT";

/// SQLite's error as ours. The low byte of a code is its class.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where `map_err` wants one of these"
)]
pub(crate) fn fault(error: Sqlx) -> StoreError {
    match &error {
        Sqlx::Database(answer) => {
            let code = answer.code().and_then(|code| code.parse::<i32>().ok());
            let message = format!("SQLite says {}: {}", code.unwrap_or(0), answer.message());
            match code.map(|code| code & 0xff) {
                // CORRUPT, NOTADB.
                Some(11 | 26) => StoreError::Refused {
                    sqlstate: DAMAGED.into(),
                    message,
                },
                // INTERNAL, PERM, ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
                Some(2..=10 | 13..=15) => StoreError::File(message),
                code => StoreError::Refused {
                    sqlstate: format!("SQLite {}", code.unwrap_or(0)),
                    message,
                },
            }
        }
        Sqlx::ColumnDecode { .. } | Sqlx::Decode(_) | Sqlx::TypeNotFound { .. } => {
            StoreError::Unreadable(error.to_string())
        }
        other => StoreError::File(other.to_string()),
    }
}

/// Whether the file itself is broken, and not its disk or our question.
pub(super) fn is_damage(error: &StoreError) -> bool {
    error.sqlstate() == Some(DAMAGED)
}
