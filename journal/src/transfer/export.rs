//! Writes a journal into a file or a stream, by the feed's rule: in order, and nothing passed over.
//!
//! Memory is one page of events, whatever the journal's size.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::line::{Acted, Claimed, FORMAT, Header, State, VERSION};
use super::output::{Begun, Place, Writer};
use super::{Progress, TransferError};
use crate::feed::{Feed, Span};
use crate::follow::FollowerId;
use crate::runtime::Runtime;
use crate::{Identity, Journal};

/// Events of one read.
const PAGE_MAX: i64 = 1_000;
/// Events between two marks, unless it is told otherwise.
pub const MARK_EVERY: i64 = 1_000;
/// Between two looks at a hole.
const HOLD: Duration = Duration::from_millis(20);
/// After so many looks at one hole it is said: a second.
const HOLD_LOOKS_SAID: u32 = 50;
/// After so many it is not waited for any longer: ten seconds.
const HOLD_LOOKS_MAX: u32 = 500;

/// Where to write.
pub enum Target {
    /// From the beginning, once.
    Stream(Box<dyn Write + Send>),
    /// A file; one that is there is gone on with.
    File(PathBuf),
}

/// What to write, and who is told.
pub struct Export<'a> {
    /// Which journal.
    pub journal: &'a Journal,
    /// The follower whose reactions must not be repeated where the journal is imported: the saga's.
    pub acting: FollowerId,
    /// Begin with this position; the file's own when there is one, else the first.
    pub from: Option<i64>,
    /// End with this position; else with the last one at the start.
    pub to: Option<i64>,
    /// Events between two marks: what is written again after a kill, at most.
    pub mark_every: i64,
    /// For waits.
    pub runtime: &'a dyn Runtime,
    /// Who is told.
    pub told: &'a dyn Progress,
    /// Ends the export after a page; a file can be gone on with.
    pub stop: CancellationToken,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The journal, as `uuid/epoch`.
    pub journal: String,
    /// Events written by this run.
    pub events: i64,
    /// Events in the file.
    pub events_total: i64,
    /// Where the first of them may stand.
    pub first_position: i64,
    /// Where the last of them stands.
    pub last_position: i64,
    /// Over their lines, in hex.
    pub sha256: String,
    /// Whether a file was gone on with, and whether that was an unfinished one.
    pub resumed: Option<Resumed>,
}

/// What was found in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resumed {
    /// An export that did not come to its end.
    Unfinished,
    /// A whole one.
    Finished,
}

/// What the database says at the start.
struct Start {
    identity: Identity,
    /// Everything that follows from events up to here was done before `head` was read.
    acted_to: i64,
    head: i64,
    at: Timestamp,
}

