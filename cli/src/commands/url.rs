//! `spacerent url`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::database::Database;
use crate::output;
use crate::settings::Settings;

pub async fn run(settings: &Settings, folder: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let database = Database::find(settings, folder).await?;
    output::result(&database.owner_url)?;
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}
