//! Under which user the server runs.
//!
//! Postgres refuses to run as root. Root therefore hands it to the owner of an existing data folder, else to
//! `postgres`, else to `nobody`; anybody else runs it as themselves. Root can still reach the socket of a
//! folder closed to all but that user, so no password has to pass between the two.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// Users to try in this order when root needs one.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// What the server may know of our environment: where its libraries are, and nothing secret.
const PASSED_ON: [&str; 4] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
];

/// The user a server runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether we are root and have to become this user.
    switch: bool,
}

impl Account {
    /// The user for the server of `data`, a folder that need not exist yet.
    pub(crate) fn of(data: &Path) -> Result<Self, Error> {
        let me = rustix::process::geteuid().as_raw();
        match fs::metadata(data) {
            Ok(found) if found.uid() == 0 || me != 0 && found.uid() != me => Err(Error::NotOurs {
                folder: data.to_owned(),
                owner: found.uid(),
            }),
            Ok(found) => Ok(Self::by_id(found.uid(), found.gid(), me == 0, &passwd())),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("look at", data)(error))
            }
            Err(_) if me == 0 => Self::unprivileged(&passwd()),
            Err(_) => {
                let group = rustix::process::getegid().as_raw();
                Ok(Self::by_id(me, group, false, &passwd()))
            }
        }
    }

    /// A user by the name people know it by.
    fn by_id(uid: u32, gid: u32, switch: bool, passwd: &str) -> Self {
        let known = entries(passwd).find(|entry| entry.uid == uid);
        let name = known.map_or_else(|| format!("#{uid}"), |entry| entry.name);
        Self {
            name,
            uid,
            gid,
            switch,
        }
    }

    /// The first unprivileged user in the text of a passwd file.
    fn unprivileged(passwd: &str) -> Result<Self, Error> {
        let named =
            |wanted: &str| entries(passwd).find(|entry| entry.name == wanted && entry.uid != 0);
        UNPRIVILEGED
            .into_iter()
            .find_map(named)
            .ok_or_else(|| Error::NoAccount {
                reason: "there is neither a user postgres nor a user nobody".to_owned(),
            })
    }

    /// The user's id, which owns every process of the server.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes a folder only this user (and root) can enter; an existing one is kept if it is this user's.
    pub(crate) fn private_folder(&self, path: &Path) -> Result<(), Error> {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Not followed: a link somebody planted in the temporary folder is not ours.
                let found = fs::symlink_metadata(path).map_err(Error::file("look at", path))?;
                let ours = [self.uid, rustix::process::geteuid().as_raw()];
                if !found.is_dir() || !ours.contains(&found.uid()) {
                    return Err(Error::NotOurs {
                        folder: path.to_owned(),
                        owner: found.uid(),
                    });
                }
            }
            Err(error) => return Err(Error::file("create", path)(error)),
        }
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, closed).map_err(Error::file("close", path))?;
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid)).map_err(Error::file("give away", path))?;
        }
        Ok(())
    }

    /// A command that runs as this user, away from the terminal and with no secrets in its environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let passed_on = |name: &'static str| Some((name, std::env::var_os(name)?));
        command
            .env_clear()
            .envs(PASSED_ON.into_iter().filter_map(passed_on));
        // English messages: a few of them are looked for.
        command.env("LC_ALL", "C");
        // Its own process group: Ctrl-C in the terminal is for us, and we stop the server when it is unused.
        command.process_group(0);
        if self.switch {
            // The standard library drops root's supplementary groups along with root.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes sure that this user can run `program` with `folder` as its working directory.
    pub(crate) fn can_run(&self, program: &Path, folder: &Path) -> Result<(), Error> {
        let tried = self
            .command(program)
            .arg("--version")
            .current_dir(folder)
            .status();
        match tried {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::Failed {
                program: "postgres",
                status: status.to_string(),
                output: format!("{} --version", program.display()),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && self.switch => {
                match closed_ancestor(folder).or_else(|| closed_ancestor(program)) {
                    Some(closed) => Err(Error::OutOfReach {
                        account: self.name.clone(),
                        closed,
                    }),
                    None => Err(Error::NoAccount {
                        reason: format!("becoming {}: {error}", self.name),
                    }),
                }
            }
            Err(error) => Err(Error::file("run", program)(error)),
        }
    }
}

/// The system's users; those of a directory service are not among them.
fn passwd() -> String {
    fs::read_to_string("/etc/passwd").unwrap_or_default()
}

/// The users root can become according to the text of a passwd file.
fn entries(passwd: &str) -> impl Iterator<Item = Account> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        Some(Account {
            name,
            uid,
            gid,
            switch: true,
        })
    })
}

/// A numeric id of a passwd file; some systems write nobody's as -2.
fn id(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

/// The outermost folder above (or at) `path` that strangers cannot enter.
fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    let closed = |folder: &&Path| {
        fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 == 0)
    };
    ancestors.into_iter().find(closed).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn root_prefers_postgres_to_nobody() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\npostgres:x:70:71::/:/bin/sh\n";
        let account = Account::unprivileged(passwd).unwrap();
        assert_eq!(
            (account.name.as_str(), account.uid, account.gid),
            ("postgres", 70, 71)
        );
    }

    #[test]
    fn nobody_may_have_a_negative_id() {
        let account = Account::unprivileged("nobody:*:-2:-2::/:/bin/false\n").unwrap();
        assert_eq!((account.uid, account.gid), (u32::MAX - 1, u32::MAX - 1));
    }

    #[test]
    fn an_owner_is_called_by_its_name_if_it_has_one() {
        let passwd = "postgres:x:70:71::/:/bin/sh\n";
        assert_eq!(Account::by_id(70, 71, true, passwd).name, "postgres");
        assert_eq!(Account::by_id(99, 71, true, passwd).name, "#99");
    }

    #[test]
    fn root_is_never_the_answer() {
        assert!(Account::unprivileged("postgres:x:0:0::/:/bin/sh\n").is_err());
        assert!(Account::unprivileged("").is_err());
    }
}
