//! Carries a journal in a file: out of one database, into another.
//!
//! The file is text, one JSON document a line: a header, one line an event with everything that is stored, now and then
//! a mark that says what the events so far hash to, a few lines of state that is in no event, and a footer.
//! [`Export`] writes one and goes on with one that is there; [`Import`] fills an empty journal from it, position
//! for position, or appends it to a journal that has other bookings. What each keeps, derives and omits, and
//! why nothing is charged again afterwards, is docs/adr/0014.
//!
//! Reading and writing the file blocks the thread: this is a command's work, not a service's.

mod append;
mod batch;
mod copy;
mod document;
mod export;
mod import;
mod imported;
mod line;
mod output;
mod report;
mod session;
mod settle;
mod state;
mod tally;

use std::io;
use std::path::PathBuf;

use crate::{Identity, StoreError};

pub use export::{Export, Exported, MARK_EVERY, Resumed, Target};
pub use import::{BATCH_MAX, Import, Source};
pub use imported::{Caused, Imported, Led, Unfinished};
pub use line::{FORMAT, VERSION};
pub use report::ImportReport;

/// Is told how far a transfer is.
pub trait Progress: Sync {
    /// So many events have been dealt with, up to this position of about `last`; 0 when the end is not known.
    fn moved(&self, events: i64, position: i64, last: i64);
    /// Something worth a line.
    fn remark(&self, line: &str);
}

/// Why a journal was not carried. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The file system.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// Whoever reads our output, or writes our input.
    #[error("the stream broke: {0}")]
    Stream(io::Error),
    /// The reader of an export left before the end.
    #[error("whoever reads the export left before its end")]
    ReaderGone,
    /// Another process writes the same file.
    #[error("{0} is being written by another export; wait for it")]
    FileInUse(PathBuf),
    /// A folder, a pipe or a device.
    #[error("{0} is not a file that can be gone on with; leave --output away to write to stdout")]
    NotAFile(PathBuf),
    /// It is empty.
    #[error("there is nothing in it: not even a header")]
    Empty,
    /// It was not written by an export.
    #[error("this is not an exported journal: its first line is no header of format `{FORMAT}`")]
    NotOurs,
    /// A later or earlier format.
    #[error(
        "this file is of version {0} of the format, and this program reads version {VERSION}; use the program that wrote it"
    )]
    OtherVersion(u64),
    /// A line is not what it must be.
    #[error("line {line} is damaged: {what}; take another copy of the file")]
    Damaged {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The footer is missing.
    #[error(
        "the file ends after event {events} (position {position}) without its footer: finish it with \
         `spacerent events export --output` on the same file, take another copy, or import what is there with \
         --allow-truncated"
    )]
    Truncated {
        /// How many events are there.
        events: i64,
        /// Where the last one stood.
        position: i64,
    },
    /// The file to go on with is of another journal.
    #[error("the file is of journal {file}, and this is journal {here}: export to another file")]
    OtherJournal {
        /// What the file says.
        file: Identity,
        /// What the database says.
        here: Identity,
    },
    /// The file has events that the journal has not.
    #[error(
        "the file ends at position {file}, and there this journal has another event, or none: it lost events in a restore; \
         export to another file"
    )]
    Ahead {
        /// The file's last position.
        file: i64,
    },
    /// The file to go on with begins elsewhere.
    #[error("the file begins at position {file}; leave --from-position away to go on with it")]
    OtherBeginning {
        /// Where it begins.
        file: i64,
    },
    /// The file to go on with has more than was asked for.
    #[error("the file goes up to position {file} already, beyond --to-position")]
    BeyondEnd {
        /// Where it ends.
        file: i64,
    },
    /// Half an import is no journal.
    #[error("{0}, and export then")]
    HalfImported(Unfinished),
    /// Nothing can stand between these.
    #[error("--from-position {from} is behind --to-position {to}")]
    NoRange {
        /// The first position.
        from: i64,
        /// The last one.
        to: i64,
    },
    /// There is nothing yet.
    #[error("--from-position {from} is beyond the journal, which ends at position {head}")]
    BehindHead {
        /// The first position.
        from: i64,
        /// Where the journal ends.
        head: i64,
    },
    /// A hole that is not proved dead.
    #[error(
        "positions {first} to {last} may still be written by a transaction that has not ended (`spacerent status` \
         says whose); the same command goes on when it has, onto the same --output"
    )]
    Hole {
        /// The first missing position.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// Somebody asked to stop.
    #[error("stopped; the same command goes on")]
    Stopped,
    /// Another import runs.
    #[error("another import into this database is at work; wait for it")]
    ImportAtWork,
    /// Writers did not let go of the journal.
    #[error(
        "the journal is being written to; stop every `spacerent serve` and `dev` on this database, and import again"
    )]
    InUse,
    /// There are events.
    #[error(
        "this journal has events: import into an empty database, or add bookings that it does not have with --append"
    )]
    NotEmpty,
    /// Another file's import was interrupted.
    #[error(
        "an import of journal {0} into this database is unfinished: go on with its file, or take an empty database"
    )]
    OtherImport(Identity),
    /// The file's beginning is not what was imported of it.
    #[error(
        "the first {0} events of the file are not those that were imported of it: go on with the file of then, or \
         take an empty database"
    )]
    OtherEvents(i64),
    /// What is appended must be checked before anything is stored.
    #[error(
        "--append needs a regular file: what comes from a pipe cannot be checked before it is stored"
    )]
    AppendsFile,
    /// A stream does not begin at its beginning, or has a gap.
    #[error(
        "position {position}: {stream} has no event {before} before its event {sequence}; a file that begins in the middle \
         (--from-position) is to be read, not to be imported"
    )]
    Gap {
        /// The event's position in the file.
        position: i64,
        /// Its stream.
        stream: String,
        /// The one that is missing.
        before: i64,
        /// The one that is there.
        sequence: i64,
    },
    /// Two events with one place in a stream, or one id.
    #[error("position {position}: {what} stands there twice; take another copy of the file")]
    Twice {
        /// The event's position in the file.
        position: i64,
        /// What stands there twice.
        what: String,
    },
    /// What is to be appended is there already.
    #[error("{0} is in this journal already; nothing was appended")]
    Collision(String),
    /// Beside the events of an import into an empty journal something is there twice.
    #[error(
        "{0} stands in the file twice, or stood in this database before its first event: this import cannot be finished; \
         take another copy of the file, and an empty database"
    )]
    NotFree(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TransferError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
