//! The seed's walk-through on a fresh `dev`, and what the operator's commands say of it.

use serde_json::Value;

use crate::server::{Folder, Server, followers, postmaster_files};

#[tokio::test]
async fn a_booking_goes_its_way_and_a_cancellation_undoes_one() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;

    let (status, booked) = server.book("numberone").await;
    assert_eq!(
        (status, &booked["bookid"], &booked["status"]),
        (201, &1.into(), &"booking".into())
    );
    server
        .status_becomes("payment", "/payments/1", "success-pay")
        .await;
    server
        .status_becomes("space", "/spaces/1", "success-register")
        .await;
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    server
        .status_becomes("gateway", "/mypages/1", "Registered")
        .await;

    let (status, _) = server.book("numberone").await;
    assert_eq!(status, 201);
    server
        .status_becomes("book", "/books/2", "success-register")
        .await;
    let (status, cancelled) = server.cancel(2).await;
    assert_eq!(
        (status, &cancelled["status"]),
        (200, &"cancel-booking".into())
    );
    server
        .status_becomes("payment", "/payments/2", "cancel-pay")
        .await;
    server
        .status_becomes("space", "/spaces/2", "cancel-register")
        .await;
    server
        .status_becomes("book", "/books/2", "cancel-register")
        .await;
    server
        .status_becomes("gateway", "/mypages/2", "cancel-register")
        .await;

    for (collection, count) in [("books", 2), ("payments", 2), ("spaces", 2), ("mypages", 2)] {
        let page = server.get("gateway", &format!("/{collection}")).await;
        assert_eq!(
            page["_embedded"][collection].as_array().map(Vec::len),
            Some(count),
            "{page}"
        );
    }
    let ledger = server.get("payment", "/stub/ledger").await;
    let refunded: Vec<_> = ledger["charges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|charge| charge["refunded"].clone())
        .collect();
    assert_eq!(refunded, [Value::from(0), Value::from(10_000)]);

    the_operators_commands_agree(&folder).await;
    assert!(server.stop().await.success());
    assert_eq!(
        postmaster_files(folder.path()),
        Vec::<std::path::PathBuf>::new(),
        "Postgres still runs"
    );
}

async fn the_operators_commands_agree(folder: &Folder) {
    let status = folder.run(&["status", "--json"]).await;
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["head"], status["watermark"]);
    assert_eq!(status["hole"], Value::Null);
    assert_eq!(status["jobs"]["needs_attention"], 0);
    let names: Vec<_> = status["followers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, followers());

    let replayed = folder.run(&["replay", "mypage", "--json"]).await;
    assert!(
        replayed.status.success(),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(
        (&report["verified"], &report["switched"]),
        (&true.into(), &true.into()),
        "{report}"
    );
    assert_eq!(report["differences"], serde_json::json!([]));

    let url = folder.run(&["url"]).await;
    let url = String::from_utf8(url.stdout).unwrap();
    let pool = sqlx::PgPool::connect(url.trim()).await.unwrap();
    // Not their number: a command that was decided again has left positions behind.
    let head: i64 = sqlx::query_scalar("select max(position) from events")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(Value::from(head), status["head"]);
    pool.close().await;

    assert!(
        folder.run(&["migrate"]).await.status.success(),
        "migrate is safe to run twice"
    );
}

#[tokio::test]
async fn fresh_starts_with_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    server.book("numberone").await;
    assert!(server.stop().await.success());

    let server = Server::start(&folder).await;
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    assert!(server.stop().await.success());

    let server = Server::start_with(&folder, &["--fresh"]).await;
    assert_eq!(server.get("book", "/books/1").await, Value::Null);
    assert_eq!(server.book("numberone").await.1["bookid"], 1);
    assert!(server.stop().await.success());
}
