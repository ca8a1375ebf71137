//! `spacerent events export` and `import`: a system moves into another database and goes on there as if nothing had
//! happened; both commands are killed in the middle; and what is refused is one line.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use local_postgres::testing::timeout;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::commands::one_line;
use crate::server::{client, moment};
use crate::site::{PROJECTIONS, SOON, Site, document, success};

/// Enough that a command can be killed in the middle of it.
const MANY: i64 = 60_000;

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("journal.jsonl")
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The lines of events.
fn events(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("{\"position\":"))
        .collect()
}

#[tokio::test]
async fn a_system_moves_into_another_database_and_goes_on() {
    let old = Site::build().await;
    let serving = old.serve().await;
    let (status, first) = serving.book("numberone", Some("a key")).await;
    assert_eq!(status, 201, "{first}");
    assert_eq!(serving.book("numberone", None).await.0, 201);
    assert_eq!(serving.book("declined", None).await.0, 402);
    old.happened(2, "BookConfirmed").await;
    let cancelled = client()
        .delete(serving.url("/books/2"))
        .send()
        .await
        .unwrap();
    assert!(cancelled.status().is_success(), "{cancelled:?}");
    for (bookid, event) in [(1, "BookConfirmed"), (2, "BookClosed"), (3, "BookRejected")] {
        old.happened(bookid, event).await;
    }
    // The last one is left in the middle: its charge is on its way when the process dies.
    let body = json!({ "userid": 1, "spacename": "braker", "status": "booking" });
    tokio::select! {
        _ = serving.post("/books", &body, None) => panic!("it was answered"),
        () = old.happened(4, "PaymentRequested") => {}
    }
    serving.kill().await;

    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let exported = document(
        &old.run(&["events", "export", "--output", name(&path), "--json"])
            .await,
    );
    let new = Site::build().await;
    let imported = document(&new.run(&["events", "import", name(&path), "--json"]).await);
    assert_eq!(imported["events"], exported["events"]);
    let head = exported["last_position"].as_i64().unwrap();
    assert_eq!(new.shown_at(head).await, old.shown_at(head).await);

    let serving = new.serve().await;
    new.happened(4, "BookConfirmed").await;
    // A client that never heard of the move asks again: it is answered about its booking, and there is no other one.
    let (status, again) = serving.book("numberone", Some("a key")).await;
    assert_eq!(
        (status, &again["bookid"]),
        (201, &first["bookid"]),
        "{again}"
    );
    let (status, next) = serving.book("numberone", None).await;
    assert_eq!(status, 201);
    assert!(next["bookid"].as_i64().unwrap() > 4, "{next}");
    // The ledger of the new system's gateway: only what was in the middle, and what is new. Nothing was given back.
    let charged = "select string_agg(distinct bookid::text, ' ' order by bookid::text) from stub_gateway.charges";
    assert_eq!(new.text(charged).await, format!("4 {}", next["bookid"]));
    assert_eq!(
        new.number("select count(*) from stub_gateway.refunds")
            .await,
        0
    );
    let repeated = "select count(*) from (
        select from events where event_type in ('Approved', 'Registered', 'Cancelled', 'BookConfirmed')
        group by aggregate_type, aggregate_id, event_type having count(*) > 1) r";
    assert_eq!(new.number(repeated).await, 0);
    let old_events = format!(
        "select count(*) from events where position > {head} and aggregate_id in ('1', '2', '3')"
    );
    assert_eq!(new.number(&old_events).await, 0);
    assert_eq!(
        new.number("select count(*) from jobs where state = 'attention'")
            .await,
        0
    );
    assert_eq!(new.number("select count(*) from parked").await, 0);
    serving.stop().await;
    for projection in PROJECTIONS {
        let verified = document(&new.run(&["replay", projection, "--verify", "--json"]).await);
        assert_eq!(verified["differences"], json!([]), "{projection}");
    }
}

/// A journal that takes a while to be written or read.
async fn long() -> Site {
    let site = Site::build().await;
    let fill = format!(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select 'Book', n::text, 1, 'Unheard', '1', '{{\"text\": \"something\"}}', '{{}}' from generate_series(1, {MANY}) n"
    );
    sqlx::raw_sql(&fill).execute(&site.pool).await.unwrap();
    site
}

