//! `spacerent events`.

mod line;
mod tail;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::events::EventsCommand;
use crate::settings::Settings;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    command: &EventsCommand,
) -> anyhow::Result<ExitCode> {
    match command {
        EventsCommand::Tail(args) => tail::run(settings, folder, args).await,
    }
}
