//! Everything that can go wrong on the way to a running private server.
//!
//! Each message is written for the person at the terminal: it names the path or process concerned and says
//! what to do about it. Server output is quoted only from the start of a server, before any client's data.

use std::path::{Path, PathBuf};

/// Why a private server could not be found, started, reached or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder with `postgres` and `initdb` of a supported version was found, and none was fetched.
    #[error(
        "no PostgreSQL server programs (postgres and initdb, version {oldest} or newer) were found{seen}, and \
         none were fetched: {}. Install them with: {install}   (or set SPACERENT_PG_BIN to the folder that \
         holds them, or DATABASE_URL to a server you already have)",
        not_fetched.as_deref().unwrap_or("not tried")
    )]
    NoBinaries {
        /// The oldest major version accepted.
        oldest: u32,
        /// What was found but is too old, or nothing: a clause that starts with `; `, or empty.
        seen: String,
        /// Why no package of them was fetched; none while that has not been tried.
        not_fetched: Option<String>,
        /// The command of this machine's package manager.
        install: &'static str,
    },
    /// `SPACERENT_PG_BIN` is set to a folder that cannot be used.
    #[error("SPACERENT_PG_BIN={} cannot be used: {reason}", folder.display())]
    PinnedBinaries {
        /// What the variable names.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data folder was made by another major version than any installed one.
    #[error(
        "{} was made by PostgreSQL {wanted}, and only {installed} is installed. Install version {wanted}, \
         or move the folder away to start with an empty one",
        folder.display()
    )]
    OtherMajor {
        /// The data folder.
        folder: PathBuf,
        /// Its major version.
        wanted: u32,
        /// The major versions found, for people.
        installed: String,
    },
    /// A file or folder operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Root has to hand the server to an unprivileged user, and that user cannot get at a folder.
    #[error(
        "PostgreSQL does not run as root, so the server runs as user {account}, who cannot enter {}. \
         Choose a folder outside of it, or open it with: chmod o+x {}",
        closed.display(), closed.display()
    )]
    OutOfReach {
        /// The unprivileged user.
        account: String,
        /// The outermost folder that is closed to it.
        closed: PathBuf,
    },
    /// Root has to hand the server to an unprivileged user, and there is none to be had.
    #[error(
        "PostgreSQL does not run as root, and the server cannot be run as another user: {reason}"
    )]
    NoAccount {
        /// What is missing.
        reason: String,
    },
    /// The folder belongs to somebody else.
    #[error("{} belongs to user id {owner}; a private server needs a folder of its own", folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// A variable that takes one of two values has another one.
    #[error("{name}={value:?} is neither 0 nor 1")]
    NotASwitch {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
    },
    /// `initdb` or `postgres` ended with an error.
    #[error("{program} failed ({status}); its last words:\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// A server process holds the folder but does not answer.
    #[error("the server of {} (process {pid}) does not answer: {reason}", folder.display())]
    Silent {
        /// The data folder.
        folder: PathBuf,
        /// The server's process id.
        pid: i32,
        /// What it answered last.
        reason: String,
    },
    /// Something took longer than its bound.
    #[error("{what} took longer than {seconds} s")]
    TooSlow {
        /// What was waited for.
        what: String,
        /// The bound that was passed.
        seconds: u64,
    },
    /// A statement failed on a running server.
    #[error("the local server refused: {0}")]
    Refused(#[from] sqlx::Error),
    /// The caller's own preparation of a template database failed.
    #[error("the template database could not be prepared: {0}")]
    Prepare(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
