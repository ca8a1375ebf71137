//! `spacerent migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::database::Database;
use crate::output;
use crate::settings::Settings;

pub async fn run(settings: &Settings, folder: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, folder).await?;
    let migrated = database.migrate().await;
    database.close().await?;
    migrated?;
    output::say("the database is up to date");
    Ok(ExitCode::SUCCESS)
}
