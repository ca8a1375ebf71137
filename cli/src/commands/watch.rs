//! `spacerent watch`: the status again and again.
//!
//! [`view`] keeps what was seen and says it in lines; [`screen`] is the terminal. A database that goes away while
//! it runs is said and waited for; one that is away at the start is an error like everywhere.

mod screen;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use journal::Journal;
use journal::runtime::{Runtime, Tokio};

use super::status::known_here;
use crate::database::look_at_journal;
use crate::output::{Lines, Reader};
use crate::settings::Settings;
use crate::signal::Stop;
use screen::Screen;
use view::{Seen, View};

/// How many events are read for a screen: as many as a tall one shows.
const LATEST_MAX: i64 = 100;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    interval_seconds: u64,
) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::catch()?;
    let every = Duration::from_secs(interval_seconds);
    look_at_journal(settings, folder, async |journal| {
        let first = look(&journal).await?;
        if std::io::stdout().is_terminal() {
            show(&journal, first, every, &mut stop).await
        } else {
            log(&journal, first, every, &mut stop).await
        }
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn look(journal: &Journal) -> anyhow::Result<Seen> {
    Ok(Seen {
        at: journal.clock().now(),
        status: known_here(journal.status().await?),
        latest: journal.latest(LATEST_MAX).await?,
    })
}

/// On a screen, until `q`, Esc, Ctrl-C or SIGTERM.
async fn show(
    journal: &Journal,
    first: Seen,
    every: Duration,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let mut view = View::new(first);
    let mut screen = Screen::take()?;
    let mut keys = EventStream::new();
    loop {
        // A database that does not answer keeps nobody from ending.
        let next = async {
            Tokio.sleep(every).await;
            look(journal).await
        };
        let mut next = std::pin::pin!(next);
        let looked = loop {
            screen.show(&view)?;
            tokio::select! {
                biased;
                asked = asked(stop, &mut keys) => if asked == Asked::End { return Ok(()) },
                looked = &mut next => break looked,
            }
        };
        view.see(looked);
    }
}

/// What somebody at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Repaint,
    End,
}

async fn asked(stop: &mut Stop, keys: &mut EventStream) -> Asked {
    tokio::select! {
        biased;
        _ = stop.requested() => Asked::End,
        event = keys.next() => match event {
            Some(Ok(Event::Key(key))) if ends(key) => Asked::End,
            // A new size, for one.
            Some(Ok(_)) => Asked::Repaint,
            // The terminal is gone.
            Some(Err(_)) | None => Asked::End,
        },
    }
}

fn ends(key: KeyEvent) -> bool {
    let quits = match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    };
    quits && key.kind == KeyEventKind::Press
}

/// As lines, until Ctrl-C, SIGTERM, or until nobody reads any more.
async fn log(
    journal: &Journal,
    first: Seen,
    every: Duration,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let mut view = View::new(first);
    let mut lines = Lines::new();
    loop {
        let written = lines.write(&view.in_short())?;
        if written == Reader::Gone || lines.flush()? == Reader::Gone {
            return Ok(());
        }
        tokio::select! {
            biased;
            _ = stop.requested() => return Ok(()),
            () = Tokio.sleep(every) => {}
        }
        view.see(look(journal).await);
    }
}
