//! `spacerent replay NAME`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use journal::Journal;
use journal::runtime::{SystemClock, SystemRandom, Tokio};
use projections::rebuild::{self, Goal, Report};

use crate::args::ReplayArgs;
use crate::database::Database;
use crate::output;
use crate::settings::Settings;

/// Connections that a rebuild takes besides the owner's.
const CONNECTIONS: u32 = 4;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &ReplayArgs,
) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, folder).await?;
    let report = rebuild(&database, args).await;
    database.close().await?;
    let report = report?;
    if args.json {
        output::json(&report)?;
    } else {
        output::result(&text(&report))?;
    }
    // A rebuild heals differences; a comparison reports them.
    let clean = !args.verify || report.differences_total == 0;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn rebuild(database: &Database, args: &ReplayArgs) -> anyhow::Result<Report> {
    let pool = journal::schema::connect(&database.url, CONNECTIONS)?;
    journal::schema::check(&pool).await?;
    let journal = Journal::new(pool.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));
    let (owner, name) = (&database.owner_url, &args.name);
    let report = if args.rollback {
        rebuild::roll_back(owner, &journal, &Tokio, name).await
    } else {
        let goal = if args.verify {
            Goal::Compare
        } else {
            Goal::Switch
        };
        rebuild::replay(owner, &journal, &Tokio, name, goal).await
    };
    pool.close().await;
    Ok(report?)
}

fn text(report: &Report) -> String {
    let done = match (report.verified, report.switched) {
        (true, true) => "verified and switched",
        (true, false) => "verified, not switched",
        (false, true) => "switched back",
        (false, false) => "not switched",
    };
    let mut text = format!(
        "{}: {} events, {} rows, {:.1} s ({} events/s); {done} at position {}; {} rows differed from the live ones",
        report.projection,
        report.events,
        report.rows,
        report.seconds,
        report.events_per_second,
        report.to_position,
        report.differences_total
    );
    for difference in &report.differences {
        text.push_str(&format!(
            "\n  {} {}: live {} rebuilt {}",
            difference.table, difference.key, difference.live, difference.rebuilt
        ));
    }
    text
}
