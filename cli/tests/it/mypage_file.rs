//! `MYPAGE_STORE=sqlite` through the real program: killed, emptied, pointed at the wrong things, and its disk spoilt.

use std::fs::{self, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use local_postgres::testing::timeout;
use local_postgres::testing::{self, Database};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::commands::one_line;
use crate::process::Process;
use crate::server::{CONVERGE_MAX, Folder, Server, client, moment, spacerent};

/// A migrated database, and a place for files.
struct House {
    database: Database,
    folder: TempDir,
    http: reqwest::Client,
}

impl House {
    async fn build() -> Self {
        let house = Self {
            database: Database::create("an empty one", async |_| Ok(()))
                .await
                .unwrap(),
            folder: tempfile::tempdir().unwrap(),
            http: client(),
        };
        let migrated = spacerent(&["migrate"])
            .env("DATABASE_URL", house.database.url())
            .output()
            .await
            .unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        house
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("mypage.sqlite")
    }

    fn serve(&self, file: &Path) -> Command {
        let mut command = spacerent(&["serve"]);
        command
            .env("DATABASE_URL", self.database.url())
            .env("MYPAGE_STORE", "sqlite")
            .env("MYPAGE_SQLITE_FILE", file);
        command
    }

    /// Starts a process; its port of `/mypages` is ready when this returns.
    async fn start(&self, file: &Path) -> Process {
        let mut node = Process::start(&mut self.serve(file), "mypage");
        node.becomes_ready(&self.http).await;
        node
    }

    /// Status and body of an answer of `/mypages`' port; 0 while nobody answers.
    async fn get(&self, node: &Process, path: &str) -> (u16, String) {
        match self.http.get(node.url(path)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
            Err(_) => (0, String::new()),
        }
    }

    /// Books, and waits until the whole story is on My Page.
    async fn book(&self, node: &Process) -> i64 {
        let url = node.url_of("book", "/books");
        let body = serde_json::json!({ "userid": 4, "spacename": "numberfour" });
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let id = location.rsplit('/').next().unwrap().parse().unwrap();
        let path = format!("/mypages/{id}/trace");
        let registered = async {
            while !self.get(node, &path).await.1.contains("BookConfirmed") {
                moment().await;
            }
        };
        timeout(CONVERGE_MAX, registered)
            .await
            .expect("it never came to My Page");
        id
    }

    /// All of My Page and a story, as bytes; links begin with the same address at every start.
    async fn shown(&self, node: &Process, bookings: i64) -> Vec<String> {
        let mut shown = vec![];
        let mut paths = vec!["/mypages".to_owned()];
        paths.extend((1..=bookings).map(|id| format!("/mypages/{id}/trace")));
        for path in paths {
            let (status, body) = self.get(node, &path).await;
            assert_eq!(status, 200, "{path}: {body}");
            shown.push(body.replace(&node.address().port().to_string(), "PORT"));
        }
        shown
    }

    /// One sample of the process's metrics.
    async fn metric(&self, node: &Process, sample: &str) -> Option<String> {
        let (_, text) = self.get(node, "/metrics").await;
        let found = text.lines().find_map(|line| line.strip_prefix(sample));
        found.map(|value| value.trim().to_owned())
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.unwrap()
    }
}

#[tokio::test]
async fn killed_it_goes_on_and_without_its_file_it_begins_anew() {
    let house = House::build().await;
    let mut node = house.start(&house.file()).await;
    for _ in 0..3 {
        house.book(&node).await;
    }
    let before = house.shown(&node, 3).await;
    node.kill().await;

    let mut node = house.start(&house.file()).await;
    assert_eq!(house.shown(&node, 3).await, before);
    // It went on: nothing was made anew.
    assert_eq!(
        house.metric(&node, "mypage_file_rebuilds_total").await,
        None
    );
    let parked = house.metric(&node, "mypage_file_parked").await;
    assert_eq!(parked.as_deref(), Some("0"));
    node.kill().await;

    fs::remove_file(house.file()).unwrap();
    let node = house.start(&house.file()).await;
    assert_eq!(house.shown(&node, 3).await, before);
    let new = house
        .metric(&node, "mypage_file_rebuilds_total{reason=\"new\"}")
        .await;
    assert_eq!(new.as_deref(), Some("1"));
    let following = house
        .metric(&node, "mypage_file_state{state=\"following\"}")
        .await;
    assert_eq!(following.as_deref(), Some("1"));
    // Postgres has the same, and so has everybody who keeps it there.
    let mut owner = house.owner().await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from mypage.mypages where status = 'Registered'")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn killed_while_it_is_made_it_is_made_to_the_end() {
    let house = House::build().await;
    let mut node = house.start(&house.file()).await;
    house.book(&node).await;
    node.kill().await;
    // The same story told of thousands more: enough for several batches.
    let mut owner = house.owner().await;
    sqlx::query(
        r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
           select aggregate_type, n::text, sequence, event_type, event_version,
                  payload || jsonb_strip_nulls(jsonb_build_object(
                      'bookid', case when payload ? 'bookid' then n end,
                      'payid', case when payload ? 'payid' then n end,
                      'spaceid', case when payload ? 'spaceid' then n end)),
                  metadata
           from generate_series(2, 4000) n, events order by n, position"#,
    )
    .execute(&mut owner)
    .await
    .unwrap();
    fs::remove_file(house.file()).unwrap();
    let mut kills = 0;
    loop {
        let mut child = house
            .serve(&house.file())
            .args(["--role", "mypage"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed as soon as something of it is on disk, and later each time.
        let somewhere = async {
            let mut looks = 0;
            while looks < 2 * kills || position_of(&house.file()).await == 0 {
                looks += 1;
                moment().await;
            }
        };
        timeout(CONVERGE_MAX, somewhere)
            .await
            .expect("nothing is made");
        child.kill().await.unwrap();
        kills += 1;
        if kills == 4 {
            break;
        }
    }
    let node = house.start(&house.file()).await;
    assert_eq!(
        house.metric(&node, "mypage_file_rebuilds_total").await,
        None
    );
    let page: Value = serde_json::from_str(&house.get(&node, "/mypages?size=1").await.1).unwrap();
    assert_eq!(page["page"]["totalElements"], 4000);
    let registered = house
        .get(&node, "/mypages?size=1&status=Registered")
        .await
        .1;
    let registered: Value = serde_json::from_str(&registered).unwrap();
    assert_eq!(registered["page"]["totalElements"], 4000);
    let story = |text: String| {
        serde_json::from_str::<Value>(&text).unwrap()["events"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        story(house.get(&node, "/mypages/1/trace").await.1),
        story(house.get(&node, "/mypages/3999/trace").await.1)
    );
}

/// How far the half-built rows in the file are.
async fn position_of(file: &Path) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .read_only(true);
    let Ok(mut connection) = sqlx::SqliteConnection::connect_with(&options).await else {
        return 0;
    };
    let position = sqlx::query_scalar("select max(position) from generations")
        .fetch_one(&mut connection)
        .await;
    position.unwrap_or(0)
}

#[tokio::test]
async fn the_file_of_another_journal_is_not_shown() {
    let (one, other) = (House::build().await, House::build().await);
    let mut node = one.start(&one.file()).await;
    one.book(&node).await;
    one.book(&node).await;
    node.kill().await;
    let node = other.start(&one.file()).await;
    let (_, body) = other.get(&node, "/mypages").await;
    assert!(!body.contains("numberfour"), "{body}");
    let reason = "mypage_file_rebuilds_total{reason=\"other_journal\"}";
    assert_eq!(other.metric(&node, reason).await.as_deref(), Some("1"));
    other.book(&node).await;
    assert_eq!(other.shown(&node, 1).await.len(), 2);
}

#[tokio::test]
async fn a_file_has_one_process_and_a_process_needs_a_file() {
    let house = House::build().await;
    let node = house.start(&house.file()).await;
    let output = house.serve(&house.file()).output().await.unwrap();
    let line = one_line(&output);
    assert!(line.contains("in use by another process"), "{line}");
    assert!(line.contains("mypage.sqlite"), "{line}");
    // Who does not play the role opens no file, and needs none.
    let roles = ["--role", "processes"];
    let mut other = house.serve(&house.file()).args(roles).spawn().unwrap();
    let mut owner = house.owner().await;
    house.book(&node).await;
    assert!(other.try_wait().unwrap().is_none(), "it ended");
    other.kill().await.unwrap();
    let none = spacerent(&["serve"])
        .env("DATABASE_URL", house.database.url())
        .env("MYPAGE_STORE", "sqlite")
        .output()
        .await
        .unwrap();
    assert!(one_line(&none).contains("MYPAGE_SQLITE_FILE"));
    let nowhere = house
        .serve(Path::new("/no/such/folder/file"))
        .output()
        .await
        .unwrap();
    assert!(one_line(&nowhere).contains("/no/such/folder/file"));
    // Nor may it be somebody else's.
    let theirs = house.folder.path().join("songs.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&theirs)
        .create_if_missing(true);
    let mut songs = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    sqlx::query("create table songs (title text)")
        .execute(&mut songs)
        .await
        .unwrap();
    songs.close().await.unwrap();
    let refused = house.serve(&theirs).output().await.unwrap();
    assert!(one_line(&refused).contains("belongs to another program"));
    sqlx::query("select 1").execute(&mut owner).await.unwrap();
}

#[tokio::test]
async fn a_spoilt_disk_gives_problems_and_no_crash_and_heals() {
    let house = House::build().await;
    let mut node = house.start(&house.file()).await;
    house.book(&node).await;
    let before = house.shown(&node, 1).await;
    node.kill().await;
    node = house.start(&house.file()).await;
    // Everything at once: the file's bytes, and the log that stands beside it.
    for path in [house.file(), house.folder.path().join("mypage.sqlite-wal")] {
        let Ok(mut file) = OpenOptions::new().write(true).open(&path) else {
            continue;
        };
        let length = file.metadata().unwrap().len();
        file.rewind().unwrap();
        file.write_all(&vec![0xa5; usize::try_from(length).unwrap()])
            .unwrap();
        file.sync_all().unwrap();
    }
    let damaged = "mypage_file_rebuilds_total{reason=\"damaged\"}";
    let healed = async {
        loop {
            for path in [
                "/mypages",
                "/mypages/1",
                "/mypages?sort=spacename&size=3",
                "/mypages/1/trace",
            ] {
                let (status, body) = house.get(&node, path).await;
                match status {
                    200 => {}
                    503 => assert!(body.contains("/problems/storage-unavailable"), "{body}"),
                    status => panic!("{path}: {status} {body}"),
                }
            }
            if house.metric(&node, damaged).await.is_some()
                && house.get(&node, "/readyz").await.0 == 200
            {
                return;
            }
            // What changes is read from the file.
            let url = node.url_of("book", "/books");
            let body = serde_json::json!({ "userid": 5, "spacename": "numberfive" });
            let answer = house.http.post(url).json(&body).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 201);
        }
    };
    timeout(CONVERGE_MAX, healed)
        .await
        .expect("it does not heal");
    assert!(!node.has_ended(), "it ended");
    let after = house.shown(&node, 1).await;
    assert_eq!(after[1], before[1]);
    assert!(house.folder.path().join("mypage.sqlite.damaged").exists());
}

#[tokio::test]
async fn dev_keeps_it_in_its_data_folder() {
    let folder = Folder::new();
    let sqlite = [("MYPAGE_STORE", "sqlite")];
    let server = Server::start_set(&folder, &[], &sqlite).await;
    assert_eq!(server.book("numberone").await.0, 201);
    server
        .status_becomes("mypage", "/mypages/1", "Registered")
        .await;
    server
        .status_becomes("gateway", "/mypages/1", "Registered")
        .await;
    // It is answered from the file also while Postgres is away.
    testing::kill(folder.path()).await.unwrap();
    assert_eq!(
        server.get("mypage", "/mypages/1").await["status"],
        "Registered"
    );
    assert_eq!(
        server.get("mypage", "/readyz").await["checks"]["database"],
        "failed"
    );
    server.kill().await;
    assert!(folder.path().join("mypage.sqlite").exists());
    // Emptied, the journal is another one, and the file knows.
    let server = Server::start_set(&folder, &["--fresh"], &sqlite).await;
    // Nothing of the old one is shown, also not before the new one is built.
    assert_ne!(
        server.get("mypage", "/mypages/1").await["spacename"],
        "numberone"
    );
    assert_eq!(server.book("numbertwo").await.0, 201);
    server
        .status_becomes("mypage", "/mypages/1", "Registered")
        .await;
    assert_eq!(
        server.get("mypage", "/mypages/1").await["spacename"],
        "numbertwo"
    );
    assert!(server.stop().await.success());
}
