//! Is a server running on this folder, and does it answer?
//!
//! Neither the process id in a file nor an accepted connection proves it: a killed server's socket still takes
//! connections for a moment, and a frozen one's takes them for ever. Only an answered query counts, within a
//! bound, and only if it comes from this very data folder.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::folder::{Folder, Postmaster};
use crate::processes::Mark;
use crate::{Error, uri, wait};

/// How long a live server may take to answer one query.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// `cannot_connect_now`: the server is starting, recovering or shutting down, and said so itself.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A server that has answered.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) pid: Pid,
    pub(crate) socket_folder: PathBuf,
}

/// What there is on a folder.
#[derive(Debug)]
pub(crate) enum Found {
    /// No live server; perhaps what a dead one left behind.
    Nothing,
    /// A server that says itself that it is on its way up or down.
    Changing,
    /// A server that is alive and says nothing, with what was seen.
    Silent(Postmaster, String),
    /// A server that answers.
    Answering(Running),
}

/// Looks, and asks.
pub(crate) async fn look(folder: &Folder, mark: &Mark) -> Found {
    let live = |postmaster: &Postmaster| mark.owns(postmaster.pid);
    let Some(postmaster) = folder.postmaster().filter(live) else {
        return Found::Nothing;
    };
    let Some(socket_folder) = postmaster.socket_folder.clone() else {
        return Found::Changing;
    };
    let url = uri::of(&socket_folder, "postgres");
    let reason = match wait::timeout(ANSWER_WITHIN, data_folder(&url)).await {
        Ok(Ok(answer)) if answer == folder.data() => {
            // Between reading the file and the answer one server may have followed another.
            let same = folder
                .postmaster()
                .is_some_and(|now| now.pid == postmaster.pid);
            let running = Running {
                pid: postmaster.pid,
                socket_folder,
            };
            return if same {
                Found::Answering(running)
            } else {
                Found::Changing
            };
        }
        Ok(Ok(other)) => format!("its socket is that of the server of {}", other.display()),
        Ok(Err(error)) if says_not_now(&error) => return Found::Changing,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
    };
    Found::Silent(postmaster, reason)
}

/// Connects to `url` and asks the server for its data folder.
async fn data_folder(url: &str) -> Result<PathBuf, sqlx::Error> {
    let mut connection = connect(url).await?;
    let folder: String = sqlx::query_scalar("select current_setting('data_directory')")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(PathBuf::from(folder))
}

/// One connection that logs no statements.
pub(crate) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url)?
        .disable_statement_logging()
        .connect()
        .await
}

/// The same for callers who need an answer of ours.
pub(crate) async fn connect_within(url: &str, within: Duration) -> Result<PgConnection, Error> {
    match wait::timeout(within, connect(url)).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(Error::TooSlow {
            what: "connecting to the local server".to_owned(),
            seconds: within.as_secs(),
        }),
    }
}

fn says_not_now(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == CANNOT_CONNECT_NOW)
}
