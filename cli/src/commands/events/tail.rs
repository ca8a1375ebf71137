//! `spacerent events tail`: the journal's feed as lines, ordered and lossless.
//!
//! [`Tail::step`] reads one page and prints it; [`Tail::run`] is the loop around it. The reader writes nothing to
//! the database, so what it waits for is said on stderr.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use journal::feed::{Feed, Span};
use journal::runtime::{Runtime, SystemClock, SystemRandom, Tokio};
use journal::transfer::TransferError;
use journal::{Identity, Journal, StoreError, notify, schema};
use tokio_util::sync::CancellationToken;

use super::line::Writer;
use crate::args::events::TailArgs;
use crate::database::Database;
use crate::output::{self, Lines, Reader};
use crate::settings::Settings;
use crate::signal::Stop;

/// Connections: one reads, one listens for wake-ups, one draws transaction ids.
const CONNECTIONS: u32 = 3;
/// Events of one read, at most.
const PAGE_MAX: i64 = 500;
/// How many events are shown when nothing else is asked for.
const LAST_DEFAULT: i64 = 10;
/// How long we wait for news without being woken.
const POLL: Duration = Duration::from_millis(250);
/// Between two looks at a hole.
const HOLD: Duration = Duration::from_millis(20);
/// After so many looks at one hole it is said, and a reader who does not follow ends: a second.
const HOLD_LOOKS_MAX: u32 = 50;
/// Between two tries while the database is away.
const RETRY: Duration = Duration::from_millis(500);
/// How long a follower puts up with a database that is away.
const OUTAGE_MAX_S: i64 = 60;
/// What it reads.
const TABLES: &str = "journal, events, dead_spans, _sqlx_migrations";
/// `insufficient_privilege`.
const MAY_NOT: &str = "42501";

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &TailArgs,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::catch()?.token(&Tokio);
    let database = Database::open(settings, folder).await?;
    let tailed = tail(&database, args, stop).await;
    let closed = database.close().await;
    tailed.map_err(|error| explain(error, TABLES))?;
    closed?;
    Ok(ExitCode::SUCCESS)
}

async fn tail(database: &Database, args: &TailArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let pool = database.connect_to_read(CONNECTIONS)?;
    schema::check(&pool).await?;
    let journal = Journal::new(pool.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));
    let tail = Tail::begin(&journal, args, stop.clone()).await?;
    let hear = notify::run(journal.clone(), Arc::new(Tokio), stop.clone());
    let tailed = tokio::select! {
        biased;
        tailed = tail.run() => tailed,
        () = hear, if args.follow => Ok(()),
    };
    pool.close().await;
    tailed
}

/// A login that lacks a grant is told which: on `tables`.
pub(super) fn explain(error: anyhow::Error, tables: &str) -> anyhow::Error {
    let sqlstate = error.chain().find_map(|cause| {
        let store = cause.downcast_ref::<StoreError>();
        let schema = cause.downcast_ref::<schema::SchemaError>();
        let transfer = cause.downcast_ref::<TransferError>();
        match (store, schema, transfer) {
            (Some(error), _, _)
            | (_, Some(schema::SchemaError::Store(error)), _)
            | (_, _, Some(TransferError::Store(error))) => error.sqlstate(),
            _ => None,
        }
    });
    if sqlstate == Some(MAY_NOT) {
        return error.context(format!(
            "this login may not read the journal (as the owner: `grant select on {tables} to LOGIN`)"
        ));
    }
    error
}

/// What to do after a step.
enum Next {
    Look,
    Wait { pause: Duration, wakes: bool },
    End,
}

/// A reader on its way.
struct Tail {
    journal: Journal,
    /// Which journal the printed positions are of.
    identity: Identity,
    feed: Feed,
    stop: CancellationToken,
    writer: Writer,
    lines: Lines,
    follow: bool,
    /// Everything up to here is printed.
    position: i64,
    /// Where it ends when it does not follow: the head at the start.
    until: i64,
    /// How many lines may still be printed.
    left: u64,
    /// The hole that we wait at, and how often we looked at it.
    held: Option<(Span, u32)>,
    away_since: Option<Timestamp>,
}

