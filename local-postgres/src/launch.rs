//! From a folder to a server that answers: make the data folder, start the postmaster, wait, or adopt.
//!
//! Everything here runs with the start lock held. The postmaster is our child while we live, and nobody's
//! afterwards: killed with `kill -9`, we leave a server that the next start adopts.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::account::Account;
use crate::binaries::{Installation, Search};
use crate::folder::Folder;
use crate::probe::{self, Found, Running};
use crate::processes::Mark;
use crate::profile::{self, Profile};
use crate::{Error, stop, wait};

/// How long a start may take, crash recovery included.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long a live server may stay silent before we give up on it, and how long a refused start is repeated:
/// the time a killed server's remains may need to disappear.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long `initdb` may take; it syncs some 40 MB.
const INITDB_WITHIN: Duration = Duration::from_secs(180);
/// How often a starting server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a program's output an error quotes.
const LAST_WORDS_BYTES: u16 = 2_000;
/// A file of the server's log that grew beyond this is dropped at the next start.
const LOG_FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How the folder of an unfinished `initdb` begins.
const UNFINISHED: &str = "unfinished.";
/// What a postmaster says when the remains of its predecessor are in its way.
const IN_THE_WAY: [&str; 2] = ["lock file", "shared memory block"];

/// Everything that is settled before a server is looked for.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) profile: Profile,
    pub(crate) settings: &'a [(String, String)],
    pub(crate) account: Account,
    pub(crate) mark: Mark,
}

