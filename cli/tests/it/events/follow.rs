//! `events tail` that follows: woken, left alone, outliving its database, stopped in the middle of its output.

use std::process::{ExitStatus, Stdio};

use local_postgres::testing::timeout;
use local_postgres::{Options, Profile};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

use super::connect;
use crate::server::{CONVERGE_MAX, Folder, Server, moment};

/// A tail that runs.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Tail {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = folder
            .command(&[&["events", "tail"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The position of the next line; none at the end.
    async fn position(&mut self) -> Option<i64> {
        let line = timeout(CONVERGE_MAX, self.lines.next_line()).await;
        let line = line.expect("no line comes").unwrap()?;
        let line: Value = serde_json::from_str(&line).unwrap();
        line["position"].as_i64()
    }

    async fn positions(&mut self, count: usize) -> Vec<i64> {
        let mut positions = vec![];
        while positions.len() < count {
            positions.push(self.position().await.expect("it ended"));
        }
        positions
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Reads what still comes, and gives the status and what was said.
    async fn drain(mut self) -> (ExitStatus, Vec<i64>, String) {
        let mut rest = vec![];
        while let Some(position) = self.position().await {
            rest.push(position);
        }
        let (status, said) = Self::end(self.child, self.stderr).await;
        (status, rest, said)
    }

    async fn stop(self, signal: Signal) -> (ExitStatus, Vec<i64>, String) {
        self.signal(signal);
        self.drain().await
    }

    /// Closes the pipe that it prints into.
    async fn leave(self) -> (ExitStatus, String) {
        let Self {
            child,
            lines,
            stderr,
        } = self;
        drop(lines);
        Self::end(child, stderr).await
    }

    async fn end(mut child: Child, mut stderr: BufReader<ChildStderr>) -> (ExitStatus, String) {
        let mut said = String::new();
        let ended = async {
            stderr.read_to_string(&mut said).await.unwrap();
            child.wait().await.unwrap()
        };
        let status = timeout(CONVERGE_MAX, ended).await.expect("it does not end");
        (status, said)
    }
}

/// Waits until every thread of a process sleeps, and none has run between two looks; or it has ended.
async fn asleep(pid: u32) {
    let look = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let wanted = ["State:", "voluntary_ctxt", "nonvoluntary_ctxt"];
        let status = |path| std::fs::read_to_string(path).unwrap_or_default();
        tasks
            .map(|task| status(task.unwrap().path().join("status")))
            .flat_map(|status| {
                let kept = |line: &&str| wanted.iter().any(|name| line.starts_with(name));
                status
                    .lines()
                    .filter(kept)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let at_rest = |state: &str| state.contains("(sleeping)") || state.contains("(zombie)");
    let sleeping = async {
        let mut before = look();
        loop {
            moment().await;
            let now = look();
            let all = now.iter().filter(|line| line.starts_with("State:"));
            if all.clone().count() > 0 && all.clone().all(|s| at_rest(s)) && now == before {
                return;
            }
            before = now;
        }
    };
    if timeout(CONVERGE_MAX, sleeping).await.is_err() {
        panic!("it does not come to rest: {:?}", look());
    }
}

/// Waits until so many sessions wait to be woken.
async fn listeners_become(owner: &mut PgConnection, count: i64) {
    let listening = async {
        let listeners = "select count(*) from pg_stat_activity where query ilike 'listen%'";
        while sqlx::query_scalar::<_, i64>(listeners)
            .fetch_one(&mut *owner)
            .await
            .unwrap()
            != count
        {
            moment().await;
        }
    };
    timeout(CONVERGE_MAX, listening)
        .await
        .expect("they do not listen");
}

#[tokio::test]
async fn a_follower_is_woken_goes_on_and_ends_with_a_whole_line() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut owner = connect(&folder).await;
    for signal in [Signal::TERM, Signal::INT] {
        let head: i64 = sqlx::query_scalar("select coalesce(max(position), 0) from events")
            .fetch_one(&mut owner)
            .await
            .unwrap();
        // `dev` listens, and nobody else any more.
        listeners_become(&mut owner, 1).await;
        let mut follower = Tail::start(&folder, &["--last", "0", "--follow"]);
        // It begins to listen when it knows where to begin to read.
        listeners_become(&mut owner, 2).await;
        assert_eq!(server.book("numberone").await.0, 201);
        // Booked, PaymentRequested, Approved, PointsAccrued, Registered, BookConfirmed.
        assert_eq!(
            follower.positions(6).await,
            (head + 1..=head + 6).collect::<Vec<_>>()
        );
        let (status, rest, said) = follower.stop(signal).await;
        assert!(status.success(), "{signal:?}: {status}, {said}");
        assert_eq!((rest.as_slice(), said.as_str()), (&[][..], ""));
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_reader_who_leaves_ends_it_though_nothing_more_happens() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    let mut tail = Tail::start(&folder, &["--from", "0", "--follow"]);
    assert_eq!(tail.positions(6).await, [1, 2, 3, 4, 5, 6]);
    let (status, said) = tail.leave().await;
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn in_the_middle_of_a_long_output_it_stops_after_a_whole_line() {
    /// What a pipe and the buffers at its ends hold of these lines, and less than one page.
    const BUFFERED_MAX: usize = 250;
    let folder = Folder::new();
    // No `dev`: its followers would park every one of these events.
    let options = Options::new(folder.path().to_owned(), Profile::Durable);
    let postgres = local_postgres::Server::start(options).await.unwrap();
    assert!(folder.run(&["migrate"]).await.status.success());
    let mut owner = connect(&folder).await;
    let many = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                select 'Kitchen', n, 1, 'Cooked', '1', jsonb_build_object('note', repeat('x', 500)), '{}'
                from generate_series(1, 3000) n";
    sqlx::raw_sql(many).execute(&mut owner).await.unwrap();
    // It is far from the end: the pipe is full long before. It must have heard the signal before more is read.
    let mut tail = Tail::start(&folder, &["--from", "0"]);
    assert_eq!(tail.position().await, Some(1));
    tail.signal(Signal::TERM);
    asleep(tail.child.id().unwrap()).await;
    let (status, rest, said) = tail.drain().await;
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    assert!(rest.len() < BUFFERED_MAX, "it went on for {}", rest.len());
    let whole: Vec<_> = (2..).take(rest.len()).collect();
    assert_eq!(rest, whole);

    let mut tail = Tail::start(&folder, &["--from", "0"]);
    assert_eq!(tail.position().await, Some(1));
    let (status, said) = tail.leave().await;
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_follower_outlives_a_restart_of_the_database() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    let mut follower = Tail::start(&folder, &["--from", "0", "--follow"]);
    follower.positions(6).await;
    let mut owner = connect(&folder).await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where pid <> pg_backend_pid() and datname = current_database()";
    sqlx::query(end).execute(&mut owner).await.unwrap();
    let booked = async {
        while server.book("numberone").await.0 != 201 {
            moment().await;
        }
    };
    timeout(CONVERGE_MAX, booked).await.expect("dev is gone");
    assert_eq!(follower.positions(2).await, [7, 8]);
    let (status, ..) = follower.stop(Signal::TERM).await;
    assert!(status.success());
    assert!(server.stop().await.success());
}

/// An import ends with another identity: positions that somebody keeps mean other events from then on.
#[tokio::test]
async fn a_journal_that_becomes_another_one_ends_who_follows_it() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut tail = Tail::start(&folder, &["--from", "0", "--follow"]);
    server.book("numberone").await;
    assert_eq!(tail.positions(6).await, [1, 2, 3, 4, 5, 6]);
    let mut owner = connect(&folder).await;
    sqlx::raw_sql("update journal set identity = gen_random_uuid()")
        .execute(&mut owner)
        .await
        .unwrap();
    server.book("numberone").await;
    assert_eq!(tail.position().await, None, "it prints another journal's");
    let (status, _, said) = tail.drain().await;
    assert!(!status.success());
    assert!(said.contains("has become another one"), "{said}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn nothing_is_passed_over_while_a_transaction_is_open() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut slow = connect(&folder).await;
    let open = "begin; insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                values ('Book', '900', 1, 'Booked', '1', '{}', '{}')";
    sqlx::raw_sql(open).execute(&mut slow).await.unwrap();
    assert_eq!(server.book("numberone").await.0, 201);

    let ends = folder.run(&["events", "tail", "--from", "0"]).await;
    assert!(ends.status.success() && ends.stdout.is_empty());
    assert_eq!(
        String::from_utf8(ends.stderr).unwrap(),
        "spacerent: positions 1 to 1 may still be written by a transaction that has not ended; \
         the rest comes with --from 0\n"
    );
    let mut follower = Tail::start(&folder, &["--from", "0", "--follow"]);
    let mut said = String::new();
    timeout(CONVERGE_MAX, follower.stderr.read_line(&mut said))
        .await
        .expect("it says nothing")
        .unwrap();
    assert!(said.ends_with("has not ended; waiting\n"), "{said}");
    sqlx::raw_sql("commit").execute(&mut slow).await.unwrap();

    assert_eq!(follower.positions(5).await, [1, 2, 3, 4, 5]);
    let (status, ..) = follower.stop(Signal::TERM).await;
    assert!(status.success());
    assert!(server.stop().await.success());
}
