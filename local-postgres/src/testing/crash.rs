//! What crash tests do to a server: stop it, kill it, freeze it, thaw it.
//!
//! All of it goes by the server's folder, so that it works on a server some other process started as well.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::folder::Folder;
use crate::processes::Mark;
use crate::{Error, stop, wait};

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Kills the postmaster of the server in `folder` with `kill -9` and waits until it is gone. Its children live
/// on until they notice. Returns the postmaster's process id, or none if there was none.
///
/// # Errors
/// When the folder is not a server's, or the process does not go.
pub async fn kill_postmaster(folder: &Path) -> Result<Option<i32>, Error> {
    let Some((mark, postmaster)) = server_in(folder)? else {
        return Ok(None);
    };
    stop::send(postmaster, Signal::KILL);
    if !wait::while_so(|| mark.owns(postmaster), GONE_WITHIN).await {
        return Err(stays(folder));
    }
    Ok(Some(postmaster.as_raw_pid()))
}

/// Kills every process of the server in `folder` with `kill -9` and waits until they are gone: a power cut,
/// as far as the server is concerned.
///
/// # Errors
/// When the folder is not a server's, or a process does not go.
pub async fn kill(folder: &Path) -> Result<(), Error> {
    let Some((mark, postmaster)) = server_in(folder)? else {
        return Ok(());
    };
    // First the one who would start the others again.
    stop::send(postmaster, Signal::KILL);
    let gone = || {
        mark.signal_all(Signal::KILL);
        !mark.all().is_empty()
    };
    if wait::while_so(gone, GONE_WITHIN).await {
        Ok(())
    } else {
        Err(stays(folder))
    }
}

/// What `pg_ctl stop -m immediate` does to the server in `folder`: every process ends at once, and without a
/// checkpoint. Waits until they are gone.
///
/// # Errors
/// When the folder is not a server's, or a process does not go.
pub async fn stop_immediately(folder: &Path) -> Result<(), Error> {
    let Some((mark, postmaster)) = server_in(folder)? else {
        return Ok(());
    };
    stop::send(postmaster, Signal::QUIT);
    if wait::while_so(|| !mark.all().is_empty(), GONE_WITHIN).await {
        Ok(())
    } else {
        Err(stays(folder))
    }
}

/// Freezes every process of the server in `folder`: connections stay open and nothing answers.
///
/// # Errors
/// When the folder is not a server's.
pub fn freeze(folder: &Path) -> Result<(), Error> {
    signal(folder, Signal::STOP)
}

/// Thaws a frozen server.
///
/// # Errors
/// When the folder is not a server's.
pub fn thaw(folder: &Path) -> Result<(), Error> {
    signal(folder, Signal::CONT)
}

fn signal(folder: &Path, signal: Signal) -> Result<(), Error> {
    if let Some((mark, postmaster)) = server_in(folder)? {
        // The postmaster first and last: it may start a process while we go through the list.
        stop::send(postmaster, signal);
        mark.signal_all(signal);
    }
    Ok(())
}

/// The live server of a folder: how to recognise it, and its postmaster.
fn server_in(folder: &Path) -> Result<Option<(Mark, Pid)>, Error> {
    let Some(folder) = Folder::existing(folder) else {
        return Ok(None);
    };
    let mark = Mark::of(&folder, Account::of(&folder.data())?.uid());
    let postmaster = folder
        .postmaster()
        .map(|postmaster| postmaster.pid)
        .filter(|pid| mark.owns(*pid));
    Ok(postmaster.map(|postmaster| (mark, postmaster)))
}

fn stays(folder: &Path) -> Error {
    let what = format!("killing the server of {}", folder.display());
    Error::TooSlow {
        what,
        seconds: GONE_WITHIN.as_secs(),
    }
}
