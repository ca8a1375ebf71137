//! A newer node has stored what this one cannot read: what people see, and that nobody else waits.

use local_postgres::testing::timeout;
use serde_json::Value;

use crate::events::connect;
use crate::server::{CONVERGE_MAX, Folder, Server, moment};

async fn json(folder: &Folder, arguments: &[&str]) -> Value {
    let output = folder.run(&[arguments, &["--json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

async fn text(folder: &Folder, arguments: &[&str]) -> String {
    String::from_utf8(folder.run(arguments).await.stdout).unwrap()
}

#[tokio::test]
async fn an_event_of_a_newer_program_holds_its_booking_and_is_shown_everywhere() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    let mut owner = connect(&folder).await;
    let newer = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ('Book', '1', 3, 'Moved', '2', '{}', '{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "manager"}')"#;
    sqlx::raw_sql(newer).execute(&mut owner).await.unwrap();
    assert_eq!(server.book("numbertwo").await.0, 201);
    server
        .status_becomes("book", "/books/2", "success-register")
        .await;

    // Held by every follower, and nobody else waits.
    let held = async {
        loop {
            let status = json(&folder, &["status"]).await;
            let followers = status["followers"].as_array().unwrap();
            if followers
                .iter()
                .all(|f| f["lag_events"] == 0 && f["parked"] == 1)
            {
                return followers.len();
            }
            moment().await;
        }
    };
    let followers = timeout(CONVERGE_MAX, held).await.expect("it is not held");
    let list = json(&folder, &["parked", "list"]).await;
    let list = list["parked"].as_array().unwrap();
    assert_eq!(list.len(), followers);
    for parked in list {
        assert_eq!(
            (
                &parked["event_type"],
                &parked["event_version"],
                &parked["waits_for_upgrade"]
            ),
            (&"Moved".into(), &"2".into(), &true.into())
        );
        let reason = parked["reason"].as_str().unwrap();
        assert!(
            reason.contains(r#"Book event "Moved" version "2""#) && reason.contains("upgrade"),
            "{reason}"
        );
    }
    for arguments in [&["parked", "list"][..], &["parked", "show", "mypage", "1"]] {
        let table = text(&folder, arguments).await;
        assert!(
            table.contains("Moved 2") && table.contains("spacerent parked retry"),
            "{table}"
        );
    }
    let parked = i64::try_from(followers).unwrap();
    let mut counted = 0;
    for parked in list {
        let name = parked["name"].as_str().unwrap();
        let metric = format!(r#"follower_unreadable_events_total{{follower="{name}"}}"#);
        counted += server.metric(&metric).await;
    }
    assert_eq!(counted, parked);

    // A command on it is answered for what it is; what is asked of the other one is done.
    let (status, problem) = server.cancel(1).await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &"/problems/newer-version-needed".into())
    );
    assert_eq!(server.cancel(2).await.0, 200);
    server
        .status_becomes("book", "/books/2", "cancel-register")
        .await;

    // Tried again by the same program, it stays.
    let retry = folder.run(&["parked", "retry", "mypage", "1"]).await;
    assert_eq!(retry.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&retry.stdout).contains("Moved"),
        "{retry:?}"
    );

    let trace = json(&folder, &["trace", "1"]).await;
    let waits = trace["waits_for"].to_string();
    assert!(
        waits.contains("has parked it") && waits.contains("position 7: Book event"),
        "{waits}"
    );
    assert!(
        text(&folder, &["trace", "1"])
            .await
            .contains("Book/1 Moved, which cannot be read here")
    );

    // As JSON it is printed as it stands; in the seed's words nobody here can say what it is.
    let lines = text(&folder, &["events", "tail", "--from", "6", "--limit", "1"]).await;
    assert!(lines.contains(r#""event_type":"Moved""#), "{lines}");
    let seed = ["events", "tail", "--from", "0", "--format", "seed"];
    let output = folder.run(&seed).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.lines().count() == 1,
        "{said}"
    );
    assert!(
        said.contains("event 7 cannot be read") && said.contains("newer"),
        "{said}"
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert!(server.stop().await.success());
}
