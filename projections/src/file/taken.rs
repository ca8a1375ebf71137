//! Taking the file: for this process alone, and only when what is in it is ours and worth something.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use journal::{Identity, Journal, StoreError};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::schema::{self, APPLICATION, FORMAT, Generation};
use super::{Reason, Shared, fault};

/// Rows hold personal data.
const OURS_ALONE: u32 = 0o600;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process: every process needs a file of its own", .0.display())]
    Taken(PathBuf),
    /// It is an SQLite file, but not one of spacerent's.
    #[error("{} belongs to another program: name a file that is free to be made", .0.display())]
    NotOurs(PathBuf),
    /// The disk.
    #[error("{}: {error}", .path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The file, or the journal that it is filled from.
    #[error("{}: {error}", .path.display())]
    Store {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: StoreError,
    },
}

/// The right to the file, until it is dropped or the process ends, however it does.
#[derive(Debug)]
pub(super) struct Lock {
    /// Where the file is, whatever links lead there.
    path: PathBuf,
    _held: File,
}

impl Lock {
    /// Takes it. What is locked is a file beside the one in question: SQLite's own locks would be lost with the first
    /// handle that this process closes.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let disk = |error| OpenError::Disk {
            path: path.to_owned(),
            error,
        };
        let path = really(path).map_err(disk)?;
        let held = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OURS_ALONE)
            .open(beside(&path, ".lock"))
            .map_err(disk)?;
        match held.try_lock() {
            Ok(()) => Ok(Self { path, _held: held }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Taken(path)),
            Err(TryLockError::Error(error)) => Err(disk(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The file, with no links on the way; its folder must be there.
fn really(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Ok(folder.unwrap_or(Path::new(".")).canonicalize()?.join(name))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// An open file, and which generations of the tables are in it.
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
    /// The one that readers may see.
    pub(super) live: Option<Generation>,
    /// The one that is to be filled before it is seen.
    pub(super) building: Option<Generation>,
}

/// Opens the file, or makes it anew when it is worth nothing: because of `known`, or of what is found in it.
pub(super) async fn open(
    shared: &Shared,
    journal: &Journal,
    known: Option<Reason>,
) -> Result<Opened, OpenError> {
    match try_to_open(shared, journal, known).await {
        // `quick_check` does not see everything.
        Err(OpenError::Store { error, .. }) if known.is_none() && fault::is_damage(&error) => {
            try_to_open(shared, journal, Some(Reason::Damaged)).await
        }
        opened => opened,
    }
}

async fn try_to_open(
    shared: &Shared,
    journal: &Journal,
    known: Option<Reason>,
) -> Result<Opened, OpenError> {
    let path = shared.path();
    let store = |error| OpenError::Store {
        path: path.to_owned(),
        error,
    };
    let identity = journal.identity().await.map_err(store)?;
    let head = journal.head().await.map_err(store)?;
    let found = match known {
        Some(reason) => Found::Worthless(reason),
        None => look(path, identity, head).await?,
    };
    let mut writer = match found {
        Found::Ours(writer) => writer,
        Found::Worthless(reason) => {
            say(path, reason);
            put_away(path, reason).map_err(|error| OpenError::Disk {
                path: path.to_owned(),
                error,
            })?;
            let mut writer = schema::connect(path).await.map_err(fault).map_err(store)?;
            schema::lay_out(&mut writer).await.map_err(store)?;
            writer
        }
    };
    schema::set_up(&mut writer).await.map_err(store)?;
    schema::retry_all(&mut writer).await.map_err(store)?;
    let (live, building) = generations(&mut writer, shared, identity)
        .await
        .map_err(store)?;
    let readers = schema::readers(path).await.map_err(store)?;
    Ok(Opened {
        writer,
        readers,
        live,
        building,
    })
}

/// What is at the path.
enum Found {
    Ours(SqliteConnection),
    Worthless(Reason),
}

/// Looks without changing anything.
async fn look(path: &Path, identity: Identity, head: i64) -> Result<Found, OpenError> {
    let disk = |error| OpenError::Disk {
        path: path.to_owned(),
        error,
    };
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 => {}
        Ok(found) if found.is_file() => return Ok(Found::Worthless(Reason::New)),
        Ok(_) => return Err(disk(io::Error::other("it is no file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Found::Worthless(Reason::New));
        }
        Err(error) => return Err(disk(error)),
    }
    let looked = async {
        let mut connection = schema::connect(path).await.map_err(fault)?;
        let reason = judge(&mut connection, identity, head).await?;
        Ok((connection, reason))
    };
    match looked.await {
        Ok((connection, Verdict::Good)) => Ok(Found::Ours(connection)),
        Ok((connection, Verdict::Worthless(reason))) => {
            // What it does at its end must not meet the file that comes next.
            let _ = connection.close().await;
            Ok(Found::Worthless(reason))
        }
        Ok((_, Verdict::NotOurs)) => Err(OpenError::NotOurs(path.to_owned())),
        Err(error) if fault::is_damage(&error) || matches!(error, StoreError::Unreadable(_)) => {
            Ok(Found::Worthless(Reason::Damaged))
        }
        Err(error) => Err(OpenError::Store {
            path: path.to_owned(),
            error,
        }),
    }
}

enum Verdict {
    Good,
    Worthless(Reason),
    NotOurs,
}

async fn judge(
    connection: &mut SqliteConnection,
    identity: Identity,
    head: i64,
) -> Result<Verdict, StoreError> {
    let application = number(connection, "pragma application_id").await?;
    if application != APPLICATION {
        let tables = number(connection, "select count(*) from sqlite_schema").await?;
        return Ok(if application == 0 && tables == 0 {
            Verdict::Worthless(Reason::New)
        } else {
            Verdict::NotOurs
        });
    }
    if number(connection, "pragma user_version").await? != FORMAT {
        return Ok(Verdict::Worthless(Reason::OtherFormat));
    }
    let said: String = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if said != "ok" {
        return Ok(Verdict::Worthless(Reason::Damaged));
    }
    let generations = schema::generations(connection).await?;
    Ok(match worth(&generations, identity, head) {
        Ok(()) => Verdict::Good,
        Err(reason) => Verdict::Worthless(reason),
    })
}

async fn number(connection: &mut SqliteConnection, sql: &str) -> Result<i64, StoreError> {
    let number = sqlx::query_scalar(sql).fetch_one(connection).await;
    number.map_err(fault)
}

/// Whether these positions mean anything in the journal of this identity, which ends at `head`.
pub(super) fn worth(
    generations: &[Generation],
    identity: Identity,
    head: i64,
) -> Result<(), Reason> {
    if generations.is_empty() {
        return Err(Reason::New);
    }
    let other = |generation: &Generation| generation.journal != Some(identity);
    if generations.iter().any(other) {
        return Err(Reason::OtherJournal);
    }
    if generations.iter().any(|one| one.position > head) {
        return Err(Reason::AheadOfJournal);
    }
    Ok(())
}

/// Sorts the generations, and begins one where today's fold has none.
async fn generations(
    writer: &mut SqliteConnection,
    shared: &Shared,
    identity: Identity,
) -> Result<(Option<Generation>, Option<Generation>), StoreError> {
    let projection = shared.projection;
    let (mut live, mut building) = (None, None);
    let mut highest = 0;
    for one in schema::generations(writer).await? {
        highest = highest.max(one.number);
        let of_this_shape = schema::is_of_this_shape(writer, projection, one.number).await?;
        let of_today = of_this_shape && one.version == i64::from(projection.version);
        match (one.live, of_today) {
            (true, true) => live = Some(one),
            (true, false) => {
                say(shared.path(), Reason::OtherVersion);
                // Columns that are not there cannot be read.
                live = Some(one).filter(|_| of_this_shape);
                building = building.or(Some(None));
            }
            (false, true) => building = Some(Some(one)),
            (false, false) => schema::discard(writer, projection, one.number).await?,
        }
    }
    if live.is_none() {
        building = building.or(Some(None));
    }
    let building = match building {
        None => None,
        Some(Some(one)) => {
            tracing::info!(
                position = one.position,
                "going on with the half-built rows of the file"
            );
            Some(one)
        }
        Some(None) => {
            schema::begin(writer, projection, highest + 1, identity).await?;
            let all = schema::generations(writer).await?;
            all.into_iter().find(|one| !one.live)
        }
    };
    Ok((live, building))
}

/// Says that something is made anew, and why.
fn say(path: &Path, reason: Reason) {
    metrics::counter!("mypage_file_rebuilds_total", "reason" => reason.as_str()).increment(1);
    let (file, reason) = (path.display(), reason.as_str());
    if reason == Reason::New.as_str() {
        tracing::info!(%file, reason, "the file is made and filled from the first event on");
    } else {
        tracing::warn!(%file, reason, "the file is filled anew from the first event on");
    }
}

/// Makes room for a new file. A damaged one may be somebody else's after all, or tell what broke it: it is kept aside.
fn put_away(path: &Path, reason: Reason) -> io::Result<()> {
    let gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    // First: a log that is left behind would be taken for the new file's.
    for ending in ["-wal", "-shm", "-journal"] {
        gone(fs::remove_file(beside(path, ending)))?;
    }
    if reason == Reason::Damaged {
        gone(fs::rename(path, beside(path, ".damaged")))?;
    } else {
        gone(fs::remove_file(path))?;
    }
    let mut options = File::options();
    let new = options.write(true).create_new(true).mode(OURS_ALONE);
    new.open(path)?.sync_all()
}

/// Whether the file that was opened is still the one at the path.
pub(super) fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}

impl Shared {
    pub(super) fn path(&self) -> &Path {
        self.lock.path()
    }
}
