//! `spacerent replay`: what it says and leaves when it is asked for the past, for an estimate, or stopped half-way.

use std::process::{Output, Stdio};
use std::time::Duration;

use local_postgres::testing::timeout;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

use crate::server::{Folder, Server, moment};

/// Within this time something must have happened.
const SOON: Duration = Duration::from_secs(30);

fn document(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One booking, carried to its last event: nothing of it is still to come.
pub async fn booked(folder: &Folder) -> Server {
    let server = Server::start(folder).await;
    server.book("numberone").await;
    server
        .status_becomes("mypage", "/mypages/1", "Registered")
        .await;
    let mut asking = owner(folder).await;
    let confirmed = async {
        let confirmed = "select exists (select from events where event_type = 'BookConfirmed')";
        loop {
            let asked = sqlx::query_scalar(confirmed).fetch_one(&mut asking);
            let confirmed: bool = asked.await.unwrap();
            if confirmed {
                break;
            }
            moment().await;
        }
    };
    timeout(SOON, confirmed)
        .await
        .expect("it is never confirmed");
    server
}

pub async fn owner(folder: &Folder) -> PgConnection {
    let url = folder.run(&["url"]).await;
    let url = String::from_utf8(url.stdout).unwrap();
    PgConnection::connect(url.trim()).await.unwrap()
}

/// A transaction that may still append keeps a hole open: rebuilds wait there, with the rest built.
pub async fn hold(writer: &mut PgConnection) -> Transaction<'_, Postgres> {
    let mut open = writer.begin().await.unwrap();
    open.execute(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('Book', '99', 1, 'Booked', '1', '{}', '{}')",
    )
    .await
    .unwrap();
    open
}

