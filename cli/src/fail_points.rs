//! Dies or stands still at a fail point, in a build with debug assertions that was started with `FAIL_POINT_FILE`.
//!
//! While that file is there it says in two words where and what: `booking-stored kill`, `batch-written/orders stop`.
//! The process that comes there first takes the file away (it is then called `FILE.taken`), so it happens once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Where a test says what is to happen.
const VARIABLE: &str = "FAIL_POINT_FILE";
/// Within this time every thread of a stopped process stands still.
const STILL_WITHIN: Duration = Duration::from_millis(100);

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// Obeys the file of the environment, if there is one.
pub fn obey() {
    if let Some(file) = std::env::var_os(VARIABLE) {
        let _ = FILE.set(file.into());
        journal::fail_point::install(reached);
    }
}

fn reached(place: &str, of: &str) {
    let Some(signal) = FILE.get().and_then(|file| asked(file, place, of)) else {
        return;
    };
    let _ = kill_process(getpid(), signal);
    // Another thread may take the signal: this one must not go on meanwhile.
    std::thread::sleep(STILL_WITHIN);
}

/// What the file asks for here, if this process takes it away.
fn asked(file: &Path, place: &str, of: &str) -> Option<Signal> {
    let said = std::fs::read_to_string(file).ok()?;
    let (at, what) = said.trim().split_once(' ')?;
    if at != place && at != format!("{place}/{of}") {
        return None;
    }
    std::fs::rename(file, file.with_extension("taken")).ok()?;
    match what {
        "kill" => Some(Signal::KILL),
        "stop" => Some(Signal::STOP),
        _ => None,
    }
}
