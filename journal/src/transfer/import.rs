//! Fills an empty journal from a file, position for position.
//!
//! Batches of events are copied in, each in a transaction of its own with the row that says how far the import is,
//! so a killed one goes on behind its last batch, after it has seen that the file begins as it did then. The last
//! transaction derives what follows from events and makes the import known ([`super::settle`]). Until then the
//! database refuses everybody else's events and every follower's step (migrations/0016).
//!
//! A file is read to its end and checked before anything is stored; what comes as a stream is checked as it comes.
//!
//! Memory is one batch, whatever the file's size.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use sqlx::{Connection, PgConnection, Row};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::append::append;
use super::batch::{Batch, Progressed, same_beginning, store};
use super::document::{Document, Entry};
use super::line::State;
use super::report::ImportReport;
use super::session::{forget, lock_events, prepare};
use super::settle::{Numbers, Part, Settling};
use super::{Progress, TransferError};
use crate::Identity;
use crate::schema::connect_as_owner;

/// Events of one transaction, unless it is told otherwise.
pub const BATCH_MAX: i64 = 10_000;
/// The same in bytes of COPY's text, for large events.
pub(super) const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events that are checked in one go.
const CHECK_LINES: i64 = 1_000;
/// How far booking numbers jump ahead of a file without a footer: numbers that were given behind its end name charges
/// at the payment company.
const NUMBERS_BEHIND_CUT: i64 = 10_000;

/// Where a file comes from.
pub enum Source {
    /// Checked as a whole before anything is stored.
    File(PathBuf),
    /// Checked as it comes.
    Stream(Box<dyn BufRead>),
}

/// How to import.
pub struct Import<'a> {
    /// The database, as the owner of its tables.
    pub owner_url: &'a str,
    /// Add to a journal that has events, under new positions.
    pub append: bool,
    /// Take a file that has no footer for what is there of it.
    pub allow_truncated: bool,
    /// Leave charges and refunds without an outcome to people.
    pub hold_payments: bool,
    /// The next booking has at least this number; by default the one behind the file's last.
    pub next_booking: Option<i64>,
    /// Events of one transaction; a command is not divided.
    pub batch_max: i64,
    /// Who is told.
    pub told: &'a dyn Progress,
    /// Ends the import after a batch; it can be gone on with.
    pub stop: CancellationToken,
}

