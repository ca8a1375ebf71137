//! `spacerent completions` and `spacerent man`: made from the command line's own definition.

use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::output;

/// Completions for a shell, on stdout.
pub fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "spacerent", &mut script);
    output::result(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The manual page of a command, on stdout; of the whole program when none is named.
pub fn man(path: &[String]) -> anyhow::Result<ExitCode> {
    let mut program = Args::command();
    // Gives every command below its full name.
    program.build();
    let command = path.iter().try_fold(&program, |command, name| {
        let below = command.find_subcommand(name);
        below.with_context(|| format!("there is no command `{}`", path.join(" ")))
    })?;
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    output::result(String::from_utf8(page)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