#[tokio::test]
async fn the_past_can_be_built_looked_at_and_dropped() {
    let folder = Folder::new();
    let server = booked(&folder).await;

    let estimate = document(
        &folder
            .run(&["replay", "mypage", "--dry-run", "--json"])
            .await,
    );
    assert_eq!(estimate["dry_run"], true);
    assert!(estimate["events"].as_i64().unwrap() >= 5, "{estimate}");
    assert_eq!(estimate["differences"], serde_json::json!([]));
    let output = folder.run(&["replay", "mypage", "--dry-run"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("nothing was changed") && said.contains("mypages: 1 rows"),
        "{said}"
    );

    let built = document(
        &folder
            .run(&["replay", "mypage", "--to-position", "2", "--json"])
            .await,
    );
    assert_eq!(
        (
            &built["schema"],
            &built["to_position"],
            &built["verified"],
            &built["switched"]
        ),
        (
            &"mypage_at_2".into(),
            &2.into(),
            &true.into(),
            &false.into()
        ),
    );
    let mut owner = owner(&folder).await;
    let status: String = sqlx::query_scalar("select status from mypage_at_2.mypages")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(status, "booking");
    owner.close().await.unwrap();
    let listed = document(&folder.run(&["status", "--json"]).await);
    assert_eq!(listed["as_of"][0]["schema"], "mypage_at_2");
    let listed = folder.run(&["status"]).await;
    assert!(
        String::from_utf8_lossy(&listed.stdout)
            .contains("mypage as of position 2: schema mypage_at_2")
    );

    let ask = ["replay", "mypage", "--to-position", "2", "--booking", "1"];
    let booking = document(&folder.run(&ask).await);
    assert_eq!(booking["rows"]["mypages"][0]["status"], "booking");
    assert_eq!(booking["rows"]["timeline"].as_array().unwrap().len(), 2);

    let dropped = folder
        .run(&["replay", "mypage", "--to-position", "2", "--drop"])
        .await;
    assert_eq!(
        String::from_utf8_lossy(&dropped.stdout),
        "mypage_at_2: dropped\n"
    );
    let listed = document(&folder.run(&["status", "--json"]).await);
    assert_eq!(listed["as_of"], serde_json::json!([]));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_past_that_never_was_is_one_line() {
    let folder = Folder::new();
    let server = booked(&folder).await;
    for (arguments, wanted) in [
        (
            vec!["mypage", "--to-position", "0"],
            "\"0\" is not a whole number from 1",
        ),
        (
            vec!["mypage", "--to-position", "-5"],
            "\"-5\" is not a whole number from 1",
        ),
        (
            vec!["mypage", "--to-position", "next"],
            "\"next\" is not a whole number",
        ),
        (
            vec!["mypage", "--to-position", "99999999999999999999"],
            "is not a whole number",
        ),
        (
            vec!["mypage", "--to-position", "4000"],
            "there is no position 4000",
        ),
        (
            vec!["mypage", "--dry-run", "--to-position", "4000"],
            "there is no position 4000",
        ),
        (
            vec!["mypage", "--to-time", "yesterday"],
            "\"yesterday\" is not a time",
        ),
        (
            vec!["mypage", "--to-time", "2001-01-01T00:00:00Z"],
            "nothing was recorded by",
        ),
        (
            vec!["mypage", "--to-time", "2999-01-01T00:00:00Z"],
            "is not over yet",
        ),
        (
            vec!["moods", "--to-position", "1"],
            "there is no projection \"moods\"",
        ),
        (
            vec!["moods", "--dry-run"],
            "there is no projection \"moods\"",
        ),
        (
            vec!["mypage", "--to-position", "1", "--drop"],
            "no mypage_at_1 to drop",
        ),
        (
            vec!["mypage", "--to-position", "1", "--booking", "9"],
            "nothing was recorded of booking 9",
        ),
        (
            vec!["points", "--to-position", "1", "--booking", "1"],
            "points does not show single bookings",
        ),
    ] {
        let output = folder
            .run(&[vec!["replay"], arguments.clone()].concat())
            .await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{arguments:?}: {said}"
        );
        assert!(
            said.lines().count() == 1 && said.contains(wanted),
            "{arguments:?}: {said}"
        );
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn stopped_or_killed_half_way_it_is_gone_on_with() {
    let folder = Folder::new();
    let server = booked(&folder).await;
    let mut asking = owner(&folder).await;
    let reached: i64 = sqlx::query_scalar("select max(position) from events")
        .fetch_one(&mut asking)
        .await
        .unwrap();
    let mut writer = owner(&folder).await;
    let open = hold(&mut writer).await;
    server.book("numberone").await;
    for (signal, going_on) in [(Signal::INT, false), (Signal::KILL, true)] {
        let mut child = folder
            .command(&["replay", "mypage"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        let built = async {
            let built = "select exists (select from rebuilt_rows r join followers f using (name, generation)
                                        where f.position = $1 and f.owner is not null)";
            loop {
                let built = sqlx::query_scalar(built)
                    .bind(reached)
                    .fetch_one(&mut asking)
                    .await;
                if built.unwrap() {
                    break;
                }
                assert!(child.try_wait().unwrap().is_none(), "it did not wait");
                moment().await;
            }
        };
        timeout(SOON, built)
            .await
            .expect("it never got to the hole");
        kill_process(pid, signal).unwrap();
        let ended = timeout(SOON, child.wait_with_output())
            .await
            .expect("it hangs")
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert_eq!(
            said.contains("going on with the half-built generation 2"),
            going_on,
            "{said}"
        );
        if signal == Signal::INT {
            assert!(said.contains("left half-built at position"), "{said}");
            assert!(said.contains("was stopped; nothing was switched"), "{said}");
        }
    }
    open.rollback().await.unwrap();
    let report = timeout(SOON, async {
        loop {
            let output = folder.run(&["replay", "mypage", "--json"]).await;
            // The killed one's lock goes with its connection, when the server notices.
            if !String::from_utf8_lossy(&output.stderr).contains("another rebuild") {
                break document(&output);
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(report["resumed_from"], reached);
    assert_eq!(
        (&report["verified"], &report["switched"]),
        (&true.into(), &true.into())
    );
    assert_eq!(report["differences"], serde_json::json!([]));
    assert!(report["switch_lock_seconds"].as_f64().unwrap() < 1.0);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn an_outdated_read_model_is_named_and_rebuilt_when_asked_to() {
    let folder = Folder::new();
    let server = booked(&folder).await;
    let mut owner = owner(&folder).await;
    owner
        .execute("update projections set version = 0 where name = 'mypage'")
        .await
        .unwrap();

    let status = document(&folder.run(&["status", "--json"]).await);
    let states: Vec<_> = status["followers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|follower| follower["state"] == "outdated")
        .map(|follower| (&follower["name"], &follower["version"]))
        .collect();
    assert_eq!(states, [(&"mypage".into(), &0.into())]);
    let told = folder.run(&["status"]).await.stdout;
    let told = String::from_utf8(told).unwrap();
    let line = told.lines().find(|line| line.contains("stands still"));
    assert!(
        line.unwrap().contains("run `spacerent replay mypage`"),
        "{told}"
    );

    let output = folder.run(&["migrate"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert!(said.contains("spacerent migrate --rebuild"), "{said}");
    let generation = "select generation from projections where name = 'mypage' and state = 'live'";
    let live: i32 = sqlx::query_scalar(generation)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(live, 1, "nobody asked for a rebuild");

    let output = folder.run(&["migrate", "--rebuild"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("mypage: rebuilt from"), "{said}");
    let live: i32 = sqlx::query_scalar(generation)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(live, 2);
    let output = folder.run(&["migrate", "--rebuild"]).await;
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "the database is up to date\n"
    );
    server.book("numberone").await;
    server
        .status_becomes("mypage", "/mypages/2", "Registered")
        .await;
    owner.close().await.unwrap();
    assert!(server.stop().await.success());
}
