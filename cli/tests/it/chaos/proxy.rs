//! A TCP proxy before the database that hangs up in the middle of a commit: before the server has it, or after the
//! server has committed and before the client knows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use local_postgres::testing::timeout;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::server::moment;

/// How a server's socket is called in its folder.
const SOCKET: &str = ".s.PGSQL.5432";
/// Within this time a commit comes by.
const CUT_MAX: Duration = Duration::from_secs(10);

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of the commit.
    Before = 1,
    /// The server has committed, and the client does not hear of it.
    After = 2,
}

/// Gone when dropped.
pub struct Proxy {
    port: u16,
    database: String,
    user: String,
    /// The cut that is armed, or 0.
    cut: Arc<AtomicU8>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Before the server of a URI that names a socket's folder.
    pub async fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let server = options.get_socket().unwrap().join(SOCKET);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, server, Arc::clone(&cut)));
        Self {
            port,
            database: options.get_database().unwrap().to_owned(),
            user: options.get_username().to_owned(),
            cut,
            _task: task,
        }
    }

    /// The URI of the same database, through the proxy.
    pub fn url(&self) -> String {
        let Self {
            port,
            database,
            user,
            ..
        } = self;
        format!("postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Cuts the connection of the next commit, and waits until that was done; false when nothing was committed.
    pub async fn cut(&self, cut: Cut) -> bool {
        self.cut.store(cut as u8, Ordering::SeqCst);
        let done = async {
            while self.cut.load(Ordering::SeqCst) != 0 {
                moment().await;
            }
        };
        let done = timeout(CUT_MAX, done).await.is_ok();
        self.cut.store(0, Ordering::SeqCst);
        done
    }
}

async fn accept(listener: TcpListener, server: PathBuf, cut: Arc<AtomicU8>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // A server that is away is that for our clients, too.
        if let Ok(server) = UnixStream::connect(&server).await {
            let line = Line {
                append: None,
                cut: Arc::clone(&cut),
            };
            connections.spawn(line.carry(client, server));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection.
struct Line {
    /// How the statement is called that appends; it commits by itself.
    append: Option<Vec<u8>>,
    cut: Arc<AtomicU8>,
}

impl Line {
    /// Carries bytes both ways until somebody hangs up, or the line is cut.
    async fn carry(mut self, mut client: TcpStream, mut server: UnixStream) {
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            let carried = tokio::select! {
                read = client.read(&mut asked) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => {
                        let cut = self.commits(&asked[..bytes]).then(|| self.cut.swap(0, Ordering::SeqCst));
                        if cut == Some(Cut::Before as u8) {
                            return;
                        }
                        let sent = server.write_all(&asked[..bytes]).await;
                        if cut == Some(Cut::After as u8) {
                            // Its answer is there: the commit is done, or was refused.
                            let _ = server.read(&mut answered).await;
                            return;
                        }
                        sent
                    }
                },
                read = server.read(&mut answered) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => client.write_all(&answered[..bytes]).await,
                },
            };
            if carried.is_err() {
                return;
            }
        }
    }

    /// Whether these bytes have the server commit: `COMMIT` of a transaction, or an append.
    fn commits(&mut self, asked: &[u8]) -> bool {
        if self.append.is_none() {
            self.append = prepared_append(asked);
        }
        let bound = |name: &Vec<u8>| asked.first() == Some(&b'B') && find(asked, name).is_some();
        find(asked, b"COMMIT\0").is_some() || self.append.as_ref().is_some_and(bound)
    }
}

/// The name, with the zero behind it, of the statement that appends, if it is prepared here.
fn prepared_append(asked: &[u8]) -> Option<Vec<u8>> {
    let text = find(asked, b"journal_append(")?;
    // Parse: name, zero, text.
    let end = asked[..text].iter().rposition(|byte| *byte == 0)?;
    let start = asked[..end]
        .windows(5)
        .rposition(|bytes| bytes == b"sqlx_")?;
    Some(asked[start..=end].to_vec())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|found| found == wanted)
}