impl Tail {
    async fn begin(
        journal: &Journal,
        args: &TailArgs,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let identity = journal.identity().await?;
        if let Some(wanted) = &args.journal
            && *wanted != identity.to_string()
        {
            bail!(
                "this is journal {identity}, not {wanted}: its positions mean other events; begin again with --from 0"
            );
        }
        let writer = Writer::new(
            args.format,
            args.time_zone.clone(),
            identity,
            *journal.events(),
        );
        let head = journal.head().await?;
        let position = match args.from {
            Some(from) if from > head => bail!(
                "position {from} is ahead of this journal, which ends at {head}: it is from another one, \
                 or from before a restore; begin again with --from 0"
            ),
            Some(from) => from,
            None => {
                let last = args.last.unwrap_or(LAST_DEFAULT);
                journal.before_last(last, writer.names()).await?
            }
        };
        Ok(Self {
            journal: journal.clone(),
            identity,
            feed: Feed::observer(journal.clone()),
            stop,
            writer,
            lines: Lines::new(),
            follow: args.follow,
            position,
            until: if args.follow { i64::MAX } else { head },
            left: args.limit.unwrap_or(u64::MAX),
            held: None,
            away_since: None,
        })
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let mut wake = self.journal.wake();
        while !stop.is_cancelled() && self.position < self.until {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = self.step() => next,
            };
            let next = match next {
                Ok(next) => next,
                Err(error) => self.away(error).with_context(|| {
                    format!("everything up to position {} is printed", self.position)
                })?,
            };
            match next {
                Next::Look => {}
                Next::End => break,
                Next::Wait { pause, wakes } => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = wake.woken(), if wakes => {}
                    () = Tokio.sleep(pause) => {}
                },
            }
        }
        Ok(())
    }

    /// Reads a page and prints it. Cancelled while it reads, it has printed nothing.
    async fn step(&mut self) -> anyhow::Result<Next> {
        let page = self.feed.read_stored(self.position, PAGE_MAX).await?;
        self.away_since = None;
        if !page.items.is_empty() && self.journal.identity().await? != self.identity {
            bail!(
                "this journal has become another one, by an import or a restore: positions printed so far are of {}; \
                 begin again with --from 0",
                self.identity
            );
        }
        for event in &page.items {
            if self.stop.is_cancelled() || event.position > self.until {
                self.lines.flush()?;
                return Ok(Next::End);
            }
            let lines = match self.writer.lines(event) {
                Ok(lines) => lines,
                Err(error) => {
                    self.lines.flush()?;
                    return Err(error);
                }
            };
            // All lines of a position, also beyond the limit: whoever goes on behind it must have had them.
            for line in lines {
                self.left = self.left.saturating_sub(1);
                if self.lines.write(&line)? == Reader::Gone {
                    return Ok(Next::End);
                }
            }
            self.position = event.position;
            if self.left == 0 {
                self.lines.flush()?;
                return Ok(Next::End);
            }
        }
        if self.lines.flush()? == Reader::Gone || self.lines.reader_is_gone() {
            return Ok(Next::End);
        }
        self.position = page.position;
        Ok(match page.hole {
            Some(hole) => self.hold(hole),
            None if page.items.is_empty() => Next::Wait {
                pause: POLL,
                wakes: true,
            },
            None => Next::Look,
        })
    }

    /// Waits at a hole. It is never passed: who does not follow ends before it.
    fn hold(&mut self, hole: Span) -> Next {
        let looks = match self.held {
            Some((held, looks)) if held == hole => looks.saturating_add(1),
            _ => 1,
        };
        self.held = Some((hole, looks));
        if looks == HOLD_LOOKS_MAX {
            let Span { first, last } = hole;
            let goes_on = if self.follow {
                "waiting".to_owned()
            } else {
                format!("the rest comes with --from {}", self.position)
            };
            output::say(&format!(
                "spacerent: positions {first} to {last} may still be written by a transaction that has not ended; {goes_on}"
            ));
            if !self.follow {
                return Next::End;
            }
        }
        Next::Wait {
            pause: HOLD,
            wakes: false,
        }
    }

    /// A follower waits for a database that went away, within bounds; everybody else ends.
    fn away(&mut self, error: anyhow::Error) -> anyhow::Result<Next> {
        let transient = error
            .downcast_ref::<StoreError>()
            .is_some_and(StoreError::is_transient);
        if !self.follow || !transient {
            return Err(error);
        }
        let now = self.journal.clock().now();
        let since = match self.away_since {
            Some(since) => since,
            None => {
                output::say(&format!("spacerent: {error:#}; trying again"));
                *self.away_since.insert(now)
            }
        };
        if now.as_second() - since.as_second() > OUTAGE_MAX_S {
            return Err(error);
        }
        Ok(Next::Wait {
            pause: RETRY,
            wakes: false,
        })
    }
}