impl Import<'_> {
    /// Imports everything.
    ///
    /// # Errors
    /// [`TransferError`]; an import into an empty journal that was begun is gone on with by the same call.
    pub async fn run(&self, source: Source) -> Result<ImportReport, TransferError> {
        let imported = self.import(source).await;
        match imported {
            // Whoever reads for us gave up because of it.
            Err(TransferError::Stream(_)) if self.stop.is_cancelled() => {
                Err(TransferError::Stopped)
            }
            imported => imported,
        }
    }

    async fn import(&self, source: Source) -> Result<ImportReport, TransferError> {
        match source {
            Source::File(path) => {
                let truncated = !check(self.document(&path)?).await?;
                let mut document = self.document(&path)?;
                if truncated && !self.allow_truncated {
                    document.read_to_end()?;
                    return Err(self.truncated(&document));
                }
                self.fill(document).await
            }
            Source::Stream(_) if self.append => Err(TransferError::AppendsFile),
            Source::Stream(input) => self.fill(Document::open(input)?).await,
        }
    }

    fn document(&self, path: &PathBuf) -> Result<Document<BufReader<File>>, TransferError> {
        let file = File::open(path).map_err(|error| TransferError::File(path.clone(), error))?;
        Document::open(BufReader::new(file))
    }

    fn truncated<R: BufRead>(&self, document: &Document<R>) -> TransferError {
        TransferError::Truncated {
            events: document.events.lines,
            position: document.last_position,
        }
    }

    async fn fill<R: BufRead>(&self, document: Document<R>) -> Result<ImportReport, TransferError> {
        let mut owner = connect_as_owner(self.owner_url).await?;
        prepare(&mut owner).await?;
        let filled = if self.append {
            append(self, &mut owner, document).await
        } else {
            self.fill_empty(&mut owner, document).await
        };
        // What an abandoned transaction left is rolled back by the server.
        let closed = owner.close().await;
        let report = filled?;
        closed?;
        Ok(report)
    }

    async fn fill_empty<R: BufRead>(
        &self,
        owner: &mut PgConnection,
        mut document: Document<R>,
    ) -> Result<ImportReport, TransferError> {
        let mut progress = self.begin(owner, &document).await?;
        let events_before = progress.events;
        if events_before > 0 {
            self.told.remark(&format!(
                "going on behind event {events_before}, which an interrupted import stored"
            ));
        }
        let filled = self
            .fill_claimed(owner, &mut document, &mut progress, events_before)
            .await;
        if filled.is_err() && progress.events == 0 {
            // Nothing was stored: the journal is as empty as it was, and free again.
            forget(owner, progress.id).await?;
        }
        filled
    }

    async fn fill_claimed<R: BufRead>(
        &self,
        owner: &mut PgConnection,
        document: &mut Document<R>,
        progress: &mut Progressed,
        events_before: i64,
    ) -> Result<ImportReport, TransferError> {
        let copied = self.copy(owner, document, progress).await?;
        let part = Part {
            first: document.header.first_position,
            last: copied.last_position,
        };
        let mut settling = Settling::begin(owner, part).await?;
        let truncated = finish_state(&mut settling, document, copied.next)
            .await
            .map_err(|error| match error {
                TransferError::Collision(what) => TransferError::NotFree(what),
                other => other,
            })?;
        if truncated && !self.allow_truncated {
            return Err(self.truncated(document));
        }
        self.told.remark("deriving command ids and answers");
        let settled = settling.derive(self.numbers(truncated)).await?;
        settling.renew_identity().await?;
        // What any run was asked to hold stays held.
        let payments_held: bool = sqlx::query_scalar(
            "update imports set acted_to = $2, payments_held = payments_held or $3, first_position = $4,
                    last_position = $5, finished_at = clock_timestamp()
             where id = $1
             returning payments_held",
        )
        .bind(progress.id)
        .bind(settled.acted_to)
        .bind(self.hold_payments || truncated)
        .bind(part.first)
        .bind(part.last)
        .fetch_one(settling.connection())
        .await?;
        settling.late_calls(payments_held).await?;
        let identity = settling.identity().await?;
        settling.commit().await?;
        let analyzed = sqlx::raw_sql("analyze events, commands").execute(owner);
        if let Err(error) = analyzed.await {
            self.told.remark(&format!(
                "everything is imported, but `analyze events, commands` failed, and the first queries may be slow: {error}"
            ));
        }
        Ok(ImportReport {
            source: document.header.identity().to_string(),
            journal: identity.to_string(),
            events: progress.events,
            events_left_out: copied.left_out,
            events_before,
            first_position: part.first,
            last_position: part.last,
            commands: settled.commands,
            claims: settled.claims,
            jobs: settled.jobs,
            next_booking: settled.next_booking,
            truncated,
            payments_held,
        })
    }

    pub(super) fn numbers(&self, truncated: bool) -> Numbers {
        match self.next_booking {
            Some(next) => Numbers::From(next),
            None if truncated => Numbers::Ahead(NUMBERS_BEHIND_CUT),
            None => Numbers::Ahead(0),
        }
    }

    /// Claims the empty journal for this import, or finds the one that was interrupted.
    async fn begin<R: BufRead>(
        &self,
        owner: &mut PgConnection,
        document: &Document<R>,
    ) -> Result<Progressed, TransferError> {
        let mut tx = owner.begin().await?;
        // Whoever is adding events has ended, and whoever comes next finds the row.
        lock_events(&mut tx).await?;
        let unfinished = sqlx::query(
            "select id, source, source_epoch, header_sha256, events, events_sha256 from imports
             where finished_at is null",
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = unfinished {
            let progress = Progressed {
                id: row.try_get("id")?,
                events: row.try_get("events")?,
                sha256: row.try_get("events_sha256")?,
            };
            if row.try_get::<Vec<u8>, _>("header_sha256")? == document.header_sha256 {
                return Ok(progress);
            }
            if progress.events > 0 {
                let uuid: Uuid = row.try_get("source")?;
                let epoch = row.try_get("source_epoch")?;
                return Err(TransferError::OtherImport(Identity { uuid, epoch }));
            }
            forget(&mut tx, progress.id).await?;
        }
        // A follower that is ahead of an empty journal would pass over what is imported.
        let used: bool = sqlx::query_scalar(
            "select exists (select from events) or exists (select from followers where position > 0)",
        )
        .fetch_one(&mut *tx)
        .await?;
        if used {
            return Err(TransferError::NotEmpty);
        }
        let sha256 = document.events.sha256();
        let (header, first) = (&document.header, document.header.first_position);
        let id = sqlx::query_scalar(
            "insert into imports (source, source_epoch, header_sha256, events_sha256,
                                  first_position, last_position, payments_held)
             values ($1, $2, $3, $4, $5, $5 - 1, $6) returning id",
        )
        .bind(header.journal)
        .bind(header.epoch)
        .bind(&document.header_sha256)
        .bind(&sha256)
        .bind(first)
        .bind(self.hold_payments)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Progressed {
            id,
            events: 0,
            sha256,
        })
    }

    /// Copies the events that are not here yet.
    async fn copy<R: BufRead>(
        &self,
        owner: &mut PgConnection,
        document: &mut Document<R>,
        progress: &mut Progressed,
    ) -> Result<Copied, TransferError> {
        let mut batch = Batch::new(document.last_position);
        loop {
            same_beginning(document, progress)?;
            let event = match document.next()? {
                Entry::Event(event) => event,
                next => return self.copy_last(owner, document, progress, batch, next).await,
            };
            if document.events.lines <= progress.events {
                batch.pass(document);
                continue;
            }
            if batch.ends_before(&event, self.batch_max, BATCH_BYTES_MAX) {
                store(owner, &mut batch, progress).await?;
                self.told.moved(progress.events, batch.behind, 0);
                if self.stop.is_cancelled() {
                    return Err(TransferError::Stopped);
                }
            }
            batch.push(&event, document);
        }
    }

    /// Copies what is left when `next` stands behind the last event.
    async fn copy_last<R: BufRead>(
        &self,
        owner: &mut PgConnection,
        document: &Document<R>,
        progress: &mut Progressed,
        mut batch: Batch,
        next: Entry,
    ) -> Result<Copied, TransferError> {
        // The file may be shorter than what was imported of it.
        if document.events.lines < progress.events {
            return Err(TransferError::OtherEvents(progress.events));
        }
        let left_out = if matches!(next, Entry::Cut) {
            batch.leave_last_command_out()
        } else {
            0
        };
        if !batch.is_empty() {
            store(owner, &mut batch, progress).await?;
            self.told.moved(progress.events, batch.behind, 0);
        }
        Ok(Copied {
            next,
            last_position: batch.behind,
            left_out,
        })
    }
}

