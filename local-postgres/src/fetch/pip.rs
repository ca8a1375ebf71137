//! The machine's own pip: finding it, and having it fetch one file.
//!
//! pip knows the machine's proxy, certificates and mirror; `pip download` installs nothing, and so works where
//! the system's python is "externally managed", too. A binary-only download runs no code of the package.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::pin::{ABI, PYTHON, Pin};
use super::{FETCH_WITHIN, Refused};
use crate::wait;

/// Ways to start pip, the more deliberate first: of an active venv, `python3` and `pip` are the first in `PATH`.
const WAYS: [&[&str]; 4] = [
    &["python3", "-m", "pip"],
    &["pip3"],
    &["pip"],
    &["python", "-m", "pip"],
];
/// How long pip may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(30);
/// What pip says when it could not talk to the index at all.
const UNREACHABLE: [&str; 6] = [
    "Retrying (",
    "ProxyError",
    "SSLError",
    "ConnectionError",
    "connection broken",
    "timed out",
];
/// What pip says when the file is not the pinned one.
const OTHER_HASH: &str = "DO NOT MATCH THE HASHES";

/// A pip that works.
#[derive(Debug)]
pub(super) struct Pip {
    program: PathBuf,
    arguments: &'static [&'static str],
    /// Variables for it besides our own.
    settings: Vec<(OsString, OsString)>,
}

impl Pip {
    /// The first way to start pip, in `path`, that works.
    pub(super) async fn find(path: &OsStr, settings: &[(OsString, OsString)]) -> Option<Self> {
        for way in WAYS {
            let (name, arguments) = way.split_first()?;
            let program = std::env::split_paths(path)
                .map(|folder| folder.join(name))
                .find(|program| program.is_file());
            let Some(program) = program else { continue };
            let pip = Self {
                program,
                arguments,
                settings: settings.to_vec(),
            };
            if pip.works().await {
                return Some(pip);
            }
        }
        None
    }

    /// Debian's python, for one, comes without pip.
    async fn works(&self) -> bool {
        let mut command = self.command();
        command.arg("--version");
        let output = wait::timeout(VERSION_WITHIN, command.output()).await;
        matches!(output, Ok(Ok(output)) if output.status.success())
    }

    /// Downloads the pinned file into `folder` and returns its path; pip checks the hash.
    pub(super) async fn download(&self, pin: &Pin, folder: &Path) -> Result<PathBuf, Refused> {
        let requirements = folder.join("requirements.txt");
        std::fs::write(&requirements, pin.requirement()).map_err(Refused::file(&requirements))?;
        let into = folder.join("download");
        let mut command = self.command();
        command.args([
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ]);
        command.args(["--platform", pin.platform, "--python-version", PYTHON]);
        command.args(["--implementation", "cp", "--abi", ABI]);
        command.args(["--no-input", "--progress-bar", "off"]);
        command.args([
            "--disable-pip-version-check",
            "--retries",
            "2",
            "--timeout",
            "15",
        ]);
        command
            .arg("--dest")
            .arg(&into)
            .arg("-r")
            .arg(&requirements);
        // Whatever a killed run leaves of its work lies in the folder that the next one removes.
        command.env("TMPDIR", folder);
        let output = match wait::timeout(FETCH_WITHIN, command.output()).await {
            Err(_) => return Err(Refused::TooSlow),
            Ok(output) => output.map_err(Refused::file(&self.program))?,
        };
        if !output.status.success() {
            return Err(self.refusal(pin, &output));
        }
        let mut files = std::fs::read_dir(&into).map_err(Refused::file(&into))?;
        match files.next() {
            Some(file) => Ok(file.map_err(Refused::file(&into))?.path()),
            None => Err(Refused::file(&into)(std::io::ErrorKind::NotFound.into())),
        }
    }

    /// In our own process group: Ctrl-C in the terminal is for it, too.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // That setting guards against installing, and pip applies it to downloading as well.
        command.env("PIP_REQUIRE_VIRTUALENV", "0");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn refusal(&self, pin: &Pin, output: &Output) -> Refused {
        let said = [&output.stderr[..], &output.stdout[..]].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(OTHER_HASH) {
            return Refused::OtherHash;
        }
        if UNREACHABLE.iter().any(|sign| said.contains(sign)) {
            return Refused::Unreachable {
                command: self.to_string(),
            };
        }
        let last = said.lines().rfind(|line| line.starts_with("ERROR: "));
        let last = last.map(|line| line.trim_start_matches("ERROR: ").to_owned());
        Refused::Pip {
            command: self.to_string(),
            file: pin.to_string(),
            reason: last.unwrap_or_else(|| output.status.to_string()),
        }
    }
}

impl std::fmt::Display for Pip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}
