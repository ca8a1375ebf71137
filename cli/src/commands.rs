//! One module a command. Each opens what it needs, does its work, and closes it again.

mod dev;
mod events;
mod jobs;
mod manual;
mod migrate;
mod parked;
mod replay;
mod serve;
mod slices;
mod status;
mod trace;
mod url;
mod watch;

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::settings::Settings;

/// Runs what the command line asks for.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_environment()?;
    let folder = args.data_dir;
    match args.command {
        Command::Dev { fresh } => dev::run(settings, folder, fresh).await,
        Command::Serve { role } => serve::run(settings, &role).await,
        Command::Migrate { rebuild } => migrate::run(&settings, folder, rebuild).await,
        Command::Status { json } => status::run(&settings, folder, json).await,
        Command::Watch { interval } => watch::run(&settings, folder, interval).await,
        Command::Replay(args) => replay::run(&settings, folder, &args).await,
        Command::Events(command) => events::run(&settings, folder, &command).await,
        Command::Parked(command) => parked::run(&settings, folder, command).await,
        Command::Jobs(command) => jobs::run(&settings, folder, command).await,
        Command::Slices(args) => slices::run(&settings, folder, &args).await,
        Command::Trace { asked, json } => trace::run(&settings, folder, &asked, json).await,
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { command } => manual::man(&command),
        Command::Url => url::run(&settings, folder).await,
    }
}
