//! A running `spacerent serve` whose ports are free, which it says itself.
//!
//! A port that a test finds free for it may be another test's when it comes to listen there, and both tests would
//! talk to one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use local_postgres::testing::timeout;
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::server::moment;

/// Within this time a process listens, is ready, and ends when it is told to.
const SOON: Duration = Duration::from_secs(30);

/// Where each role listens.
type Addresses = BTreeMap<String, SocketAddr>;

/// One process.
pub struct Process {
    child: Child,
    /// The role that is asked when none is named.
    role: &'static str,
    addresses: watch::Receiver<Addresses>,
    /// Reads what it logs: a process whose log nobody takes stands still.
    _log: JoinSet<()>,
}

impl Process {
    /// Starts it; it may end before it listens.
    pub fn start(command: &mut Command, role: &'static str) -> Self {
        let mut child = command
            .env("RUST_LOG", "warn,spacerent::node=info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, addresses) = watch::channel(Addresses::new());
        let mut log = JoinSet::new();
        log.spawn(read(child.stderr.take().unwrap(), said));
        Self {
            child,
            role,
            addresses,
            _log: log,
        }
    }

    /// Waits until it is ready.
    pub async fn becomes_ready(&mut self, http: &Client) {
        let (role, mut addresses) = (self.role, self.addresses.clone());
        let ready = async {
            let listens = addresses.wait_for(|addresses| addresses.contains_key(role));
            listens.await.expect("it ended, and never listened");
            let url = self.url("/readyz");
            while !is_ready(http, &url).await {
                assert!(!self.has_ended(), "it ended, and never was ready");
                moment().await;
            }
        };
        timeout(SOON, ready).await.expect("it is never ready");
    }

    pub fn url(&self, path: &str) -> String {
        self.url_of(self.role, path)
    }

    pub fn url_of(&self, role: &str, path: &str) -> String {
        format!("http://{}{path}", self.address_of(role))
    }

    pub fn address(&self) -> SocketAddr {
        self.address_of(self.role)
    }

    fn address_of(&self, role: &str) -> SocketAddr {
        self.addresses.borrow()[role]
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Does nothing to one that has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = self.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it has been stopped and not continued.
    pub fn stands_still(&self) -> bool {
        let Some(pid) = self.id() else {
            return false;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with('T'))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) {
        timeout(SOON, self.child.wait())
            .await
            .expect("it does not end")
            .unwrap();
    }

    /// SIGTERM.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = timeout(SOON, self.child.wait()).await;
        assert!(status.expect("it does not stop").unwrap().success());
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Takes what it logs, and keeps where it listens.
async fn read(log: ChildStderr, said: watch::Sender<Addresses>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((role, address)) = listening(&line) {
            said.send_modify(|addresses| {
                let _ = addresses.insert(role, address);
            });
        }
    }
}

fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" {
        return None;
    }
    let address = line["address"].as_str()?.parse().ok()?;
    Some((line["role"].as_str()?.to_owned(), address))
}

async fn is_ready(http: &Client, url: &str) -> bool {
    let asked = http.get(url).timeout(SOON).send().await;
    asked.is_ok_and(|answer| answer.status() == 200)
}
