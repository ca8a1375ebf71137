//! `spacerent events tail` over a running system: both formats, resuming, following, holding, stopping.

mod follow;

use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::commands::one_line;
use crate::server::{Folder, Server};

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

pub async fn connect(folder: &Folder) -> PgConnection {
    let url = folder.run(&["url"]).await.stdout;
    PgConnection::connect(String::from_utf8(url).unwrap().trim())
        .await
        .unwrap()
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