impl Launch<'_> {
    /// Adopts the server that answers on this folder, or starts one.
    pub(crate) async fn adopt_or_start(&self) -> Result<Running, Error> {
        let began = Instant::now();
        let mut started: Option<Child> = None;
        let mut silent_since: Option<Instant> = None;
        loop {
            match probe::look(self.folder, &self.mark).await {
                Found::Answering(running) => {
                    let how = if started.is_some() {
                        "started"
                    } else {
                        "adopted"
                    };
                    tracing::info!(folder = %self.folder.root().display(), pid = %running.pid, how, "local server ready");
                    return Ok(running);
                }
                Found::Changing => silent_since = None,
                Found::Silent(postmaster, reason) => {
                    if silent_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                        let (folder, pid) = (self.folder.data(), postmaster.pid.as_raw_pid());
                        return Err(Error::Silent {
                            folder,
                            pid,
                            reason,
                        });
                    }
                }
                Found::Nothing => {
                    if let Some(status) = started.as_ref().and_then(Child::ended) {
                        self.may_try_again(status, began)?;
                        started = None;
                    }
                    // A child that has not ended is about to write its process id.
                    if started.is_none() {
                        started = Some(self.start().await?);
                    }
                }
            }
            if began.elapsed() >= START_WITHIN {
                return Err(self.too_slow(started.as_ref()));
            }
            wait::pause(LOOK_EVERY).await;
        }
    }

    /// Starts a postmaster, on a data folder made now if there is none.
    async fn start(&self) -> Result<Child, Error> {
        let major = self.folder.major()?;
        let installation = Search::here().find(&self.folder.data(), major)?;
        self.account
            .can_run(&installation.postgres(), self.folder.root())?;
        if major.is_none() {
            self.make_data(&installation).await?;
        }
        stop::clear_away(self.folder, &self.mark).await?;
        self.drop_large_logs();
        let socket = self.folder.socket();
        self.account.private_folder(&socket)?;
        let log = self.folder.start_log();
        let output = File::create(&log).map_err(Error::file("create", &log))?;
        let mut command = self.account.command(installation.postgres());
        command.arg("-D").arg(self.folder.data());
        for setting in
            profile::settings(self.profile, &socket, &self.folder.cluster(), self.settings)
        {
            command.arg("-c").arg(setting);
        }
        let errors = output.try_clone().map_err(Error::file("open", &log))?;
        command
            .current_dir(self.folder.root())
            .stdout(output)
            .stderr(errors);
        Child::spawn(command).map_err(Error::file("run", &installation.postgres()))
    }

    /// Runs `initdb` aside and renames its folder when it is complete: a killed one never counts.
    async fn make_data(&self, installation: &Installation) -> Result<(), Error> {
        self.drop_unfinished()?;
        // Removed when dropped: when anything below fails, or nobody waits for it any more.
        let unfinished = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(self.folder.root());
        let unfinished = unfinished.map_err(Error::file("make a folder in", self.folder.root()))?;
        let unfinished = unfinished.path();
        self.account.private_folder(unfinished)?;
        let mut command = self.account.command(installation.initdb());
        command.arg("-D").arg(unfinished).args([
            "--username",
            crate::uri::ROLE,
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]);
        // Whoever gets to the socket is the server's user or root. TCP is off; someone who turns it on with a
        // setting finds a door that asks for a password nobody has.
        command.args([
            "--auth-local",
            "trust",
            "--auth-host",
            "scram-sha-256",
            "--no-instructions",
        ]);
        if self.profile == Profile::Disposable {
            command.arg("--no-sync");
        }
        command.current_dir(self.folder.root());
        let mut command = tokio::process::Command::from(command);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::time::timeout(INITDB_WITHIN, command.output())
            .await
            .map_err(|_| {
                let what = format!("initdb in {}", unfinished.display());
                Error::TooSlow {
                    what,
                    seconds: INITDB_WITHIN.as_secs(),
                }
            })?;
        let output = output.map_err(Error::file("run", &installation.initdb()))?;
        if !output.status.success() {
            let status = output.status.to_string();
            let output = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Failed {
                program: "initdb",
                status,
                output,
            });
        }
        let data = self.folder.data();
        fs::rename(unfinished, &data).map_err(Error::file("rename to", &data))?;
        let root = self.folder.root();
        File::open(root)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::file("sync", root))
    }

    /// Removes the data folders of `initdb` runs that were killed.
    fn drop_unfinished(&self) -> Result<(), Error> {
        let root = self.folder.root();
        for entry in fs::read_dir(root)
            .map_err(Error::file("list", root))?
            .flatten()
        {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(UNFINISHED.as_bytes())
            {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Bounds the log by size, where its rotation bounds it by time. A log that cannot be dropped is no reason not to start.
    fn drop_large_logs(&self) {
        for entry in fs::read_dir(self.folder.data().join("log"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry
                .metadata()
                .is_ok_and(|metadata| metadata.len() > LOG_FILE_BYTES_MAX)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether a postmaster that ended at once may be started again, or the error it ended with.
    fn may_try_again(&self, status: ExitStatus, began: Instant) -> Result<(), Error> {
        let output = self.last_words();
        if began.elapsed() < PATIENCE && IN_THE_WAY.iter().any(|obstacle| output.contains(obstacle))
        {
            return Ok(());
        }
        Err(Error::Failed {
            program: "postgres",
            status: status.to_string(),
            output,
        })
    }

    /// What the server said before its log was open, and why it gave up afterwards.
    fn last_words(&self) -> String {
        let mut words = tail(&self.folder.start_log()).unwrap_or_default();
        let logs = fs::read_dir(self.folder.data().join("log"))
            .into_iter()
            .flatten()
            .flatten();
        let newest = logs.max_by_key(|entry| {
            entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        });
        let log = newest
            .and_then(|entry| tail(&entry.path()).ok())
            .unwrap_or_default();
        // The rest of the log speaks of clients and their data.
        for line in log
            .lines()
            .filter(|line| line.contains("FATAL: ") || line.contains("PANIC: "))
        {
            words.push_str(line);
            words.push('\n');
        }
        words
    }

    fn too_slow(&self, started: Option<&Child>) -> Error {
        if let Some(child) = started {
            stop::send(child.pid, rustix::process::Signal::QUIT);
        }
        let what = format!("starting the server of {}", self.folder.data().display());
        Error::TooSlow {
            what,
            seconds: START_WITHIN.as_secs(),
        }
    }
}

/// A postmaster we started.
#[derive(Debug)]
struct Child {
    pid: Pid,
    ended: Arc<OnceLock<ExitStatus>>,
}

impl Child {
    /// Starts it, and a thread that waits for its end: a dead child nobody waits for still counts as a
    /// process, and the next postmaster would take it for its live predecessor.
    fn spawn(mut command: std::process::Command) -> std::io::Result<Self> {
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let ended = Arc::new(OnceLock::new());
        let tell = Arc::clone(&ended);
        std::thread::Builder::new()
            .name("postgres-ended".to_owned())
            .spawn(move || {
                if let Ok(status) = child.wait() {
                    let _ = tell.set(status);
                }
            })?;
        Ok(Self { pid, ended })
    }

    /// How it ended, if it has.
    fn ended(&self) -> Option<ExitStatus> {
        self.ended.get().copied()
    }
}

/// The end of a text file.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        length.saturating_sub(LAST_WORDS_BYTES.into()),
    ))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
