//! `spacerent serve`: roles in production.

use std::process::ExitCode;

use anyhow::Context;

use crate::args::Role;
use crate::database::Database;
use crate::listen::Sockets;
use crate::node::Node;
use crate::settings::Settings;
use crate::signal::Stop;
use crate::{log, node};

pub async fn run(settings: Settings, roles: &[Role]) -> anyhow::Result<ExitCode> {
    log::start();
    let roles = if roles.is_empty() { &Role::ALL } else { roles };
    let database =
        Database::given(&settings).context("serve needs DATABASE_URL (or DATABASE_URL_FILE)")?;
    let mut stop = Stop::catch()?;
    let sockets = Sockets::bind(&settings, roles, &[settings.listen_host]).await?;
    let node = Node::start(
        &settings,
        &database,
        roles,
        sockets,
        node::Place::Production,
    )
    .await?;
    let signal = stop.requested().await;
    tracing::info!(signal, "stopping");
    node.stop().await;
    Ok(ExitCode::SUCCESS)
}
