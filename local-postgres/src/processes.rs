//! Which processes of this machine belong to a server, alive or orphaned.
//!
//! A process id in a file proves nothing: after a crash or a reboot it may belong to somebody else. A process
//! is the server's if it belongs to the server's user and its command line names the data folder (the
//! postmaster's does) or the cluster (the title of each of its children does). A dead process nobody has
//! reaped has no command line, and so counts as gone.

use rustix::process::{Pid, Signal};

use crate::folder::Folder;

/// One process as the system lists it.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    pid: Pid,
    uid: u32,
    /// Its title or its arguments, a space between them.
    command: String,
}

/// How to recognise the processes of one server.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    uid: u32,
    names: [String; 2],
}

impl Mark {
    /// The processes that `uid` runs on `folder`.
    pub(crate) fn of(folder: &Folder, uid: u32) -> Self {
        Self {
            uid,
            names: [
                folder.cluster(),
                folder.data().to_string_lossy().into_owned(),
            ],
        }
    }

    /// Whether this process is alive and the server's.
    pub(crate) fn owns(&self, pid: Pid) -> bool {
        listed(pid).is_some_and(|process| self.fits(&process))
    }

    /// Every live process of the server, in no order.
    pub(crate) fn all(&self) -> Vec<Pid> {
        everything()
            .into_iter()
            .filter(|process| self.fits(process))
            .map(|process| process.pid)
            .collect()
    }

    /// Sends a signal to every process of the server; those that are gone by now are none of our concern.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for pid in self.all() {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn fits(&self, process: &Listed) -> bool {
        let command = process.command.as_str();
        let named = self.names.iter().any(|name| command.contains(name));
        let postgres = command.starts_with("postgres: ") || command.contains("/postgres -D ");
        named && postgres && process.uid == self.uid
    }
}

#[cfg(target_os = "linux")]
fn listed(pid: Pid) -> Option<Listed> {
    use std::os::unix::fs::MetadataExt;
    let folder = std::path::PathBuf::from(format!("/proc/{pid}"));
    let command = std::fs::read(folder.join("cmdline")).ok()?;
    let uid = std::fs::metadata(&folder).ok()?.uid();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(Listed { pid, uid, command })
}

#[cfg(target_os = "linux")]
fn everything() -> Vec<Listed> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = numbers.filter_map(Pid::from_raw);
    pids.filter_map(listed).collect()
}

#[cfg(not(target_os = "linux"))]
fn listed(pid: Pid) -> Option<Listed> {
    ps(&["-p", &pid.to_string()]).into_iter().next()
}

#[cfg(not(target_os = "linux"))]
fn everything() -> Vec<Listed> {
    ps(&["-ax"])
}

/// Asks `ps`, where there is no `/proc`.
#[cfg(any(test, not(target_os = "linux")))]
fn ps(which: &[&str]) -> Vec<Listed> {
    let mut command = std::process::Command::new("ps");
    let output = command
        .args(["-ww", "-o", "pid=,uid=,command="])
        .args(which)
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines().filter_map(parse_ps).collect()
}

#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(line: &str) -> Option<Listed> {
    let (pid, rest) = line.trim_start().split_once(' ')?;
    let (uid, command) = rest.trim_start().split_once(' ')?;
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    Some(Listed {
        pid,
        uid: uid.parse().ok()?,
        command: command.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::{Listed, Mark, everything, listed, parse_ps, ps};

    fn mark() -> Mark {
        Mark {
            uid: 70,
            names: ["spacerent-1".to_owned(), "/a/data".to_owned()],
        }
    }

    fn process(uid: u32, command: &str) -> Listed {
        Listed {
            pid: Pid::INIT,
            uid,
            command: command.to_owned(),
        }
    }

    #[test]
    fn postmaster_and_children_are_recognised_and_nobody_else() {
        assert!(mark().fits(&process(
            70,
            "/usr/lib/postgresql/15/bin/postgres -D /a/data -c x"
        )));
        assert!(mark().fits(&process(70, "postgres: spacerent-1: checkpointer ")));
        assert!(!mark().fits(&process(0, "postgres: spacerent-1: checkpointer ")));
        assert!(!mark().fits(&process(70, "postgres: 15/main: checkpointer ")));
        assert!(!mark().fits(&process(70, "less /a/data/postgresql.conf")));
        assert!(!mark().fits(&process(70, "")));
    }

    #[test]
    fn proc_and_ps_agree_about_this_process() {
        let me = rustix::process::getpid();
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(listed(me).unwrap().uid, uid);
        assert!(everything().iter().any(|process| process.pid == me));
        assert_eq!(
            parse_ps(" 12     0 postgres: x y"),
            Some(Listed {
                pid: Pid::from_raw(12).unwrap(),
                uid: 0,
                command: "postgres: x y".to_owned()
            })
        );
        // A container may come without ps; then there is nothing to compare.
        if let Some(process) = ps(&["-p", &me.to_string()]).first() {
            assert_eq!((process.pid, process.uid), (me, uid));
        }
    }
}
