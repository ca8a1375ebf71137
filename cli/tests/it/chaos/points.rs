//! The fail points of the code, the list of them and the crash matrix say the same; a release build has none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::matrix::MATRIX;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every name that stands behind `fail_point!(` in our sources.
fn in_the_code() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<_> = ["api", "journal", "processes", "projections", "cli"]
        .map(|name| root().join(name).join("src"))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("fail_point.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let places = source.split("fail_point!(\"").skip(1);
                found.extend(places.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    found
}

#[test]
fn every_fail_point_is_listed_and_has_its_crashes() {
    let owned = |name: &str| name.split('/').next().unwrap().to_owned();
    let listed: BTreeSet<String> = journal::fail_point::PLACES.map(owned).into();
    assert_eq!(
        in_the_code(),
        listed,
        "fail_point::PLACES is not what is in the code"
    );
    let killed_at: BTreeSet<String> = MATRIX.iter().map(|row| owned(row.point)).collect();
    assert_eq!(
        killed_at, listed,
        "the crash matrix leaves a fail point out"
    );
}

/// Compiles a function with a fail point, and says whether the name of the place is in what comes out.
fn is_compiled(debug_assertions: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (
        folder.path().join("probe.rs"),
        folder.path().join("probe.o"),
    );
    let module = root()
        .join("journal/src/fail_point.rs")
        .canonicalize()
        .unwrap();
    let probe = format!(
        "#[path = {module:?}]\npub mod fail_point;\npub fn act(kind: &str) {{ let _ = kind; fail_point!(\"a-place-of-the-probe\", kind); }}"
    );
    std::fs::write(&source, probe).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args([
        "--edition=2024",
        "--crate-type=lib",
        "--emit=obj",
        "-Copt-level=0",
    ]);
    rustc.arg(format!("-Cdebug-assertions={debug_assertions}"));
    rustc.arg("-o").arg(&object).arg(&source);
    let output = rustc.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let object = std::fs::read(object).unwrap();
    object
        .windows(20)
        .any(|bytes| bytes == b"a-place-of-the-probe")
}

#[test]
fn nothing_of_a_fail_point_is_compiled_without_debug_assertions() {
    assert!(is_compiled("on"));
    assert!(!is_compiled("off"));
}

#[test]
#[ignore = "needs the release build: cargo build --release, then cargo test -p cli --test it -- --ignored a_release_build"]
fn a_release_build_has_no_fail_point() {
    let program = std::fs::read(root().join("target/release/spacerent")).unwrap();
    // What is short, or a word of the log as well, proves nothing.
    for place in journal::fail_point::PLACES
        .iter()
        .chain(&["FAIL_POINT_FILE"])
    {
        let there = program
            .windows(place.len())
            .any(|bytes| bytes == place.as_bytes());
        assert!(!there, "{place} is in the release build");
    }
}
