//! From a folder to a server that answers: adopt the one that does, or start a postmaster and wait for it.
//!
//! Everything here runs with the start lock held. The postmaster is our child while we live, and nobody's
//! afterwards: killed with `kill -9`, we leave a server that the next start adopts.

use std::fs::{self, File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::account::Account;
use crate::folder::Folder;
use crate::probe::{self, Found, Running};
use crate::processes::Mark;
use crate::profile::{self, Profile};
use crate::programs::Programs;
use crate::{Error, initdb, stop, wait};

/// How long a start may take, crash recovery included.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long a killed server's remains may need to disappear, and a busy machine's server to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// How often a starting server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a program's output an error quotes.
const LAST_WORDS_BYTES: u16 = 2_000;
/// A file of the server's log that grew beyond this is dropped at the next start.
const LOG_FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// What a postmaster says when the remains of its predecessor are in its way.
const IN_THE_WAY: [&str; 2] = ["lock file", "shared memory block"];

/// Everything that is settled before a server is looked for.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) programs: &'a Programs,
    pub(crate) profile: Profile,
    pub(crate) settings: &'a [(String, String)],
    pub(crate) account: Account,
    pub(crate) mark: Mark,
    /// How long a live server may stay silent, and how long a refused start is repeated.
    pub(crate) patience: Duration,
}

impl Launch<'_> {
    /// Adopts the server that answers on this folder, or starts one.
    pub(crate) async fn adopt_or_start(&self) -> Result<Running, Error> {
        let began = wait::stopwatch();
        let mut started: Option<Child> = None;
        let mut silent_since: Option<Instant> = None;
        loop {
            match probe::look(self.folder, &self.mark).await {
                Found::Answering(running) => {
                    let (folder, pid) = (self.folder.root().display(), running.pid);
                    let adopted = started.is_none();
                    tracing::info!(%folder, %pid, adopted, "local server ready");
                    return Ok(running);
                }
                Found::Changing => silent_since = None,
                Found::Silent(postmaster, reason) => {
                    if silent_since.get_or_insert_with(wait::stopwatch).elapsed() >= self.patience {
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
        let installation = self.programs.find(&self.folder.data(), major)?;
        self.account
            .can_run(&installation.postgres(), self.folder.root())?;
        if major.is_none() {
            initdb::run(self.folder, &self.account, &installation, self.profile).await?;
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

    /// Bounds the log by size, where its rotation bounds it by time. A log that stays is no reason not to start.
    fn drop_large_logs(&self) {
        for (log, metadata) in self.logs() {
            if metadata.len() > LOG_FILE_BYTES_MAX {
                let _ = fs::remove_file(log);
            }
        }
    }

    /// The files of the server's log.
    fn logs(&self) -> Vec<(PathBuf, Metadata)> {
        let folder = self.folder.data().join("log");
        // The server's user could put a link here, and we may be root.
        if !fs::symlink_metadata(&folder).is_ok_and(|folder| folder.is_dir()) {
            return Vec::new();
        }
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let logs = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
        logs.filter(|(_, metadata)| metadata.is_file()).collect()
    }

    /// Whether a postmaster that ended at once may be started again, or the error it ended with.
    fn may_try_again(&self, status: ExitStatus, began: Instant) -> Result<(), Error> {
        let output = self.last_words();
        if began.elapsed() < self.patience
            && IN_THE_WAY.iter().any(|obstacle| output.contains(obstacle))
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
        let newest = self
            .logs()
            .into_iter()
            .max_by_key(|(_, metadata)| metadata.modified().ok());
        let log = newest
            .and_then(|(log, _)| tail(&log).ok())
            .unwrap_or_default();
        // The rest of the log speaks of clients and their data.
        let last = |line: &&str| line.contains("FATAL: ") || line.contains("PANIC: ");
        for line in log.lines().filter(last) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Launch;
    use crate::account::Account;
    use crate::folder::Folder;
    use crate::processes::Mark;
    use crate::profile::Profile;
    use crate::programs::Programs;
    use crate::testing::Cluster;
    use crate::{Error, wait};

    #[tokio::test]
    async fn a_frozen_server_is_not_adopted_before_it_answers() {
        let cluster = Cluster::start(Profile::Disposable).await.unwrap();
        let (frozen, parent) = (cluster.postmaster_pid(), cluster.folder().to_owned());
        let folder = Folder::open(&parent).unwrap();
        let account = Account::of(&folder.data()).unwrap();
        let mut launch = Launch {
            folder: &folder,
            programs: &Programs::here(&parent).unwrap(),
            profile: Profile::Disposable,
            settings: &[],
            mark: Mark::of(&folder, account.uid()),
            account,
            patience: Duration::ZERO,
        };
        cluster.freeze().unwrap();
        let error = launch.adopt_or_start().await.unwrap_err();
        assert!(
            matches!(error, Error::Silent { pid, .. } if pid == frozen),
            "{error}"
        );

        launch.patience = super::PATIENCE;
        let mut adopting = Box::pin(launch.adopt_or_start());
        let early = wait::timeout(Duration::from_millis(200), &mut adopting).await;
        assert!(early.is_err(), "adopted a server that answers nothing");
        cluster.thaw().unwrap();
        assert_eq!(adopting.await.unwrap().pid.as_raw_pid(), frozen);

        cluster.freeze().unwrap();
        drop(cluster);
        assert!(!parent.exists(), "a frozen cluster outlives its value");
    }
}
