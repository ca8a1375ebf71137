//! A running `spacerent dev` with a data folder and free ports of its own, and verbs for talking to it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Once;
use std::time::Duration;

use local_postgres::testing;
use local_postgres::testing::timeout;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;

/// Within this time a started server must be ready, and a stopped one gone.
const START_MAX: Duration = Duration::from_secs(60);
/// Within this time a booking's story must have come to its end.
pub const CONVERGE_MAX: Duration = Duration::from_secs(30);

/// A data folder that the server's account may enter.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new()
            .prefix("spacerent-it-")
            .tempdir()
            .unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the local server of the folder can be asked, with the role that may do everything.
    pub async fn database_url(&self) -> String {
        let url = self.run(&["url"]).await.stdout;
        String::from_utf8(url).unwrap().trim().to_owned()
    }

    /// A command of the program on this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = spacerent(arguments);
        command.arg("--data-dir").arg(self.path());
        command
    }

    /// Runs a command of the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        timeout(START_MAX, self.command(arguments).output())
            .await
            .expect("it hangs")
            .unwrap()
    }
}

/// A server that a failed test left, frozen or not, goes with its folder.
impl Drop for Folder {
    fn drop(&mut self) {
        let folder = self.path().to_owned();
        let end = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(testing::kill(&folder))
        };
        let _ = std::thread::spawn(end).join();
    }
}

/// Every follower, in order of name: the read models and the saga.
pub fn followers() -> Vec<&'static str> {
    let mut names = [&projections::NAMES[..], &["orders"]].concat();
    names.sort_unstable();
    names
}

/// The built program, with nothing of the surroundings' settings.
pub fn spacerent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spacerent"));
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env("RUST_LOG", "warn")
        .kill_on_drop(true);
    for name in ["BOOK", "SPACE", "PAYMENT", "MYPAGE", "GATEWAY"] {
        command.env(format!("LISTEN_PORT_{name}"), "0");
    }
    command
}

pub struct Server {
    child: Child,
    /// Reads what it logs: a server whose log nobody takes stands still.
    log: JoinSet<()>,
    addresses: HashMap<String, String>,
    http: reqwest::Client,
}

impl Server {
    pub async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[]).await
    }

    pub async fn start_with(folder: &Folder, more: &[&str]) -> Self {
        Self::start_set(folder, more, &[]).await
    }

    /// With settings of its own.
    pub async fn start_set(folder: &Folder, more: &[&str], settings: &[(&str, &str)]) -> Self {
        // Where there is none, one is fetched for all of these folders instead of one into each.
        local_postgres::testing::provide_programs().await.unwrap();
        let mut arguments = vec!["dev"];
        arguments.extend(more);
        let mut child = folder
            .command(&arguments)
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let addresses = timeout(START_MAX, ready(&mut lines))
            .await
            .expect("dev was never ready");
        let mut log = JoinSet::new();
        log.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            log,
            addresses,
            http: client(),
        }
    }

    pub fn url(&self, role: &str, path: &str) -> String {
        format!("{}{path}", self.addresses[role])
    }

    pub async fn book(&self, spacename: &str) -> (u16, Value) {
        let body = serde_json::json!({
            "userid": "1", "bookid": "1", "spacename": spacename, "status": "booking"
        });
        let answer = self
            .http
            .post(self.url("book", "/books"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn cancel(&self, bookid: i64) -> (u16, Value) {
        let body = serde_json::json!({ "status": "cancel-booking" });
        let url = self.url("book", &format!("/books/{bookid}"));
        let answer = self.http.patch(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// GET; `Null` where there is nothing.
    pub async fn get(&self, role: &str, path: &str) -> Value {
        let answer = self.http.get(self.url(role, path)).send().await.unwrap();
        answer.json().await.unwrap_or(Value::Null)
    }

    pub async fn status_of(&self, role: &str, path: &str) -> u16 {
        let answer = self.http.get(self.url(role, path)).send().await.unwrap();
        answer.status().as_u16()
    }

    pub async fn status_becomes(&self, role: &str, path: &str, status: &str) {
        let wanted = async {
            while self.get(role, path).await["status"] != status {
                moment().await;
            }
        };
        if timeout(CONVERGE_MAX, wanted).await.is_err() {
            panic!(
                "{path} never became {status}: {}",
                self.get(role, path).await
            );
        }
    }

    /// One sample of its metrics; 0 where there is none.
    pub async fn metric(&self, name: &str) -> i64 {
        let answer = self.http.get(self.url("book", "/metrics")).send().await;
        let text = answer.unwrap().text().await.unwrap();
        let sample = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(sample).unwrap_or(0)
    }

    pub fn client(&self) -> reqwest::Client {
        self.http.clone()
    }

    /// SIGTERM, and the exit status.
    pub async fn stop(mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        timeout(START_MAX, self.log.join_next())
            .await
            .expect("it does not stop");
        timeout(START_MAX, self.child.wait())
            .await
            .expect("it does not stop")
            .unwrap()
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Between two looks at a condition.
pub async fn moment() {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.tick().await;
    ticks.tick().await;
}

async fn ready(lines: &mut Lines<BufReader<ChildStderr>>) -> HashMap<String, String> {
    let mut addresses = HashMap::new();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((role, address)) = line
            .trim()
            .split_once(' ')
            .filter(|(_, a)| a.contains("http://"))
        {
            addresses.insert(role.to_owned(), address.trim().to_owned());
        }
        said.push(line);
        if addresses.len() == 5 {
            return addresses;
        }
    }
    panic!("dev ended: {}", said.join("\n"));
}

pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

/// Every `postmaster.pid` below a folder: a server runs there, or was killed.
pub fn postmaster_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.ends_with("postmaster.pid") {
                found.push(path.clone());
            }
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found
}
