//! What the crate promises, on real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod child;
mod crashes;
mod databases;
mod folders;
mod starting;
mod users;
mod watching;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use local_postgres::{Options, Profile, Server, Stopped};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// No single wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder the server's user can get through, whoever it is.
fn open_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("local-postgres-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// A disposable server in `folder`.
async fn start(folder: &Path) -> Server {
    Server::start(Options::new(folder, Profile::Disposable))
        .await
        .unwrap()
}

async fn connect(server: &Server) -> PgConnection {
    PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap()
}

/// Runs statements on a connection of their own.
async fn execute(url: &str, statements: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statements)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// One number from a connection of its own.
async fn number(url: &str, query: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let number = sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    number
}

/// Looks until there is something to see.
#[expect(clippy::disallowed_methods, reason = "a server lives in real time")]
async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let began = local_postgres::testing::stopwatch();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "not within {} s: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until `condition` holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    eventually(what, async || condition().then_some(())).await;
}

/// Whether a server in `folder` has come up and not shut down in order.
fn has_postmaster(folder: &Path) -> bool {
    folder.join("postgres/data/postmaster.pid").exists()
}

/// The folder of the shared test server in a temporary folder that holds nothing else.
fn shared(room: &Path) -> PathBuf {
    std::fs::read_dir(room)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

/// Waits until the watchdog has stopped the shared server of a temporary folder.
async fn shared_server_is_down(room: &Path) {
    until("the shared server is down", || {
        !has_postmaster(&shared(room))
    })
    .await;
}

/// Stops a server that nobody else uses.
async fn stop(server: Server) {
    assert_eq!(server.stop().await.unwrap(), Stopped::Down);
}

/// Waits until a process has ended.
async fn ended(pid: i32) {
    until(&format!("the end of process {pid}"), || !lives(pid)).await;
}

/// Whether a process lives; a dead one nobody has waited for does not.
fn lives(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let waited_for = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.contains(") Z "));
    !waited_for && rustix::process::test_kill_process(pid).is_ok()
}

/// Tests of what only root does or can do say why they did nothing.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        child::say("skipped: needs root");
    }
    root
}
