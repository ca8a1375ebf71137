//! Finds the server programs of this machine.
//!
//! Looked at in this order: the folder named by `SPACERENT_PG_BIN` (and then nowhere else), `PATH` (links
//! followed to the real folder, where `initdb` finds its siblings), `pg_config --bindir`, and the folders
//! that Debian, Fedora, SUSE, Alpine, Homebrew and Postgres.app install into; last the packages that were
//! fetched (see `fetch`). An existing data folder decides the major version; otherwise the newest of the
//! system wins, and a fetched one only where the system has none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, fetch};

/// `create database … strategy file_copy` and the rest of what we use is there from this version on.
pub(crate) const OLDEST_MAJOR: u32 = 15;

/// Usual folders as (parent, how the next component begins, what follows it).
const USUAL: [(&str, &str, &str); 9] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr/local", "pgsql", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Package managers: the program that gives each away, and what to type.
const INSTALL: [(&str, &str); 6] = [
    ("apt-get", "sudo apt-get install postgresql"),
    ("dnf", "sudo dnf install postgresql-server"),
    ("apk", "sudo apk add postgresql"),
    ("pacman", "sudo pacman -S postgresql"),
    ("zypper", "sudo zypper install postgresql-server"),
    ("brew", "brew install postgresql@17"),
];

/// Where package managers are when `PATH` is no help.
const SYSTEM_FOLDERS: [&str; 5] = [
    "/usr/bin",
    "/bin",
    "/sbin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
];

/// A folder with `postgres` and `initdb` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) folder: PathBuf,
    pub(crate) major: u32,
}

impl Installation {
    /// The server program.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The program that makes a data folder.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }
}

/// Where to look. Everything it depends on is a field, so that a test can look elsewhere.
#[derive(Debug)]
pub(crate) struct Search {
    pinned: Option<PathBuf>,
    path: OsString,
    usual: Vec<PathBuf>,
    /// Where fetched packages are kept.
    kept_in: Vec<PathBuf>,
}

impl Search {
    /// Looks where this machine and this process's environment say, and for packages kept in `kept_in`.
    pub(crate) fn here(kept_in: Vec<PathBuf>) -> Self {
        Self {
            pinned: std::env::var_os("SPACERENT_PG_BIN")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: std::env::var_os("PATH").unwrap_or_default(),
            usual: USUAL
                .iter()
                .flat_map(|(parent, start, rest)| folders_under(Path::new(parent), start, rest))
                .collect(),
            kept_in,
        }
    }

    /// Looks in the folders of `path` and at what is kept in `kept_in`, and nowhere else.
    #[cfg(test)]
    pub(crate) fn only(path: OsString, kept_in: Vec<PathBuf>) -> Self {
        Self {
            pinned: None,
            path,
            usual: Vec::new(),
            kept_in,
        }
    }

    /// The installation for a data folder of major version `wanted`, or the newest.
    pub(crate) fn find(&self, data: &Path, wanted: Option<u32>) -> Result<Installation, Error> {
        if let Some(folder) = &self.pinned {
            let pinned = pinned(folder)?;
            return choice(std::slice::from_ref(&pinned), wanted)
                .cloned()
                .ok_or_else(|| other_major(data, wanted, std::slice::from_ref(&pinned)));
        }
        let system = self.installations();
        if let Some(found) = choice(&system, wanted) {
            return Ok(found.clone());
        }
        let kept = self.kept();
        if let Some(found) = choice(&kept, wanted) {
            return Ok(found.clone());
        }
        if choice(&system, None).or(choice(&kept, None)).is_none() {
            return Err(self.nothing(&system));
        }
        Err(other_major(data, wanted, &[system, kept].concat()))
    }

    /// The system's installations, the more deliberate choice first.
    fn installations(&self) -> Vec<Installation> {
        let mut folders: Vec<PathBuf> = std::env::split_paths(&self.path).collect();
        folders.extend(pg_config(&self.path));
        folders.extend(self.usual.iter().cloned());
        installations_in(&folders)
    }

