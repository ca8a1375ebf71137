//! Where everything lies: `<folder>/postgres/` holds the data, the socket, the locks and the log of a start.
//!
//! The folder itself may be entered by anyone and written by us alone; `data` and `socket` belong to the user
//! the server runs as and are closed to all others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use uuid::Uuid;

use crate::Error;

/// The port of every private server: a part of the socket's name and nothing more, as none listens on TCP.
pub(crate) const PORT: u16 = 5432;

/// Longest path of a socket's folder: macOS allows 103 bytes (Linux 107) for folder, `/.s.PGSQL.5432` and the
/// server's own `.lock` beside it.
const SOCKET_FOLDER_BYTES_MAX: usize = 80;

/// Where the local server lives unless told otherwise: `/var/lib/spacerent` for root (whose home no other
/// user may enter, and the server runs as one), else `$XDG_DATA_HOME/spacerent` or `~/.local/share/spacerent`.
#[must_use]
pub fn default_folder() -> PathBuf {
    let root = rustix::process::geteuid().is_root();
    default_folder_for(root, |name| std::env::var_os(name).map(PathBuf::from))
}

fn default_folder_for(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if root {
        return PathBuf::from("/var/lib/spacerent");
    }
    // A relative path would mean another folder in every place the program is started in.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data.unwrap_or_else(std::env::temp_dir).join("spacerent")
}

/// A folder that holds, or will hold, one server.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

/// What a running server writes about itself into `postmaster.pid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: Pid,
    /// The folder of its socket; none in the first moments of a start.
    pub(crate) socket_folder: Option<PathBuf>,
}

/// Whether a server was ever made in this folder.
#[must_use]
pub fn has_server(folder: &Path) -> bool {
    Folder::existing(folder).is_some_and(|folder| !matches!(folder.major(), Ok(None)))
}

impl Folder {
    /// Opens the folder, making it if need be.
    pub(crate) fn open(parent: &Path) -> Result<Self, Error> {
        let root = parent.join("postgres");
        for folder in [parent, &root] {
            if !folder.exists() {
                fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
                // Whatever the umask: the server's user has to get through to its own folders.
                let open = fs::Permissions::from_mode(0o755);
                fs::set_permissions(folder, open).map_err(Error::file("open up", folder))?;
            }
        }
        let root = root.canonicalize().map_err(Error::file("resolve", &root))?;
        Ok(Self { root })
    }

    /// The folder if it is there, without making it.
    pub(crate) fn existing(parent: &Path) -> Option<Self> {
        Some(Self {
            root: parent.join("postgres").canonicalize().ok()?,
        })
    }

    /// Everything of this server.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The server's data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The lock of whoever starts, joins or leaves.
    pub(crate) fn start_lock(&self) -> PathBuf {
        self.root.join("start.lock")
    }

    /// The lock that counts the users.
    pub(crate) fn users_lock(&self) -> PathBuf {
        self.root.join("users.lock")
    }

    /// The server's output until its own log is open; emptied at every start.
    pub(crate) fn start_log(&self) -> PathBuf {
        self.root.join("start.log")
    }

    /// The socket's folder: inside, or a short one in the temporary folder where the path would be too long.
    pub(crate) fn socket(&self) -> PathBuf {
        let inside = self.root.join("socket");
        if inside.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX {
            return inside;
        }
        let short = std::env::temp_dir().join(self.cluster());
        if short.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX {
            short
        } else {
            Path::new("/tmp").join(self.cluster())
        }
    }

    /// Removes the socket's folder if it lies outside; it is made again at the next start.
    pub(crate) fn forget_socket(&self) {
        let socket = self.socket();
        if !socket.starts_with(&self.root) {
            // Not empty or not there: nothing depends on it.
            let _ = fs::remove_dir(socket);
        }
    }

    /// A name no other folder's server has: the title of its processes.
    pub(crate) fn cluster(&self) -> String {
        let hash = Uuid::new_v5(
            &Uuid::NAMESPACE_OID,
            self.root.as_os_str().as_encoded_bytes(),
        )
        .simple()
        .to_string();
        format!("spacerent-{}", hash.get(..16).unwrap_or(&hash))
    }

    /// The major version that made the data folder; none if there is none yet.
    pub(crate) fn major(&self) -> Result<Option<u32>, Error> {
        let path = self.data().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(Error::file("understand", &path)(
                    std::io::ErrorKind::InvalidData.into(),
                )),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path)(error)),
        }
    }

    /// What the last server wrote about itself; it may be long gone.
    pub(crate) fn postmaster(&self) -> Option<Postmaster> {
        parse_postmaster(&fs::read_to_string(self.data().join("postmaster.pid")).ok()?)
    }
}

/// Reads `postmaster.pid`: process id, data folder, start time, port, socket folder, address, memory, status.
fn parse_postmaster(text: &str) -> Option<Postmaster> {
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    let socket_folder = lines
        .nth(3)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(PathBuf::from);
    Some(Postmaster { pid, socket_folder })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Folder, SOCKET_FOLDER_BYTES_MAX, default_folder_for, parse_postmaster};

    #[test]
    fn postmaster_pid_is_read_at_every_stage_of_a_start() {
        assert_eq!(parse_postmaster(""), None);
        assert_eq!(parse_postmaster("0\n"), None);
        let begun = parse_postmaster("42\n/data\n1700000000\n5432\n\n").unwrap();
        assert_eq!((begun.pid.as_raw_pid(), begun.socket_folder), (42, None));
        let ready =
            parse_postmaster("42\n/data\n1700000000\n5432\n/s\n\n  1 2\nready   \n").unwrap();
        assert_eq!(ready.socket_folder.as_deref(), Some(Path::new("/s")));
    }

    #[test]
    fn the_default_folder_is_the_data_folder_of_the_user_or_the_system() {
        let variables = |xdg: Option<&'static str>| {
            move |name: &str| match name {
                "XDG_DATA_HOME" => xdg.map(PathBuf::from),
                _ => Some(PathBuf::from("/home/a")),
            }
        };
        assert_eq!(
            default_folder_for(true, variables(Some("/xdg"))),
            Path::new("/var/lib/spacerent")
        );
        assert_eq!(
            default_folder_for(false, variables(Some("/xdg"))),
            Path::new("/xdg/spacerent")
        );
        let home = Path::new("/home/a/.local/share/spacerent");
        assert_eq!(default_folder_for(false, variables(None)), home);
        assert_eq!(default_folder_for(false, variables(Some("relative"))), home);
    }

    #[test]
    fn a_long_folder_has_a_short_socket() {
        let parent = tempfile::tempdir().unwrap();
        let near = Folder::open(parent.path()).unwrap();
        assert!(near.socket().starts_with(near.root()));
        let far = Folder::open(&parent.path().join("long".repeat(30))).unwrap();
        assert!(far.socket().as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX);
        assert_ne!(near.cluster(), far.cluster());
    }
}
