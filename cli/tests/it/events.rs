//! `spacerent events tail` over a running system: both formats, resuming, following, holding, stopping.

use std::process::{ExitStatus, Stdio};

use local_postgres::testing::timeout;
use local_postgres::{Options, Profile};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::commands::one_line;
use crate::server::{CONVERGE_MAX, Folder, Server, moment};

/// The seed's events of a booking that was cancelled, with its time in the zone `$1`.
const SEED: &str = r#"
    select format('{"eventType":"%s","timestamp":"%s",%s,"position":%s}', event_type,
        to_char((metadata->>'occurred_at')::timestamptz at time zone $1, 'YYYYMMDDHH24MISS'),
        case event_type
            when 'Registered' then '"spaceid":1,"userid":1,"spacename":"numberone","status":"success-register","bookid":1'
            when 'Registercancelled' then '"id":1,"userid":1,"spacename":"numberone","status":"cancel-register","bookid":1,"spaceid":1'
            else format('%s"bookid":1,"userid":1,"status":"%s","spacename":"numberone"',
                case when event_type in ('Approved', 'Cancelled') then '"payid":1,' end,
                case event_type when 'Booked' then 'booking' when 'Approved' then 'success-pay'
                                when 'Bookcancelled' then 'cancel-booking' else 'cancel-pay' end)
        end, position)
    from events
    where event_type in ('Booked', 'Bookcancelled', 'Approved', 'Cancelled', 'Registered', 'Registercancelled')
    order by position"#;

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

pub async fn connect(folder: &Folder) -> PgConnection {
    let url = folder.run(&["url"]).await.stdout;
    PgConnection::connect(String::from_utf8(url).unwrap().trim())
        .await
        .unwrap()
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

/// What a tail that ends by itself prints; nothing may be said.
async fn tail(folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let output = folder.run(&[&["events", "tail"], arguments].concat()).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.is_empty() || printed.ends_with('\n'), "a torn line");
    printed.lines().map(str::to_owned).collect()
}

/// A booking that was registered and then cancelled, all of it in the journal.
async fn booked_and_cancelled(server: &Server) {
    assert_eq!(server.book("numberone").await.0, 201);
    let becomes = async |status| server.status_becomes("book", "/books/1", status).await;
    becomes("success-register").await;
    assert_eq!(server.cancel(1).await.0, 200);
    becomes("cancel-register").await;
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
async fn a_booking_and_its_cancellation_are_printed_as_stored_and_as_the_seed_sent_them() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    booked_and_cancelled(&server).await;
    let mut owner = connect(&folder).await;

    let rows: Vec<String> = sqlx::query_scalar(
        r#"select format('{"position":%s,"event_id":"%s","command_id":"%s","aggregate_type":"%s","aggregate_id":"1","sequence":%s,"event_type":"%s","event_version":"1","recorded_at":"%s","payload":%s,"metadata":%s,"journal":"%s/1"}',
             position, event_id, command_id, aggregate_type, sequence, event_type,
             regexp_replace(to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.?0*$', '') || 'Z',
             payload, metadata, identity)
           from events, journal order by position"#,
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(tail(&folder, &["--from", "0"]).await, rows);
    assert_eq!(tail(&folder, &[]).await, rows[rows.len() - 10..]);
    assert_eq!(
        tail(&folder, &["--last", "2"]).await,
        rows[rows.len() - 2..]
    );
    assert_eq!(tail(&folder, &["--last", "0"]).await, [""; 0]);
    assert_eq!(
        tail(&folder, &["--from", "0", "--limit", "3"]).await,
        rows[..3]
    );
    for line in &rows {
        let line: Value = serde_json::from_str(line).unwrap();
        let (position, journal) = (
            line["position"].to_string(),
            line["journal"].as_str().unwrap(),
        );
        let rest = tail(&folder, &["--from", &position, "--journal", journal]).await;
        let behind = rows.len() - rest.len();
        assert_eq!(rest, rows[behind..], "resumed behind {position}");
        assert!(
            rows[behind - 1].starts_with(&format!(r#"{{"position":{position},"#)),
            "behind {position}"
        );
    }

    let seed = async |zone: &str| -> Vec<String> {
        let mut owner = connect(&folder).await;
        let lines = sqlx::query_scalar(SEED).bind(zone);
        lines.fetch_all(&mut owner).await.unwrap()
    };
    let lines = seed("UTC").await;
    assert_eq!(lines.len(), 6);
    assert_eq!(tail(&folder, &["--format", "seed"]).await, lines);
    let resumed = serde_json::from_str::<Value>(&lines[3]).unwrap()["position"].to_string();
    assert_eq!(
        tail(&folder, &["--format", "seed", "--from", &resumed]).await,
        lines[4..]
    );
    assert_eq!(
        tail(&folder, &["--format", "seed", "--last", "2"]).await,
        lines[4..]
    );
    assert_eq!(
        tail(&folder, &["--format=seed", "--time-zone=Asia/Seoul"]).await,
        seed("Asia/Seoul").await
    );
    assert!(server.stop().await.success());
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

#[tokio::test]
async fn what_it_cannot_do_it_says_in_one_line() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let other = "00000000-0000-0000-0000-000000000000/1";
    for (arguments, status, words) in [
        (&["--format", "xml"][..], 2, "[possible values: json, seed]"),
        (&["--from", "-1"], 2, "'-1'"),
        (&["--from", "one"], 2, "--from <POSITION>"),
        (&["--from", "1", "--last", "1"], 2, "cannot be used with"),
        (&["--limit", "0"], 2, "--limit"),
        (&["--time-zone", "Mars"], 2, "Asia/Seoul"),
        (&["--nonsense"], 2, "--nonsense"),
        (&["--from", "99"], 1, "which ends at 0"),
        (&["--journal", other], 1, other),
    ] {
        let output = folder.run(&[&["events", "tail"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        let line = one_line(&output);
        assert!(
            line.starts_with("spacerent: ") && line.contains(words),
            "{line}"
        );
    }

    let mut owner = connect(&folder).await;
    let blind = "create role blind login; revoke connect on database spacerent from public";
    sqlx::raw_sql(blind).execute(&mut owner).await.unwrap();
    let grant = "grant connect on database spacerent to blind";
    sqlx::raw_sql(grant).execute(&mut owner).await.unwrap();
    let url = String::from_utf8(folder.run(&["url"]).await.stdout).unwrap();
    let url = url.trim().replace("user=spacerent&", "user=blind&");
    let output = crate::server::spacerent(&["events", "tail"])
        .env("DATABASE_URL", &url)
        .output()
        .await
        .unwrap();
    let line = one_line(&output);
    let (_, grant) = line.split_once('`').unwrap();
    let (grant, _) = grant.split_once('`').unwrap();
    assert!(grant.starts_with("grant select on "), "{line}");

    let grant = grant.replace("LOGIN", "blind");
    sqlx::raw_sql(&grant).execute(&mut owner).await.unwrap();
    server.book("numberone").await;
    let output = crate::server::spacerent(&["events", "tail", "--limit", "1", "--from", "0"])
        .env("DATABASE_URL", &url)
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains("Booked"),
        "what it asks for is not enough: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn help_is_no_error_and_has_an_example() {
    let output = crate::server::spacerent(&["events", "tail", "--help"])
        .output()
        .await
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(help.contains("--follow --format seed"), "{help}");
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
