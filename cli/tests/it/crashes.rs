//! `kill -9`: of the server in the middle of a load, and of server and Postgres together. What was answered 2xx
//! is there afterwards, and everything comes to its end without a hand.

use local_postgres::testing;
use local_postgres::testing::timeout;

use crate::load::{Load, acknowledged};
use crate::server::{CONVERGE_MAX, Folder, Server};

pub async fn everything_answered_is_there_and_converges(server: &Server, answered: &[i64]) {
    for bookid in answered {
        // Gone for ever is what this would not become.
        server
            .status_becomes("book", &format!("/books/{bookid}"), "success-register")
            .await;
        server
            .status_becomes("gateway", &format!("/mypages/{bookid}"), "Registered")
            .await;
    }
    let ledger = server.get("payment", "/stub/ledger").await;
    let mut charged: Vec<_> = ledger["charges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["bookid"].as_i64().unwrap())
        .collect();
    let charges = charged.len();
    charged.sort_unstable();
    charged.dedup();
    assert_eq!(charged.len(), charges, "a booking was charged twice");
}

pub async fn no_job_is_left(folder: &Folder) {
    let quiet = async {
        loop {
            let status = folder.run(&["status", "--json"]).await;
            let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
            assert_eq!(status["jobs"]["needs_attention"], 0, "{status}");
            if status["jobs"]["due"] == 0 && status["jobs"]["waiting"] == 0 {
                return;
            }
        }
    };
    timeout(CONVERGE_MAX, quiet)
        .await
        .expect("jobs are left over");
}

#[tokio::test]
async fn the_server_is_killed_under_load() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let load = Load::on(&server);
    load.under_way().await;
    server.kill().await;
    let answered = acknowledged(&load.end().await);

    let server = Server::start(&folder).await;
    everything_answered_is_there_and_converges(&server, &answered).await;
    no_job_is_left(&folder).await;
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn the_server_and_postgres_are_killed_under_load() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let load = Load::on(&server);
    load.under_way().await;
    server.kill().await;
    testing::kill(folder.path()).await.unwrap();
    let answered = acknowledged(&load.end().await);

    let server = Server::start(&folder).await;
    everything_answered_is_there_and_converges(&server, &answered).await;
    no_job_is_left(&folder).await;
    assert!(server.stop().await.success());
}
