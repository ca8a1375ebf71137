//! `spacerent status`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use journal::Journal;
use journal::runtime::{SystemClock, SystemRandom};
use journal::status::Status;

use crate::database::Database;
use crate::output;
use crate::settings::Settings;

/// Connections that reading the status takes.
const CONNECTIONS: u32 = 2;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, folder).await?;
    let status = read(&database).await;
    database.close().await?;
    let status = status?;
    if json {
        output::json(&status)?;
    } else {
        output::result(text(&status).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(database: &Database) -> anyhow::Result<Status> {
    let pool = journal::schema::connect(&database.url, CONNECTIONS)?;
    journal::schema::check(&pool).await?;
    let journal = Journal::new(pool.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));
    let status = journal.status().await?;
    pool.close().await;
    Ok(status)
}

fn text(status: &Status) -> String {
    let mut text = format!("head {}   watermark {}\n", status.head, status.watermark);
    if let Some(hole) = &status.hole {
        let _ = write!(
            text,
            "hole {}-{} since {}",
            hole.first, hole.last, hole.since
        );
        if let Some(session) = &hole.blocked_by {
            let _ = write!(
                text,
                ", perhaps kept open by session {} ({}, {} s): {}",
                session.pid, session.state, session.age_seconds, session.query
            );
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{:<12} {:>4} {:>10} {:>8} {:>7} {:>7}  state",
        "follower", "gen", "position", "lag", "lag s", "parked"
    );
    for f in status.followers.iter().chain(&status.generations) {
        let _ = writeln!(
            text,
            "{:<12} {:>4} {:>10} {:>8} {:>7} {:>7}  {}",
            f.name, f.generation, f.position, f.lag_events, f.lag_seconds, f.parked, f.state
        );
    }
    for as_of in &status.as_of {
        let _ = writeln!(
            text,
            "{} as of position {}: schema {}, made {}",
            as_of.name, as_of.position, as_of.schema, as_of.created_at
        );
    }
    let jobs = &status.jobs;
    let _ = writeln!(
        text,
        "jobs: {} due, {} waiting, {} for people, {} timers",
        jobs.due, jobs.waiting, jobs.needs_attention, jobs.timers
    );
    text
}
