//! Whatever is killed, and however, the next start succeeds and nothing committed is lost.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use local_postgres::Profile;
use local_postgres::testing::{self, Cluster};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::child::scenario;
use crate::{ended, execute, lives, number, open_folder, start, stop};

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
async fn neither_a_killed_initdb_nor_a_stale_pid_file_is_a_server() {
    let folder = open_folder();
    let unfinished = folder.path().join("postgres/unfinished.1");
    std::fs::create_dir_all(unfinished.join("base")).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    stop(start(folder.path()).await).await;
    assert!(!unfinished.exists());

    let data = folder.path().join("postgres/data");
    let pid_file = data.join("postmaster.pid");
    let mut stranger = Command::new("sleep");
    stranger.arg("600");
    let mut stranger = as_the_owner_of(&data, stranger).spawn().unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    let of_the_dead = dead.id();
    dead.wait().unwrap();
    for pid in [stranger.id(), of_the_dead] {
        let stale = format!(
            "{pid}\n{}\n1700000000\n5432\n/no/such/socket\n\n 1 2\nready\n",
            data.display()
        );
        std::fs::write(&pid_file, stale).unwrap();
        let lock = format!("{pid}\n{}\n1700000000\n5432\n\n", data.display());
        std::fs::write(
            folder.path().join("postgres/socket/.s.PGSQL.5432.lock"),
            lock,
        )
        .unwrap();
        let server = start(folder.path()).await;
        assert_ne!(server.postmaster_pid().to_string(), pid.to_string());
        stop(server).await;
    }
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "a stranger with a recycled process id was killed"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Runs a command as the server's own user, whose processes the server takes seriously.
fn as_the_owner_of(data: &Path, mut command: Command) -> Command {
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
    let running =
        format!("select count(*) from pg_stat_activity where pid = {pid} and state = 'active'");
    while number(url, &running).await == 0 {
        crate::pause().await;
    }
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

#[tokio::test]
async fn a_frozen_server_is_not_adopted_before_it_answers() {
    let cluster = Cluster::start(Profile::Disposable).await.unwrap();
    cluster.freeze().unwrap();
    let mut starting = Box::pin(start(cluster.folder()));
    // Long enough for several attempts that would succeed in 10 ms.
    let early = tokio::time::timeout(Duration::from_secs(1), &mut starting).await;
    assert!(early.is_err(), "adopted a server that answers nothing");
    cluster.thaw().unwrap();
    assert_eq!(starting.await.postmaster_pid(), cluster.postmaster_pid());
}

/// A start refused because of what it cannot clear away is repeated until that is gone.
#[tokio::test]
async fn a_start_waits_for_an_orphan_it_does_not_recognise() {
    let folder = open_folder();
    let server = start(folder.path()).await;
    let ours = format!("/proc/{}/cmdline", server.postmaster_pid());
    let Ok(command_line) = std::fs::read_to_string(ours) else {
        return crate::child::say("skipped: needs /proc to see how the server was started");
    };
    stop(server).await;

    // The same server by another path and name, as if a person had started it.
    let postgres = folder.path().join("postgres");
    std::os::unix::fs::symlink(&postgres, folder.path().join("alias")).unwrap();
    let alias = command_line
        .replace("/postgres/data", "/alias/data")
        .replace("cluster_name=spacerent-", "cluster_name=");
    let mut arguments = alias.trim_end_matches('\0').split('\0');
    let mut command = Command::new(arguments.next().unwrap());
    command
        .args(arguments)
        .stderr(std::fs::File::create(folder.path().join("foreign.log")).unwrap());
    let mut foreign = as_the_owner_of(&postgres.join("data"), command)
        .spawn()
        .unwrap();
    let url = format!(
        "postgresql:///postgres?host={}/socket&user=spacerent&sslmode=disable",
        postgres.display()
    );
    crate::until("the foreign server listens", || {
        postgres.join("socket/.s.PGSQL.5432").exists()
    })
    .await;
    let orphan = orphan(&url).await;
    signal(orphan, rustix::process::Signal::STOP);
    foreign.kill().unwrap();
    foreign.wait().unwrap();

    let mut starting = Box::pin(start(folder.path()));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut starting).await;
    assert!(early.is_err(), "started beside an orphan");
    signal(orphan, rustix::process::Signal::CONT);
    stop(starting.await).await;
}

/// The process of a session that stays connected for as long as its server lets it.
async fn orphan(url: &str) -> i32 {
    let mut connection = None;
    while connection.is_none() {
        connection = PgConnection::connect(url).await.ok();
        crate::pause().await;
    }
    let mut connection = connection.unwrap();
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
