//! Two file locks decide who starts and who stops a server.
//!
//! `start` is exclusive and held by whoever starts, joins or leaves; `users` is held shared by every user for
//! as long as it uses the server. Leaving means: with `start` held, exchange one's share of `users` for the
//! whole; who gets it is the last one and stops the server. Nobody can join in between, as joining needs
//! `start`. The kernel drops both when a process dies, however it dies.
//!
//! A lock belongs to the open file, and a child process holds a copy of it between fork and exec: giving up a
//! lock therefore says so explicitly instead of merely closing the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, wait};

/// How often a lock held by someone else is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(10);
/// How long the whole of the users' lock may still be held once the start lock is free.
const JOIN_WITHIN: Duration = Duration::from_secs(10);

/// An exclusive lock, given up when dropped.
#[derive(Debug)]
pub(crate) struct Exclusive(File);

impl Exclusive {
    /// Takes the lock, waiting for its holder for at most `within`.
    pub(crate) async fn take(path: &Path, within: Duration) -> Result<Self, Error> {
        let deadline = wait::stopwatch() + within;
        loop {
            match Self::try_take(path)? {
                Some(lock) => return Ok(lock),
                None if wait::stopwatch() >= deadline => return Err(held(path, within)),
                None => wait::pause(RETRY_EVERY).await,
            }
        }
    }

    /// The same for `Drop`, which cannot be async.
    pub(crate) fn take_blocking(path: &Path, within: Duration) -> Result<Self, Error> {
        let deadline = wait::stopwatch() + within;
        loop {
            match Self::try_take(path)? {
                Some(lock) => return Ok(lock),
                None if wait::stopwatch() >= deadline => return Err(held(path, within)),
                None => std::thread::sleep(RETRY_EVERY),
            }
        }
    }

    /// Takes the lock if nobody holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        let taken = taken(file.try_lock(), path)?;
        Ok(taken.then_some(Self(file)))
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // Fails only for a file that is no longer open; it is.
        let _ = self.0.unlock();
    }
}

/// One user's share of a server; given up when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    file: File,
    path: PathBuf,
}

impl Share {
    /// Joins the users. Call with the start lock held: then nobody holds the whole for long.
    pub(crate) async fn join(path: &Path) -> Result<Self, Error> {
        let deadline = wait::stopwatch() + JOIN_WITHIN;
        let file = open(path)?;
        while !taken(file.try_lock_shared(), path)? {
            if wait::stopwatch() >= deadline {
                return Err(held(path, JOIN_WITHIN));
            }
            wait::pause(RETRY_EVERY).await;
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Whether no other user is left. Call with the start lock held; the share is exchanged for the whole.
    pub(crate) fn is_last(&self) -> Result<bool, Error> {
        taken(self.file.try_lock(), &self.path)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> Result<File, Error> {
    // Read-only for everyone but the owner, who alone may hold the locks.
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .to_owned();
    options.open(path).map_err(Error::file("open", path))
}

/// Whether an attempt to lock `path` succeeded.
fn taken(attempt: Result<(), TryLockError>, path: &Path) -> Result<bool, Error> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(Error::file("lock", path)(source)),
    }
}

fn held(path: &Path, within: Duration) -> Error {
    Error::TooSlow {
        what: format!("waiting for the holder of {}", path.display()),
        seconds: within.as_secs(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Exclusive, Share};
    use crate::Error;

    #[tokio::test]
    async fn only_the_last_share_can_be_exchanged_for_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.lock");
        let (one, other) = (
            Share::join(&path).await.unwrap(),
            Share::join(&path).await.unwrap(),
        );
        assert!(!one.is_last().unwrap());
        drop(one);
        assert!(other.is_last().unwrap());
    }

    #[tokio::test]
    async fn an_exclusive_lock_is_waited_for_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("start.lock");
        let held = Exclusive::take(&path, Duration::ZERO).await.unwrap();
        let error = Exclusive::take(&path, Duration::from_millis(30))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooSlow { .. }), "{error}");
        assert!(Exclusive::take_blocking(&path, Duration::from_millis(30)).is_err());
        drop(held);
        assert!(Exclusive::try_take(&path).unwrap().is_some());
    }
}
