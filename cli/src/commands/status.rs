//! `spacerent status`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use journal::status::{FollowerStatus, Status};

use crate::database::on_journal;
use crate::output;
use crate::settings::Settings;

/// The state of a follower whose read model was filled by another version of its fold.
const OUTDATED: &str = "outdated";

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let status = on_journal(settings, folder, async |journal| {
        Ok(known_here(journal.status().await?))
    })
    .await?;
    if json {
        output::json(&status)?;
    } else {
        output::result(text(&status).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells which read models this program would not follow.
pub fn known_here(mut status: Status) -> Status {
    for follower in status.followers.iter_mut().chain(&mut status.generations) {
        let known = projections::by_name(&follower.name).map(|projection| projection.version);
        if follower.version != known {
            OUTDATED.clone_into(&mut follower.state);
        }
    }
    status
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
    for behind in status.followers.iter().filter(|f| f.state == OUTDATED) {
        text.push_str(&remedy(behind));
        text.push('\n');
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

/// What to do about a read model of another version.
fn remedy(behind: &FollowerStatus) -> String {
    let FollowerStatus { name, version, .. } = behind;
    let filled = version.map_or_else(String::new, |version| format!(" {version}"));
    match projections::by_name(name).map(|projection| projection.version) {
        Some(known) if Some(known) > *version => format!(
            "{name} was filled by version{filled} of its fold and stands still; this program knows {known}: run `spacerent replay {name}`"
        ),
        _ => format!(
            "{name} was filled by version{filled} of its fold, which this program does not know: a newer one is needed"
        ),
    }
}
