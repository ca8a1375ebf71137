//! `kill -9`: of the server in the middle of a load, and of server and Postgres together. What was answered 2xx
//! is there afterwards, and everything comes to its end without a hand.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use local_postgres::testing;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::server::{CONVERGE_MAX, Folder, Server, moment};

/// Bookings that must be answered 2xx before the plug is pulled.
const ANSWERED_MIN: usize = 60;
const CLIENTS: usize = 8;

/// Books until told to stop; keeps the numbers that were answered 2xx.
struct Load {
    answered: Arc<Mutex<Vec<i64>>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    fn on(server: &Server) -> Self {
        let (answered, stop) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (url, http) = (server.url("book", "/books"), server.client());
            let (answered, stop) = (answered.clone(), stop.clone());
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let body = serde_json::json!({ "userid": 4, "spacename": "numberfour" });
                    let Ok(answer) = http.post(&url).json(&body).send().await else {
                        return;
                    };
                    let ok = answer.status().is_success();
                    if let (true, Ok(booked)) = (ok, answer.json::<serde_json::Value>().await) {
                        answered
                            .lock()
                            .unwrap()
                            .push(booked["bookid"].as_i64().unwrap());
                    }
                }
            });
        }
        Self {
            answered,
            stop,
            clients,
        }
    }

    async fn under_way(&self) {
        let enough = async {
            while self.answered.lock().unwrap().len() < ANSWERED_MIN {
                moment().await;
            }
        };
        timeout(Duration::from_secs(60), enough)
            .await
            .expect("the load does not get going");
    }

    async fn end(mut self) -> Vec<i64> {
        self.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        let answered = self.answered.lock().unwrap();
        answered.clone()
    }
}

async fn everything_answered_is_there_and_converges(server: &Server, answered: &[i64]) {
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

async fn no_job_is_left(folder: &Folder) {
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
    let answered = load.end().await;

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
    let answered = load.end().await;

    let server = Server::start(&folder).await;
    everything_answered_is_there_and_converges(&server, &answered).await;
    no_job_is_left(&folder).await;
    assert!(server.stop().await.success());
}
