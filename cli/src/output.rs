//! The only place that prints: results on stdout, everything else on stderr.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};
use std::process::ExitCode;
use std::time::Instant;

use comfy_table::{ContentArrangement, Table, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

/// The status of a command line that cannot be understood, as shells have it.
const USAGE: u8 = 2;

/// A look at a stopwatch, for people: how fast something goes, and nothing is decided by it.
#[expect(
    clippy::disallowed_methods,
    reason = "people who wait for something live in real time"
)]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// What stdout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// One JSON document, also when something went wrong.
    Json,
}

impl Form {
    /// What these arguments ask for, even where they cannot be understood otherwise.
    pub fn asked_for(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut options = arguments
            .into_iter()
            .take_while(|argument| argument != "--");
        if options.any(|argument| argument == "--json") {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// What is printed as JSON when there is no result.
#[derive(Serialize)]
struct Failure<'e> {
    error: &'e str,
}

/// One line that says what is wrong, and a status that says so too.
pub fn failed(error: &anyhow::Error, form: Form) -> ExitCode {
    wrong(&format!("{error:#}"), form);
    ExitCode::FAILURE
}

fn wrong(error: &str, form: Form) {
    say(&format!("spacerent: {error}"));
    if form == Form::Json {
        // Nobody is left to tell when stdout is gone, too.
        let _ = json(&Failure { error });
    }
}

/// What the command line got wrong, in one line; or the help that it asked for.
pub fn usage(error: &clap::Error, form: Form) -> ExitCode {
    let said = error.to_string();
    let Some(said) = said.strip_prefix("error: ") else {
        // Help and version.
        let printed = error.print();
        return if printed.is_ok() && !error.use_stderr() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(USAGE)
        };
    };
    let words = said
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    wrong(&format!("{line}; --help says more"), form);
    ExitCode::from(USAGE)
}

/// The first `limit` of what was found, and whether there was more, which is said.
pub fn at_most<T>(limit: i64, mut found: Vec<T>) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    if more {
        found.truncate(limit);
        say(&format!(
            "spacerent: only the first {limit} are shown; --limit shows more"
        ));
    }
    (found, more)
}

/// Progress and remarks, on stderr.
pub fn say(line: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A result, on stdout. That nobody reads it any more is nothing wrong.
pub fn result(text: &str) -> io::Result<()> {
    heard(writeln!(io::stdout(), "{text}")).map(drop)
}

/// Text of others, as one line that cannot steer a terminal.
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A result as one JSON document, on stdout.
pub fn json(document: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from);
    heard(written.and_then(|()| writeln!(out))).map(drop)
}

/// A result as a table, on stdout: as wide as what is in it, for eyes and for `grep`.
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for row in rows {
        // A reason may have line ends of its own.
        table.add_row(row.map(|cell| plain(&cell)));
    }
    for line in table.lines() {
        result(line.trim())?;
    }
    Ok(())
}

/// Whether somebody still reads what we print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as we know.
    Listens,
    /// The pipe is closed: there is nobody to print for, and nothing is wrong.
    Gone,
}

/// Results as lines on stdout, for a reader who may leave before the end.
pub struct Lines(BufWriter<Stdout>);

impl Lines {
    /// Nothing printed yet.
    pub fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Prints a line, now or with a later one.
    pub fn write(&mut self, line: &str) -> io::Result<Reader> {
        heard(writeln!(self.0, "{line}"))
    }

    /// Prints what is still to be printed.
    pub fn flush(&mut self) -> io::Result<Reader> {
        heard(self.0.flush())
    }

    /// Whether the pipe is closed, without printing: who only waits would never find out.
    pub fn reader_is_gone(&self) -> bool {
        let stdout = io::stdout();
        let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
        let answered = poll(&mut asked, Some(&Timespec::default()));
        let closed = PollFlags::ERR | PollFlags::HUP;
        answered.is_ok() && asked[0].revents().intersects(closed)
    }
}

fn heard(printed: io::Result<()>) -> io::Result<Reader> {
    match printed {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}
