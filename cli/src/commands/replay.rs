//! `spacerent replay NAME`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use journal::runtime::{SystemClock, Tokio};
use projections::rebuild::{self, Report};

use crate::database::Database;
use crate::output;
use crate::settings::Settings;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    name: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, folder).await?;
    let report = rebuild::replay(&database.owner_url, name, Arc::new(SystemClock), Arc::new(Tokio)).await;
    database.close().await?;
    let report = report?;
    if json {
        output::json(&report)?;
    } else {
        output::result(&text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report) -> String {
    format!(
        "{}: {} events into {} rows in {:.1} s ({} events/s), verified and switched at position {}; {} rows differed from the old ones",
        report.projection, report.events, report.rows, report.seconds, report.events_per_second,
        report.to_position, report.differences.len()
    )
}
