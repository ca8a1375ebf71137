//! `spacerent events`.

mod export;
mod import;
mod input;
mod line;
mod progress;
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
        EventsCommand::Export(args) => export::run(settings, folder, args).await,
        EventsCommand::Import(args) => import::run(settings, folder, args).await,
    }
}
