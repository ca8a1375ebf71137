//! `spacerent migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::replay;
use crate::database::{self, Database, FEW};
use crate::output;
use crate::settings::Settings;
use crate::signal::Stop;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    rebuild: bool,
) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::catch()?;
    let database = Database::make(settings, folder).await?;
    let migrated = migrate(&database, rebuild, &mut stop).await;
    database.close().await?;
    migrated?;
    output::say("the database is up to date");
    Ok(ExitCode::SUCCESS)
}

/// Brings the database up to date; with `rebuild` the read models, too, that another version of their fold has filled.
pub(super) async fn migrate(
    database: &Database,
    rebuild: bool,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    database.migrate().await?;
    let journal = database::journal(database.connect(FEW)?);
    let outdated = projections::outdated(&journal).await;
    journal.pool().close().await;
    for name in outdated? {
        if rebuild {
            let report = replay::rebuild(database, name, stop).await?;
            output::say(&format!(
                "{name}: rebuilt from {} events for this program",
                report.events
            ));
        } else {
            output::say(&format!(
                "{name} was filled by an earlier version of its fold and stands still: run `spacerent replay {name}`, \
                 or `spacerent migrate --rebuild`"
            ));
        }
    }
    Ok(())
}
