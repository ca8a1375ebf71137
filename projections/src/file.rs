//! My Page in an SQLite file of one process's own: another store for the same read model.
//!
//! The file is filled from the journal's feed by the same follower, with the same fold, as the tables in Postgres,
//! and answers the same questions with the same bytes. Rows and checkpoint commit in one transaction of the
//! file; nothing is written to Postgres. The checkpoint stands outside the journal's database, so it carries the
//! journal's identity: of another journal, or ahead of this one's head, the file is worth nothing, and is
//! made anew. So is one that is damaged or of another format. One that another version of the fold filled goes on
//! being read, while a new generation of its tables is filled beside the old one, in the same file.
//!
//! [`MypageFile::open`] takes the file and looks what is in it, [`Keeper::run`] fills it until it is told to
//! stop, and a [`MypageFile`] is what questions are asked of. How long a rebuild from nothing takes, nothing is answered.

mod checkpoints;
mod fault;
mod keeper;
mod schema;
pub(crate) mod tables;
mod taken;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::{Journal, StoreError};
use sqlx::SqlitePool;
use tokio::sync::watch;

pub(crate) use checkpoints::NAME as FOLLOWER;
pub(crate) use fault::fault;
pub use keeper::Keeper;
pub use taken::OpenError;

use crate::mypage::MYPAGE;
use crate::projection::Projection;

/// How many questions the file answers at a time; more wait.
const READERS_MAX: u32 = 4;
/// How long a question waits for its turn.
const READER_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a statement waits for a lock. There is one writer, so only for its checkpoints of the WAL.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// The file, for questions. Cheap to clone; the process has the file to itself while any clone lives.
#[derive(Clone)]
pub struct MypageFile(Arc<Shared>);

/// What questions and the keeper share.
struct Shared {
    lock: taken::Lock,
    projection: &'static Projection,
    /// Where questions go; none while there is nothing to answer them from.
    readers: watch::Sender<Option<SqlitePool>>,
    /// Whether it was as far as the journal once since the process started.
    caught_up: AtomicBool,
    /// Whether a question found the file damaged.
    damaged: AtomicBool,
}

/// Why a file is made anew, or a generation of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// There was none.
    New,
    /// It went away while it was in use.
    Gone,
    /// It cannot be read any more.
    Damaged,
    /// It was laid out by another version of this program.
    OtherFormat,
    /// It was filled from another journal, or from this one before it lost events.
    OtherJournal,
    /// It knows more than the journal.
    AheadOfJournal,
    /// It was filled by another version of the fold.
    OtherVersion,
}

impl Reason {
    /// Its name in metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Damaged => "damaged",
            Self::OtherFormat => "other_format",
            Self::OtherJournal => "other_journal",
            Self::AheadOfJournal => "ahead_of_journal",
            Self::OtherVersion => "other_version",
        }
    }
}

impl MypageFile {
    /// Takes the file at `path`, which is made if there is none, and finds out what it is good for. It is filled
    /// by the [`Keeper`].
    ///
    /// # Errors
    /// [`OpenError`] when another process has it, when it is somebody else's, or when disk or journal do not answer.
    pub async fn open(path: &Path, journal: &Journal) -> Result<(Self, Keeper), OpenError> {
        Self::open_of(&MYPAGE, path, journal).await
    }

    async fn open_of(
        projection: &'static Projection,
        path: &Path,
        journal: &Journal,
    ) -> Result<(Self, Keeper), OpenError> {
        let lock = taken::Lock::take(path)?;
        let shared = Arc::new(Shared {
            lock,
            projection,
            readers: watch::Sender::new(None),
            caught_up: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
        });
        let keeper = Keeper::start(Arc::clone(&shared), journal.clone()).await?;
        Ok((Self(shared), keeper))
    }

    /// Which read model is in it.
    #[must_use]
    pub fn projection(&self) -> &'static Projection {
        self.0.projection
    }

    /// Whether it answers questions, and was as far as the journal at least once since it was opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.caught_up.load(Ordering::Acquire) && self.0.readers.borrow().is_some()
    }

    /// The position that its answers are of.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn position(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("select position from generations where state = 'live'")
            .fetch_one(&self.readers()?)
            .await
            .map_err(|error| self.blame(error))
    }

    /// The connections for questions.
    pub(crate) fn readers(&self) -> Result<SqlitePool, StoreError> {
        let readers = self.0.readers.borrow().clone();
        readers.ok_or_else(|| StoreError::File("it is being built".into()))
    }

    /// What the reader is told of a failed question; the keeper hears of a damaged file.
    pub(crate) fn blame(&self, error: sqlx::Error) -> StoreError {
        let error = fault(error);
        if fault::is_damage(&error) {
            self.0.damaged.store(true, Ordering::Release);
            // It will be another one in a moment.
            return StoreError::File(error.to_string());
        }
        error
    }
}