    /// The installations that were fetched.
    fn kept(&self) -> Vec<Installation> {
        let folders: Vec<PathBuf> = self
            .kept_in
            .iter()
            .flat_map(|in_| fetch::kept(in_))
            .collect();
        installations_in(&folders)
    }

    fn nothing(&self, found: &[Installation]) -> Error {
        let seen = match found {
            [] => String::new(),
            _ => format!("; too old: {}", majors(found.iter())),
        };
        let folders =
            || std::env::split_paths(&self.path).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from));
        let here = |program: &str| folders().any(|folder| folder.join(program).is_file());
        let install = INSTALL
            .iter()
            .find(|(program, _)| here(program))
            .map(|(_, line)| *line);
        let install = install.unwrap_or("see https://www.postgresql.org/download/");
        Error::NoBinaries {
            oldest: OLDEST_MAJOR,
            seen,
            not_fetched: None,
            install,
        }
    }
}

/// The installations in these folders, each once.
fn installations_in(folders: &[PathBuf]) -> Vec<Installation> {
    let mut found: Vec<Installation> = Vec::new();
    for folder in folders {
        // The link in /usr/local/bin or Homebrew's opt leads to the folder that has everything.
        let Ok(postgres) = folder.join("postgres").canonicalize() else {
            continue;
        };
        let Some(folder) = postgres.parent() else {
            continue;
        };
        if found.iter().all(|known| known.folder != folder) {
            found.extend(installation(folder));
        }
    }
    found
}

/// The first installation of a version, or the first of the newest version.
fn choice(found: &[Installation], wanted: Option<u32>) -> Option<&Installation> {
    let mut usable = found.iter().filter(|it| it.major >= OLDEST_MAJOR);
    match wanted {
        Some(wanted) => usable.find(|it| it.major == wanted),
        None => usable.rev().max_by_key(|it| it.major),
    }
}

fn other_major(data: &Path, wanted: Option<u32>, found: &[Installation]) -> Error {
    Error::OtherMajor {
        folder: data.to_owned(),
        wanted: wanted.unwrap_or_default(),
        installed: majors(found.iter().filter(|it| it.major >= OLDEST_MAJOR)),
    }
}

/// The installation in `folder`, if both programs are there and say who they are.
pub(crate) fn installation(folder: &Path) -> Option<Installation> {
    let found = Installation {
        folder: folder.to_owned(),
        major: major(&folder.join("postgres"))?,
    };
    found.initdb().is_file().then_some(found)
}

/// The installation the user insists on.
fn pinned(folder: &Path) -> Result<Installation, Error> {
    let refuse = |reason: String| Error::PinnedBinaries {
        folder: folder.to_owned(),
        reason,
    };
    let real = folder
        .canonicalize()
        .map_err(|error| refuse(error.to_string()))?;
    let found = installation(&real)
        .ok_or_else(|| refuse("it holds no working postgres and initdb".to_owned()))?;
    if found.major < OLDEST_MAJOR {
        return Err(refuse(format!(
            "it is version {}, and {OLDEST_MAJOR} or newer is needed",
            found.major
        )));
    }
    Ok(found)
}

/// Asks a server program for its major version.
fn major(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)` and `postgres (PostgreSQL) 19beta1`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

/// The folder that the first `pg_config` in `path` knows.
fn pg_config(path: &OsString) -> Option<PathBuf> {
    let program = std::env::split_paths(path)
        .map(|folder| folder.join("pg_config"))
        .find(|file| file.is_file())?;
    let output = Command::new(program).arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

pub(crate) fn folders_under(parent: &Path, start: &str, rest: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(start.as_bytes())
    });
    named.map(|entry| entry.path().join(rest)).collect()
}

fn majors<'a>(found: impl Iterator<Item = &'a Installation>) -> String {
    let mut majors: Vec<u32> = found.map(|installation| installation.major).collect();
    majors.sort_unstable();
    majors.dedup();
    majors
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
