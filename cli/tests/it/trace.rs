//! `spacerent trace`: the whole story of a booking, and where it stands still.

use local_postgres::testing::timeout;
use serde_json::Value;

use crate::commands::one_line;
use crate::events::connect;
use crate::server::{CONVERGE_MAX, Folder, Server, moment};

async fn trace(folder: &Folder, asked: &str) -> Value {
    let output = folder.run(&["trace", asked, "--json"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The events of a tree as `position type`, with what they led to behind them.
fn events(commands: &Value, found: &mut Vec<(i64, String)>) {
    for event in commands
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|command| command["events"].as_array().unwrap())
    {
        let name = event["event_type"].as_str().unwrap().to_owned();
        found.push((event["position"].as_i64().unwrap(), name));
        events(&event["led_to"], found);
    }
}

#[tokio::test]
async fn a_cancelled_booking_is_told_whole_and_rests() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    let becomes = async |status| server.status_becomes("book", "/books/1", status).await;
    becomes("success-register").await;
    assert_eq!(server.cancel(1).await.0, 200);
    becomes("cancel-register").await;
    let rests = async {
        loop {
            let report = trace(&folder, "1").await;
            if report["waits_for"] == serde_json::json!([]) {
                return report;
            }
            moment().await;
        }
    };
    let report = timeout(CONVERGE_MAX, rests).await.expect("it never rests");

    let mut told = vec![];
    events(&report["commands"], &mut told);
    told.sort_unstable();
    let mut owner = connect(&folder).await;
    let stored: Vec<(i64, String)> =
        sqlx::query_as("select position, event_type from events order by 1")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    assert_eq!(told, stored);
    let calls: Vec<_> = report["gateway_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| {
            (
                call["kind"].as_str().unwrap(),
                call["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(calls, [("charge", "Approved"), ("refund", "Cancelled")]);
    assert!(
        report["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|job| job["kind"] == "refund")
    );
    assert!(
        report["followers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|f| f["passed"] == true)
    );

    let journey = report["commands"][0]["correlation_id"].as_str().unwrap();
    let mut of_the_request = vec![];
    events(
        &trace(&folder, journey).await["commands"],
        &mut of_the_request,
    );
    let names: Vec<_> = of_the_request
        .iter()
        .map(|(_, name)| name.as_str())
        .collect();
    assert!(
        names.contains(&"Booked") && names.contains(&"Registered"),
        "{names:?}"
    );
    assert!(
        !names.contains(&"Bookcancelled"),
        "another request's: {names:?}"
    );

    let text = String::from_utf8(folder.run(&["trace", "1"]).await.stdout).unwrap();
    for part in [
        "Booked",
        "        ",
        "refund: done, 1 attempts",
        "gateway: charge 1",
        "nothing is waited for",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let line = one_line(&folder.run(&["trace", "77"]).await);
    assert!(line.contains("nothing is recorded of 77"), "{line}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_booking_that_stands_still_says_where() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    server
        .status_becomes("gateway", "/mypages/1", "Registered")
        .await;
    let mut owner = connect(&folder).await;
    let stuck = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ('Space', '1', 99, 'Repainted', '9', '{}', '{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system"}');
        insert into jobs (kind, key, bookid, payload, state, due_at, last_error)
        values ('refund', '1/9', 1, '{}', 'attention', now(), 'refused')"#;
    sqlx::raw_sql(stuck).execute(&mut owner).await.unwrap();
    let parked = async {
        loop {
            let waits = trace(&folder, "1").await["waits_for"].to_string();
            if waits.contains("mypage has parked it at position") {
                return waits;
            }
            moment().await;
        }
    };
    let waits = timeout(CONVERGE_MAX, parked).await.expect("it is not said");
    assert!(
        waits.contains("Repainted") && waits.contains("is for people: refused"),
        "{waits}"
    );
    assert!(server.stop().await.success());
}
