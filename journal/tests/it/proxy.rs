//! A proxy before the database that can swallow the server's answers and hang up: what happened is committed,
//! and the client does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a server's socket is called in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// Gone when dropped.
pub(crate) struct Proxy {
    folder: TempDir,
    database: String,
    user: String,
    line: Arc<Line>,
    _task: JoinSet<()>,
}

/// What all connections go by.
struct Line {
    swallows: AtomicBool,
    /// How many connections there were.
    accepted: AtomicU32,
    /// How many of them have gone silent.
    silent: AtomicU32,
    cuts: watch::Sender<u32>,
}

impl Proxy {
    /// Before the server of a URI that names a socket's folder.
    pub(crate) fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let server = options.get_socket().unwrap().join(SOCKET);
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let line = Arc::new(Line {
            swallows: AtomicBool::new(false),
            accepted: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            cuts: watch::Sender::new(0),
        });
        let mut task = JoinSet::new();
        let of_task = Arc::clone(&line);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let number = of_task.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(pump(number, client, server, Arc::clone(&of_task)));
            }
        });
        Self {
            folder,
            database: options.get_database().unwrap().to_owned(),
            user: options.get_username().to_owned(),
            line,
            _task: task,
        }
    }

    /// The URI of the same database, through the proxy.
    pub(crate) fn url(&self) -> String {
        let Self { database, user, .. } = self;
        let folder = self.folder.path().display();
        format!("postgresql:///{database}?host={folder}&port=5432&user={user}&sslmode=disable")
    }

    /// From now on the server's answers go nowhere.
    pub(crate) fn swallow_answers(&self) {
        self.line.swallows.store(true, Ordering::SeqCst);
    }

    /// From now on the connections of now stay open and answer nothing; later ones work.
    pub(crate) fn silence(&self) {
        let accepted = self.line.accepted.load(Ordering::SeqCst);
        self.line.silent.store(accepted, Ordering::SeqCst);
    }

    /// How many connections were made so far.
    pub(crate) fn accepted(&self) -> u32 {
        self.line.accepted.load(Ordering::SeqCst)
    }

    /// Hangs up on everybody; later connections work again.
    pub(crate) fn cut(&self) {
        self.line.swallows.store(false, Ordering::SeqCst);
        self.line.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Line {
    fn swallows(&self, number: u32) -> bool {
        self.swallows.load(Ordering::SeqCst) || number < self.silent.load(Ordering::SeqCst)
    }
}

/// Carries bytes both ways until somebody hangs up.
async fn pump(number: u32, mut client: UnixStream, mut server: UnixStream, line: Arc<Line>) {
    let mut cut = line.cuts.subscribe();
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let carried = tokio::select! {
            biased;
            _ = cut.changed() => return,
            read = client.read(&mut asked) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => server.write_all(&asked[..bytes]).await,
            },
            read = server.read(&mut answered) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if line.swallows(number) => Ok(()),
                Ok(bytes) => client.write_all(&answered[..bytes]).await,
            },
        };
        if carried.is_err() {
            return;
        }
    }
}
