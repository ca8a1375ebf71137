//! `spacerent status`.

mod lines;

use std::path::PathBuf;
use std::process::ExitCode;

use journal::status::Status;

use crate::database::look_at_journal;
use crate::output;
use crate::settings::Settings;

pub use lines::{Line, Tone, lines};

/// The state of a follower whose read model was filled by another version of its fold.
const OUTDATED: &str = "outdated";

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let status = look_at_journal(settings, folder, async |journal| {
        Ok(known_here(journal.status().await?))
    })
    .await?;
    if json {
        output::json(&status)?;
    } else {
        for line in lines(&status) {
            output::result(&line.text)?;
        }
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
