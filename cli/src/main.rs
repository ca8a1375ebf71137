//! Starts. The one binary, `spacerent`: reads the command line and the environment, wires the parts together,
//! and says in one line what is wrong when something is.

mod args;
mod clock;
mod commands;
mod database;
#[cfg(debug_assertions)]
mod fail_points;
mod listen;
mod log;
mod node;
mod output;
mod settings;
mod signal;

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use output::Form;

fn main() -> ExitCode {
    let form = Form::asked_for(std::env::args_os());
    #[cfg(debug_assertions)]
    fail_points::obey();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return output::usage(&error, form),
    };
    // Both reqwest and sqlx find the provider that is installed first; without one, the first client panics.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return output::failed(&anyhow!("a second TLS provider was installed"), form);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&error.into(), form),
    };
    match runtime.block_on(commands::run(args)) {
        Ok(code) => code,
        Err(error) => output::failed(&error, form),
    }
}