/// What became of a file's events.
struct Copied {
    /// What stands behind the last one.
    next: Entry,
    /// Where the last one that is stored stands.
    last_position: i64,
    /// How many were not stored, because their command may have had more.
    left_out: i64,
}

/// Reads to the end; says whether the footer was there. Others have their turn now and then: a second signal, say.
async fn check<R: BufRead>(mut document: Document<R>) -> Result<bool, TransferError> {
    loop {
        match document.next()? {
            Entry::Event(_) if document.events.lines % CHECK_LINES == 0 => {
                tokio::task::yield_now().await;
            }
            Entry::Event(_) | Entry::State(_) => {}
            Entry::Whole => return Ok(true),
            Entry::Cut => return Ok(false),
        }
    }
}

/// Takes what stands behind the last event, beginning with `next`; says whether the footer is missing.
pub(super) async fn finish_state<R: BufRead>(
    settling: &mut Settling<'_>,
    document: &mut Document<R>,
    mut next: Entry,
) -> Result<bool, TransferError> {
    loop {
        match next {
            Entry::State(State::Acted(acted)) => settling.acted(acted.to_position),
            Entry::State(State::Venue(venue)) => settling.venue(venue).await?,
            Entry::State(State::Claim(claim)) => settling.claim(claim).await?,
            Entry::State(State::Job(job)) => settling.job(job).await?,
            Entry::Whole => return Ok(false),
            // Whatever state is there of a cut file may be only some of it.
            Entry::Cut => {
                settling.forget_acted();
                return Ok(true);
            }
            // The document refuses an event behind state, and the caller read up to the last one.
            Entry::Event(_) => {}
        }
        next = document.next()?;
    }
}
