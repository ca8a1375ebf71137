//! Whatever is killed, and however, the next start succeeds and nothing committed is lost.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use local_postgres::Profile;
use local_postgres::testing::{self, Cluster};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::child::scenario;
use crate::{ended, eventually, execute, lives, number, open_folder, start, stop};

#[tokio::test]
async fn a_server_outlives_its_killed_parent_and_a_parent_its_killed_server() {
    let folder = open_folder();
    let mut parent = scenario("hold", folder.path()).run();
    let pid: i32 = parent.says().parse().unwrap();
    parent.kill();
    assert!(lives(pid));
    let server = start(folder.path()).await;
    assert_eq!(server.postmaster_pid(), pid);
    // The dead parent is no user any more.
    stop(server).await;
    ended(pid).await;

    let parent = scenario("hold", folder.path()).run();
    let pid: i32 = parent.says().parse().unwrap();
    assert_eq!(
        testing::kill_postmaster(folder.path()).await.unwrap(),
        Some(pid)
    );
    ended(pid).await;
    assert_eq!(testing::kill_postmaster(folder.path()).await.unwrap(), None);
    let server = start(folder.path()).await;
    assert_ne!(server.postmaster_pid(), pid);
    assert_eq!(parent.finish(), "StillUsed");
    stop(server).await;
}

#[tokio::test]
async fn what_a_killed_server_left_is_cleared_away_or_waited_for() {
    let folder = open_folder();
    an_unfinished_initdb_is_no_data(folder.path()).await;
    a_stale_pid_file_is_no_server_even_if_its_process_lives(folder.path()).await;
    a_start_waits_for_an_orphan_it_does_not_recognise(folder.path()).await;
}

async fn an_unfinished_initdb_is_no_data(folder: &Path) {
    let unfinished = folder.join("postgres/unfinished.1");
    std::fs::create_dir_all(unfinished.join("base")).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    stop(start(folder).await).await;
    assert!(!unfinished.exists());
}

async fn a_stale_pid_file_is_no_server_even_if_its_process_lives(folder: &Path) {
    let data = folder.join("postgres/data");
    let mut stranger = Command::new("sleep");
    stranger.arg("120").stderr(Stdio::null());
    let mut stranger = as_the_owner_of(&data, stranger).spawn().unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    let of_the_dead = dead.id();
    dead.wait().unwrap();
    for pid in [stranger.id(), of_the_dead] {
        let lock = format!("{pid}\n{}\n1700000000\n5432\n", data.display());
        std::fs::write(folder.join("postgres/socket/.s.PGSQL.5432.lock"), &lock).unwrap();
        let stale = format!("{lock}/no/such/socket\n\n 1 2\nready\n");
        std::fs::write(data.join("postmaster.pid"), stale).unwrap();
        let server = start(folder).await;
        assert_ne!(server.postmaster_pid().to_string(), pid.to_string());
        stop(server).await;
    }
    let spared = stranger.try_wait().unwrap().is_none();
    assert!(spared, "a stranger with a recycled process id was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Runs a command as the server's own user, whose processes the server takes seriously.
fn as_the_owner_of(data: &Path, mut command: Command) -> Command {
    // Should the test fail and leave it, nobody waits for the end of its output.
    command.stdout(Stdio::null());
    let owner = std::fs::metadata(data).unwrap();
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

#[tokio::test]
async fn a_killed_postmaster_is_followed_at_once_though_its_children_are_busy() {
    let mut cluster = Cluster::start(Profile::Durable).await.unwrap();
    let url = cluster.url("postgres");
    execute(
        &url,
        "create table note (number bigint); insert into note select generate_series(1, 1000)",
    )
    .await;
    // One that would notice only at the end of its statement, and one that waits for its client.
    let mut busy = spin(&url).await;
    let mut idle = PgConnection::connect(&url).await.unwrap();
    let before = cluster.postmaster_pid();
    cluster.kill_postmaster().await.unwrap();
    cluster.restart().await.unwrap();
    assert_ne!(cluster.postmaster_pid(), before);
    assert_eq!(cluster.url("postgres"), url);
    assert_eq!(number(&url, "select count(*) from note").await, 1000);
    assert!(busy.join_next().await.unwrap().unwrap().is_err());
    assert!(idle.ping().await.is_err());
}

/// Keeps a backend computing, and returns once it does.
async fn spin(url: &str) -> JoinSet<Result<(), sqlx::Error>> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let count = sqlx::query(
            "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b",
        );
        count.execute(&mut connection).await.map(drop)
    });
    let active =
        format!("select count(*) from pg_stat_activity where pid = {pid} and state = 'active'");
    eventually("the statement runs", async || {
        (number(url, &active).await == 1).then_some(())
    })
    .await;
    task
}

#[tokio::test]
async fn after_a_power_cut_everything_answered_is_there() {
    let mut cluster = Cluster::start(Profile::Durable).await.unwrap();
    let url = cluster.url("postgres");
    execute(&url, "create table note (number bigint)").await;
    for round in 1..=3 {
        execute(&url, "insert into note select generate_series(1, 100)").await;
        cluster.kill().await.unwrap();
        assert!(PgConnection::connect(&url).await.is_err());
        cluster.restart().await.unwrap();
        assert_eq!(number(&url, "select count(*) from note").await, 100 * round);
    }
}

/// A start refused because of what it cannot clear away is repeated until that is gone.
async fn a_start_waits_for_an_orphan_it_does_not_recognise(folder: &Path) {
    let server = start(folder).await;
    let ours = format!("/proc/{}/cmdline", server.postmaster_pid());
    let command_line = std::fs::read_to_string(ours);
    stop(server).await;
    let Ok(command_line) = command_line else {
        return crate::child::say("skipped: needs /proc to see how the server was started");
    };

    // The same server by another path and name, as if a person had started it.
    let postgres = folder.join("postgres");
    std::os::unix::fs::symlink(&postgres, folder.join("alias")).unwrap();
    let alias = command_line
        .replace("/postgres/data", "/alias/data")
        .replace("cluster_name=spacerent-", "cluster_name=");
    let mut arguments = alias.trim_end_matches('\0').split('\0');
    let mut command = Command::new(arguments.next().unwrap());
    command
        .args(arguments)
        .stderr(std::fs::File::create(folder.join("foreign.log")).unwrap());
    let mut foreign = as_the_owner_of(&postgres.join("data"), command)
        .spawn()
        .unwrap();
    let url = format!(
        "postgresql:///postgres?host={}/socket&user=spacerent&sslmode=disable",
        postgres.display()
    );
    let orphan = orphan(&url).await;
    signal(orphan, rustix::process::Signal::STOP);
    foreign.kill().unwrap();
    foreign.wait().unwrap();

    let mut starting = Box::pin(start(folder));
    let early = local_postgres::testing::timeout(Duration::from_secs(1), &mut starting).await;
    assert!(early.is_err(), "started beside an orphan");
    signal(orphan, rustix::process::Signal::CONT);
    stop(starting.await).await;
}

/// The process of a session that stays connected for as long as its server lets it.
async fn orphan(url: &str) -> i32 {
    let connect = async || PgConnection::connect(url).await.ok();
    let mut connection = eventually("the foreign server answers", connect).await;
    let pid = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    std::mem::forget(connection);
    pid
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}
