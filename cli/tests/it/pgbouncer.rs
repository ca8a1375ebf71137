//! A PgBouncer of one test's own, which lends sessions for a transaction at a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use local_postgres::testing::timeout;
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::server::{Folder, moment};

/// Within this time it listens.
const START_MAX: Duration = Duration::from_secs(10);
/// How many sessions it has to lend: fewer than its clients want at once.
pub const SESSIONS: usize = 6;

/// A running PgBouncer; it ends with this value.
pub struct PgBouncer {
    _child: Child,
    _folder: Folder,
    url: String,
}

impl PgBouncer {
    /// In front of the database at `url`. `None`, said on stderr, where it is not installed; there must be one where
    /// `CI` is set.
    pub async fn before(test: &str, url: &str, more: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{test}: pgbouncer is not installed"
            );
            // Past the test harness, which keeps what is printed to itself.
            let said = writeln!(
                std::io::stderr(),
                "SKIPPED {test}: pgbouncer is not installed"
            );
            said.unwrap();
            return None;
        };
        let options: PgConnectOptions = url.parse().unwrap();
        let socket = options.get_socket().unwrap();
        let folder = Folder::new();
        let port = free_port().await;
        let configuration = folder.path().join("pgbouncer.ini");
        std::fs::write(&configuration, ini(&options, socket, port, more)).unwrap();
        let mut command = Command::new(program);
        // It refuses to be root; who owns the server's socket can use it.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", &owner_of(socket)]);
        }
        let child = command
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                moment().await;
            }
        };
        timeout(START_MAX, listening)
            .await
            .expect("pgbouncer does not listen");
        let database = options.get_database().unwrap();
        Some(Self {
            _child: child,
            _folder: folder,
            url: format!("postgresql://anybody@127.0.0.1:{port}/{database}?sslmode=disable"),
        })
    }

    /// The same database through it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join("pgbouncer"))
        .find(|file| file.is_file())
}

/// Sessions are handed out in turn, so that nobody gets the same one twice by luck.
fn ini(options: &PgConnectOptions, socket: &Path, port: u16, more: &[(&str, &str)]) -> String {
    let (host, server, user) = (socket.display(), options.get_port(), options.get_username());
    let mut ini = format!(
        "[databases]\n* = host={host} port={server} user={user}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 300\nserver_round_robin = 1\n"
    );
    for (name, value) in more {
        writeln!(ini, "{name} = {value}").unwrap();
    }
    ini
}

fn owner_of(file: &Path) -> String {
    let uid = std::fs::metadata(file).unwrap().uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap()
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
