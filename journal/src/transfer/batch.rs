//! One transaction of an import into an empty journal: a batch of whole commands, and how far the import is with it.

use std::collections::HashSet;
use std::io::BufRead;

use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use super::TransferError;
use super::copy::Rows;
use super::document::Document;
use super::tally::Tally;
use crate::feed::Stored;

/// `unique_violation`.
const UNIQUE: &str = "23505";

/// The row that an import keeps of itself.
pub(super) struct Progressed {
    pub(super) id: i64,
    /// How many events are stored, and what their lines hash to.
    pub(super) events: i64,
    pub(super) sha256: Vec<u8>,
}

/// Events that are stored together.
pub(super) struct Batch {
    rows: Rows,
    /// One for each row.
    members: Vec<Member>,
    /// The file's lines up to the last row, or up to what is stored.
    counted: Tally,
    /// The position of the last event that is stored.
    pub(super) behind: i64,
}

/// A row, and what stands before it.
struct Member {
    command_id: Uuid,
    bytes: usize,
    counted: Tally,
    position: i64,
}

impl Batch {
    pub(super) fn new(behind: i64) -> Self {
        Self {
            rows: Rows::default(),
            members: Vec::new(),
            counted: Tally::new(),
            behind,
        }
    }

    /// An event that is here already.
    pub(super) fn pass<R: BufRead>(&mut self, document: &Document<R>) {
        self.counted = document.events.clone();
        self.behind = document.last_position;
    }

    pub(super) fn push<R: BufRead>(&mut self, event: &Stored, document: &Document<R>) {
        let counted = std::mem::replace(&mut self.counted, document.events.clone());
        self.members.push(Member {
            command_id: event.command_id,
            bytes: self.rows.bytes(),
            counted,
            position: self.rows.last_position,
        });
        self.rows.push(event);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is enough in it, and `next` begins another command.
    pub(super) fn ends_before(&self, next: &Stored, count_max: i64, bytes_max: usize) -> bool {
        let full = self.rows.count >= count_max || self.rows.bytes() >= bytes_max;
        full && !self
            .members
            .iter()
            .any(|member| member.command_id == next.command_id)
    }

    /// The first row of the last command, and of commands that have events behind it.
    fn begin_of_last_command(&self) -> usize {
        let mut first = self.members.len().saturating_sub(1);
        loop {
            let (before, behind) = self.members.split_at(first);
            let behind: HashSet<Uuid> = behind.iter().map(|member| member.command_id).collect();
            match before
                .iter()
                .position(|member| behind.contains(&member.command_id))
            {
                Some(earlier) => first = earlier,
                None => return first,
            }
        }
    }

    /// Takes back the last command, of which there may be more events than the file has; returns how many were here.
    pub(super) fn leave_last_command_out(&mut self) -> i64 {
        let first = self.begin_of_last_command();
        let mut left = self.members.drain(first..);
        let Some(begin) = left.next() else { return 0 };
        let left_out = 1 + left.len();
        drop(left);
        let (kept, left_out) = (count(first), count(left_out));
        self.rows.truncate(kept, begin.bytes, begin.position);
        self.counted = begin.counted;
        left_out
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Where the interrupted import ended, the file's lines must hash to what they did then.
pub(super) fn same_beginning<R: BufRead>(
    document: &Document<R>,
    progress: &Progressed,
) -> Result<(), TransferError> {
    if document.events.lines == progress.events && document.events.sha256() != progress.sha256 {
        return Err(TransferError::OtherEvents(progress.events));
    }
    Ok(())
}

/// One batch: events, the dead positions between them, and how far the import is.
pub(super) async fn store(
    owner: &mut PgConnection,
    batch: &mut Batch,
    progress: &mut Progressed,
) -> Result<(), TransferError> {
    let rows = &mut batch.rows;
    let (first, last) = (rows.first_position, rows.last_position);
    let mut tx = owner.begin().await?;
    match rows.copy_into("events", &mut tx).await {
        Err(TransferError::Store(error)) if error.sqlstate() == Some(UNIQUE) => {
            return Err(TransferError::Twice {
                position: last,
                what: "an event of this batch".to_owned(),
            });
        }
        copied => copied?,
    }
    no_gap(&mut tx, first, last).await?;
    // No row will ever come between these: followers need no proof of their own.
    sqlx::query(
        "insert into dead_spans (first_position, last_position, proof, proved_by)
         select g.before + 1, g.position - 1, pg_current_xact_id(), 'import'
         from (
             select position, lag(position, 1, $1) over (order by position) as before
             from events where position between $2 and $3
         ) g
         where g.position > g.before + 1",
    )
    .bind(batch.behind)
    .bind(first)
    .bind(last)
    .execute(&mut *tx)
    .await?;
    let (events, sha256) = (batch.counted.lines, batch.counted.sha256());
    sqlx::query(
        "update imports set events = $2, events_sha256 = $3, last_position = $4 where id = $1",
    )
    .bind(progress.id)
    .bind(events)
    .bind(&sha256)
    .bind(last)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    (progress.events, progress.sha256) = (events, sha256);
    batch.behind = last;
    batch.members.clear();
    Ok(())
}

/// Every event that was copied stands behind its predecessor.
async fn no_gap(connection: &mut PgConnection, first: i64, last: i64) -> Result<(), TransferError> {
    let gap = sqlx::query(
        "select e.position, e.aggregate_type || ' ' || e.aggregate_id as stream, e.sequence
         from events e
         where e.position between $1 and $2 and e.sequence > 1 and not exists (
             select from events p
             where p.aggregate_type = e.aggregate_type and p.aggregate_id = e.aggregate_id
               and p.sequence = e.sequence - 1 and p.position < e.position
         )
         order by e.position limit 1",
    )
    .bind(first)
    .bind(last)
    .fetch_optional(connection)
    .await?;
    let Some(row) = gap else { return Ok(()) };
    let sequence: i64 = row.try_get("sequence")?;
    Err(TransferError::Gap {
        position: row.try_get("position")?,
        stream: row.try_get("stream")?,
        before: sequence - 1,
        sequence,
    })
}
