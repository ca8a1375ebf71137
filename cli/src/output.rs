//! The only place that prints: results on stdout, everything else on stderr.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

/// One line that says what is wrong, and a status that says so too.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    say(&format!("spacerent: {error:#}"));
    ExitCode::FAILURE
}

/// Progress and remarks, on stderr.
pub fn say(line: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A result, on stdout.
pub fn result(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// A result as one JSON document, on stdout.
pub fn json(document: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)
}