#[tokio::test]
async fn an_export_that_is_killed_is_gone_on_with() {
    let site = long().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, straight) = (file(&folder), folder.path().join("straight.jsonl"));
    success(
        &site
            .run(&["events", "export", "--output", name(&straight)])
            .await,
    );
    let whole = std::fs::metadata(&straight).unwrap().len();
    let mut kills = 0;
    for part in [4, 2] {
        let mut child = site
            .command(&["events", "export", "--output", name(&path)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let grown = async {
            while std::fs::metadata(&path).map_or(0, |file| file.len()) < whole / part {
                assert!(
                    child.try_wait().unwrap().is_none(),
                    "it was too quick to be killed"
                );
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, grown).await.expect("it does not grow");
        child.kill().await.unwrap();
        assert!(
            !std::fs::read_to_string(&path)
                .unwrap()
                .contains("\"footer\""),
            "it had ended"
        );
        kills += 1;
    }
    assert_eq!(kills, 2);
    let report = document(
        &site
            .run(&["events", "export", "--output", name(&path), "--json"])
            .await,
    );
    assert_eq!(report["resumed"], "unfinished");
    assert_eq!(report["events_total"], MANY);
    let (now, expected) = (
        std::fs::read_to_string(&path).unwrap(),
        std::fs::read_to_string(&straight).unwrap(),
    );
    assert!(events(&now) == events(&expected), "the files differ");
}

#[tokio::test]
async fn an_import_that_is_killed_is_gone_on_with_and_nobody_works_on_half_of_it() {
    let from = long().await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    success(
        &from
            .run(&["events", "export", "--output", name(&path)])
            .await,
    );
    let to = Site::build().await;
    let mut child = to
        .command(&["events", "import", name(&path)])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    to.until("select count(*) from imports where events > 0")
        .await;
    child.kill().await.unwrap();
    to.until("select 1 - count(*) from pg_stat_activity where application_name = 'spacerent-owner' and datname = current_database()").await;
    let half = to
        .number("select events from imports where finished_at is null")
        .await;
    assert!(half > 0 && half < MANY, "{half}");

    for arguments in [&["serve"][..], &["dev"][..]] {
        let line = last_line(&to.run(arguments).await);
        assert!(
            line.contains("is unfinished") && line.contains("spacerent events import"),
            "{line}"
        );
    }
    let report = document(&to.run(&["events", "import", name(&path), "--json"]).await);
    assert_eq!(
        (report["events"].as_i64(), report["events_before"].as_i64()),
        (Some(MANY), Some(half))
    );
    let again = to.run(&["events", "export"]).await;
    success(&again);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(
        events(&text) == events(&std::fs::read_to_string(&path).unwrap()),
        "the files differ"
    );
    to.serve().await.stop().await;
}

/// The last line that was said: `serve` logs its settings before.
fn last_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it claims success: {said}");
    said.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_is_refused_is_one_line_and_one_document() {
    let site = Site::build().await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let missing = "spacerent: /nowhere/at/all: No such file or directory (os error 2)";
    let line = one_line(&site.run(&["events", "import", "/nowhere/at/all"]).await);
    assert_eq!(line, missing);
    let line = one_line(
        &site
            .run(&["events", "export", "--output", "/nowhere/at/all"])
            .await,
    );
    assert_eq!(line, missing);
    let line = one_line(
        &site
            .run(&["events", "export", "--from-position", "0"])
            .await,
    );
    assert!(line.contains("--from-position"), "{line}");

    std::fs::write(&path, "something else\n").unwrap();
    for arguments in [
        ["events", "import", name(&path), "--json"],
        ["events", "export", "--output", name(&path)],
    ] {
        let output = site.run(&arguments).await;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("is not an exported journal"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        if arguments.contains(&"--json") {
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                format!("spacerent: {}", document["error"].as_str().unwrap()),
                said.trim()
            );
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "something else\n");
}

/// A whole journal of one booking, and the site to import it into.
async fn carried(folder: &TempDir) -> (PathBuf, Site) {
    let (from, path) = (Site::build().await, file(folder));
    let fill = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                values ('Book', '1', 1, 'Unheard', '1', '{}', '{}')";
    sqlx::raw_sql(fill).execute(&from.pool).await.unwrap();
    success(
        &from
            .run(&["events", "export", "--output", name(&path)])
            .await,
    );
    (path, Site::build().await)
}

#[tokio::test]
async fn an_import_that_waits_for_its_input_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (path, site) = carried(&folder).await;
    let header = std::fs::read_to_string(&path).unwrap();
    let header = header.split_inclusive('\n').next().unwrap().to_owned();
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = site
            .command(&["events", "import", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(header.as_bytes()).await.unwrap();
        site.until("select count(*) from imports").await;
        let id = i32::try_from(child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
        let ended = timeout(SOON, child.wait_with_output()).await;
        let line = last_line(&ended.expect("it waits on").unwrap());
        assert_eq!(line, "spacerent: stopped; the same command goes on");
        drop(input);
        // It had stored nothing.
        assert_eq!(site.number("select count(*) from imports").await, 0);
    }
    success(&site.run(&["events", "import", name(&path)]).await);
}

#[tokio::test]
async fn the_second_signal_does_not_wait_for_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (path, site) = carried(&folder).await;
    // Its last transaction waits for this one.
    let mut other = site.pool.begin_with("begin").await.unwrap();
    sqlx::raw_sql("lock table journal in share mode")
        .execute(&mut *other)
        .await
        .unwrap();
    let child = site
        .command(&["events", "import", name(&path)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    site.until("select count(*) from pg_locks where not granted and relation = 'journal'::regclass and database = (select oid from pg_database where datname = current_database())")
        .await;
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let twice = async {
        // Two that come at once are one.
        loop {
            let _ = kill_process(id, Signal::TERM);
            moment().await;
        }
    };
    let ended = tokio::select! {
        ended = timeout(SOON, child.wait_with_output()) => ended,
        never = twice => never,
    };
    let line = last_line(&ended.expect("it waits on").unwrap());
    assert_eq!(line, "spacerent: stopped at once; the same command goes on");
    other.rollback().await.unwrap();
    success(&site.run(&["events", "import", name(&path)]).await);
}

#[tokio::test]
async fn what_is_no_regular_file_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, site) = carried(&folder).await;
    let text = std::fs::read(&path).unwrap();
    let mut child = site
        .command(&["events", "import", "/dev/stdin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&text).await.unwrap();
    drop(input);
    let report = document(&child.wait_with_output().await.unwrap());
    assert_eq!(report["events"], 1);
    let line = one_line(
        &site
            .run(&["events", "import", "/dev/null", "--append"])
            .await,
    );
    assert!(line.contains("--append needs a regular file"), "{line}");
}

#[tokio::test]
async fn a_login_with_the_grants_that_are_named_exports() {
    let site = Site::build().await;
    let help = String::from_utf8(site.run(&["events", "export", "--help"]).await.stdout).unwrap();
    let (_, named) = help.split_once("SELECT on ").unwrap();
    let named: Vec<&str> = named
        .trim_end_matches(['.', '\n'])
        .split(&[',', ' ', '\n'][..])
        .filter(|word| !word.is_empty() && *word != "and")
        .collect();
    let login = site.text("select 'exports_' || current_database()").await;
    let grants = format!(
        "create role \"{login}\" login; grant connect on database \"{}\" to \"{login}\"; grant select on {} to \"{login}\"",
        site.text("select current_database()").await,
        named.join(", ")
    );
    sqlx::raw_sql(&grants).execute(&site.pool).await.unwrap();
    let exported = site
        .command(&["events", "export"])
        .env("DATABASE_URL", site.url_of(&login))
        .output()
        .await
        .unwrap();
    success(&exported);
    // What a login that has nothing is told to ask for is the same.
    sqlx::raw_sql(&format!("revoke select on imports from \"{login}\""))
        .execute(&site.pool)
        .await
        .unwrap();
    let refused = site
        .command(&["events", "export"])
        .env("DATABASE_URL", site.url_of(&login))
        .output()
        .await
        .unwrap();
    let line = one_line(&refused);
    assert!(
        line.contains(&format!("grant select on {} to", named.join(", "))),
        "{line}"
    );
    let leave = format!("drop owned by \"{login}\"; drop role \"{login}\"");
    sqlx::raw_sql(&leave).execute(&site.pool).await.unwrap();
}