impl Export<'_> {
    /// Writes everything up to the end that was asked for.
    ///
    /// # Errors
    /// [`TransferError`]; a file is left so that the same call goes on with it.
    pub async fn run(&self, target: Target) -> Result<Exported, TransferError> {
        let start = self.start().await?;
        let (mut writer, resumed, first_position) = match target {
            Target::Stream(out) => {
                let header = self.header(&start);
                let first = header.first_position;
                (Writer::stream(out, header)?, None, first)
            }
            Target::File(path) => self.open(path, &start).await?,
        };
        let before = writer.events.lines;
        let until = self.end(&start).await?;
        let written = self.whole_commands(&mut writer, until).await;
        if let Err(error) = written {
            // Whatever is there stays, for the next run to go on with; what went wrong first is what is said.
            let _ = writer.settle();
            return Err(error);
        }
        self.whole().await?;
        self.state(&mut writer, &start, first_position).await?;
        let footer = writer.finish(self.journal.clock().now())?;
        Ok(Exported {
            journal: start.identity.to_string(),
            events: footer.events - before,
            events_total: footer.events,
            first_position,
            last_position: footer.last_position,
            sha256: footer.sha256,
            resumed,
        })
    }

    async fn start(&self) -> Result<Start, TransferError> {
        self.whole().await?;
        let identity = self.journal.identity().await?;
        // Before the head: what the saga's reactions left up to here stands at or before it.
        let acted_to = self.journal.dealt_with(&self.acting).await?;
        let head = self.journal.head().await?;
        let from = self.from.unwrap_or(1);
        match self.to {
            Some(to) if from > to => return Err(TransferError::NoRange { from, to }),
            _ if from > head + 1 => return Err(TransferError::BehindHead { from, head }),
            _ => {}
        }
        Ok(Start {
            identity,
            acted_to,
            head,
            at: self.journal.clock().now(),
        })
    }

    /// Half an import would look like a whole journal.
    async fn whole(&self) -> Result<(), TransferError> {
        match self.journal.unfinished_import().await? {
            Some(unfinished) => Err(TransferError::HalfImported(unfinished)),
            None => Ok(()),
        }
    }

    fn header(&self, start: &Start) -> Header {
        Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            journal: start.identity.uuid,
            epoch: start.identity.epoch,
            first_position: self.from.unwrap_or(1),
            exported_at: start.at,
        }
    }

    async fn open(
        &self,
        path: PathBuf,
        start: &Start,
    ) -> Result<(Writer, Option<Resumed>, i64), TransferError> {
        let place = Place::open(&path)?;
        let mut header = self.header(start);
        let mut resumed = None;
        if let Some(begun) = &place.begun {
            self.check(begun, start).await?;
            header = begun.header.clone();
            resumed = Some(if begun.finished {
                Resumed::Finished
            } else {
                Resumed::Unfinished
            });
        }
        let first_position = header.first_position;
        Ok((place.writer(header)?, resumed, first_position))
    }

    /// Whether what stands in a file is the beginning of what is asked for.
    async fn check(&self, begun: &Begun, start: &Start) -> Result<(), TransferError> {
        let (file, here) = (begun.header.identity(), start.identity);
        if file != here {
            return Err(TransferError::OtherJournal { file, here });
        }
        let first = begun.header.first_position;
        if self.from.is_some_and(|from| from != first) {
            return Err(TransferError::OtherBeginning { file: first });
        }
        let position = begun.vouched.last_position;
        let Some(event_id) = begun.vouched.last_event_id else {
            return Ok(());
        };
        if self.to.is_some_and(|to| to < position) {
            return Err(TransferError::BeyondEnd { file: position });
        }
        let there: Option<uuid::Uuid> =
            sqlx::query_scalar("select event_id from events where position = $1")
                .bind(position)
                .fetch_optional(self.journal.pool())
                .await?;
        if there != Some(event_id) {
            return Err(TransferError::Ahead { file: position });
        }
        Ok(())
    }

    /// The last position to write. A command that goes on behind it is left out whole: where the file is imported it
    /// would be known as one that did half of what it did.
    async fn end(&self, start: &Start) -> Result<i64, TransferError> {
        let Some(to) = self.to.filter(|to| *to < start.head) else {
            return Ok(start.head);
        };
        let mut until = to;
        while let Some(command) = self.journal.command_across(until).await? {
            until = command.first - 1;
        }
        if until < to {
            self.told.remark(&format!(
                "a command goes on behind position {to}: ending before it, at position {until}"
            ));
        }
        Ok(until)
    }

    /// Writes up to `until`, and the rest of commands whose transaction ended only meanwhile.
    async fn whole_commands(
        &self,
        writer: &mut Writer,
        mut until: i64,
    ) -> Result<(), TransferError> {
        loop {
            self.events(writer, until).await?;
            let Some(command) = self.journal.command_across(until).await? else {
                return Ok(());
            };
            until = command.last;
        }
    }

    async fn events(&self, writer: &mut Writer, until: i64) -> Result<(), TransferError> {
        let mut feed = Feed::observer(self.journal.clone());
        let mut position = writer.last_position;
        let mut held = (None, 0);
        while position < until {
            if self.stop.is_cancelled() {
                return Err(TransferError::Stopped);
            }
            let page = feed.read_stored(position, PAGE_MAX).await?;
            for event in page
                .items
                .iter()
                .take_while(|event| event.position <= until)
            {
                writer.event(event)?;
                if writer.events.lines % self.mark_every == 0 {
                    writer.mark()?;
                }
            }
            self.told
                .moved(writer.events.lines, page.position.min(until), until);
            let stood = page.position == position;
            position = page.position;
            match page.hole {
                Some(hole) if stood => self.hold(hole, &mut held).await?,
                // Between the last row below `until` and `until` there is nothing any more.
                None if stood => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits at a hole for a while. It is never passed.
    async fn hold(&self, hole: Span, held: &mut (Option<Span>, u32)) -> Result<(), TransferError> {
        let looks = if held.0 == Some(hole) { held.1 + 1 } else { 1 };
        *held = (Some(hole), looks);
        let Span { first, last } = hole;
        if looks == HOLD_LOOKS_SAID {
            self.told.remark(&format!(
                "positions {first} to {last} may still be written by a transaction that has not ended; waiting"
            ));
        }
        if looks >= HOLD_LOOKS_MAX {
            return Err(TransferError::Hole { first, last });
        }
        self.runtime.sleep(HOLD).await;
        Ok(())
    }

    async fn state(
        &self,
        writer: &mut Writer,
        start: &Start,
        first: i64,
    ) -> Result<(), TransferError> {
        let last = writer.last_position;
        let file = first..=last;
        // A file that ends before the head may lack what the saga's reactions left behind its end.
        if last >= start.head && start.acted_to > 0 {
            let to_position = start.acted_to.min(last);
            writer.state(State::Acted(Acted { to_position }))?;
        }
        let mut after = String::new();
        loop {
            let venues = self.journal.kept_venues(&after).await?;
            let Some(last) = venues.last() else { break };
            after.clone_from(&last.spacename);
            for venue in venues {
                writer.state(State::Venue(venue))?;
            }
        }
        let mut after: Option<Claimed> = None;
        loop {
            let claims = self.journal.claims(after.as_ref(), &file).await?;
            if claims.is_empty() {
                break;
            }
            after = claims.last().cloned();
            for claim in claims {
                writer.state(State::Claim(claim))?;
            }
        }
        let mut after = 0;
        loop {
            let jobs = self.journal.jobs_of_people(after, &file).await?;
            let Some((row, _)) = jobs.last() else { break };
            after = *row;
            for (_, job) in jobs {
                writer.state(State::Job(job))?;
            }
        }
        Ok(())
    }
}
