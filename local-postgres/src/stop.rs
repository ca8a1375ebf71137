//! Ending a server, and clearing away what a dead one left.
//!
//! A killed postmaster leaves its children (which go away when they notice, a busy one only after its
//! statement), its `postmaster.pid` and its socket. The next postmaster refuses to start beside such children,
//! and rightly; and it can take a process id in a stale file for a live server. Both are settled here, with
//! the start lock held, so that no other program of ours is starting a server on the same folder.

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::folder::{Folder, PORT};
use crate::processes::Mark;
use crate::{Error, wait};

/// How long a server may take to write its last checkpoint after clients were cut off.
const FAST_WITHIN: Duration = Duration::from_secs(60);
/// How long processes may take to die of a signal that leaves them nothing to do.
const DIE_WITHIN: Duration = Duration::from_secs(5);

/// Fast shutdown: clients are cut off, everything committed is checkpointed. Waits for the end.
pub(crate) async fn gracefully(folder: &Folder, mark: &Mark, pid: Pid) -> Result<(), Error> {
    send(pid, Signal::INT);
    if wait::while_so(|| mark.owns(pid), FAST_WITHIN).await {
        return Ok(());
    }
    tracing::warn!(folder = %folder.root().display(), "the local server does not shut down, ending it");
    at_once(folder, mark).await
}

/// Ends every process of the server without a checkpoint; the next start recovers from the log.
pub(crate) async fn at_once(folder: &Folder, mark: &Mark) -> Result<(), Error> {
    for signal in [Signal::QUIT, Signal::KILL] {
        mark.signal_all(signal);
        if wait::while_so(|| !mark.all().is_empty(), DIE_WITHIN).await {
            return Ok(());
        }
    }
    let what = format!("ending the server of {}", folder.data().display());
    Err(Error::TooSlow {
        what,
        seconds: 2 * DIE_WITHIN.as_secs(),
    })
}

/// After a postmaster has died: ends its orphans, then removes its files. Call only when no live postmaster
/// owns the folder, and with the start lock held.
pub(crate) async fn clear_away(folder: &Folder, mark: &Mark) -> Result<(), Error> {
    if !mark.all().is_empty() {
        tracing::info!(folder = %folder.root().display(), "ending what a killed local server left running");
        at_once(folder, mark).await?;
    }
    let of_socket = format!(".s.PGSQL.{PORT}.lock");
    for file in [
        folder.data().join("postmaster.pid"),
        folder.socket().join(of_socket),
    ] {
        if misleads(&file) {
            std::fs::remove_file(&file).map_err(Error::file("remove", &file))?;
            tracing::debug!(file = %file.display(), "removed what a killed local server left");
        }
    }
    Ok(())
}

/// Whether the next postmaster would take this file of a dead one for a live one's: it names a process that
/// lives, though it is another one by now, or nothing. A file that names a dead process it settles itself.
fn misleads(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        return false;
    };
    let pid = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .and_then(Pid::from_raw);
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}

/// Sends a signal to a process that may be gone already.
pub(crate) fn send(pid: Pid, signal: Signal) {
    let _ = rustix::process::kill_process(pid, signal);
}
