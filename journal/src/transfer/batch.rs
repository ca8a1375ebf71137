//! One transaction of an import into an empty journal: a batch of events, and how far the import is with it.

use std::io::BufRead;

use sqlx::{Connection, PgConnection, Row};

use super::TransferError;
use super::copy::Rows;
use super::document::Document;

/// `unique_violation`.
const UNIQUE: &str = "23505";

/// The row that an import keeps of itself.
pub(super) struct Progressed {
    pub(super) id: i64,
    /// How many events are stored, and what their lines hash to.
    pub(super) events: i64,
    pub(super) sha256: Vec<u8>,
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
pub(super) async fn store<R: BufRead>(
    owner: &mut PgConnection,
    rows: &mut Rows,
    behind: i64,
    document: &Document<R>,
    progress: &mut Progressed,
) -> Result<(), TransferError> {
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
    .bind(behind)
    .bind(first)
    .bind(last)
    .execute(&mut *tx)
    .await?;
    let (events, sha256) = (document.events.lines, document.events.sha256());
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
