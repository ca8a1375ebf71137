//! A small shell process that outlives its test process and leaves the server in its place.
//!
//! Rust drops no statics and nobody runs code after `kill -9`, so somebody else has to notice the end. The
//! pipe does: the kernel closes our end of it whenever and however we go.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::folder::Folder;

/// The script, explained in itself.
const SCRIPT: &str = include_str!("watchdog.sh");

/// Ends, and leaves the server, when this value is dropped or this process is gone.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
}

impl Watchdog {
    /// Watches over the server in `folder`. It lingers after our end, so that the next of several test
    /// processes in a row finds the server running; `remove` is a folder that goes with the server.
    pub(crate) fn over(
        folder: &Folder,
        linger: Duration,
        remove: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder.root())
            .arg(folder.cluster());
        command
            .arg(linger.as_secs().to_string())
            .arg(remove.unwrap_or(Path::new("")));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Out of reach of the terminal's Ctrl-C and of test runners that kill a process group.
        command.process_group(0).current_dir("/");
        let child = command
            .spawn()
            .map_err(Error::file("run", Path::new("/bin/sh")))?;
        Ok(Self { child })
    }
}

impl Drop for Watchdog {
    /// Waits until it has done its work, each step of which is bounded.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
