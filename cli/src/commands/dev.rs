//! `spacerent dev`: everything in one process, on loopback, with a Postgres of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use super::migrate;
use crate::args::Role;
use crate::database::Database;
use crate::listen::Sockets;
use crate::node::Node;
use crate::settings::{Settings, Store};
use crate::signal::Stop;
use crate::{log, node, output};

/// `localhost` is either of these.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Where `dev` keeps My Page when it is to be in a file, in the data folder.
const MYPAGE_FILE: &str = "mypage.sqlite";

pub async fn run(
    mut settings: Settings,
    folder: Option<PathBuf>,
    fresh: bool,
) -> anyhow::Result<ExitCode> {
    log::start();
    let mut stop = Stop::catch()?;
    // Ports first: a second `dev --fresh` must not empty the database under the one that runs.
    let sockets = Sockets::bind(&settings, &Role::ALL, &LOOPBACK).await?;
    if settings.mypage_store == Store::Sqlite && settings.mypage_sqlite_file.is_none() {
        let folder = folder
            .clone()
            .unwrap_or_else(local_postgres::default_folder);
        settings.mypage_sqlite_file = Some(folder.join(MYPAGE_FILE));
    }
    let database = Database::make(&settings, folder).await?;
    let outcome = run_on(&settings, &database, sockets, fresh, &mut stop).await;
    let closed = database.close().await;
    outcome?;
    closed?;
    Ok(ExitCode::SUCCESS)
}

async fn run_on(
    settings: &Settings,
    database: &Database,
    sockets: Sockets,
    fresh: bool,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    if fresh {
        database.make_fresh().await?;
    }
    // Nobody plans an upgrade of a development server: what a new program cannot read is rebuilt before it starts.
    migrate::migrate(database, true, stop).await?;
    let addresses = sockets.addresses();
    let node = Node::start(
        settings,
        database,
        &Role::ALL,
        sockets,
        node::Place::Development,
    )
    .await?;
    output::say("spacerent is ready:");
    for (name, address) in addresses {
        output::say(&format!("  {name:<8} http://{address}"));
    }
    if let (Store::Sqlite, Some(file)) = (settings.mypage_store, &settings.mypage_sqlite_file) {
        output::say(&format!("  mypage is kept in {}", file.display()));
    }
    let signal = stop.requested().await;
    tracing::info!(signal, "stopping");
    node.stop().await;
    Ok(())
}
