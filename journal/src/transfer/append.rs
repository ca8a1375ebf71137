//! Adds a file's bookings to a journal that has others: under new positions, in one transaction.
//!
//! It is all or nothing, so there is nothing to go on with, and no half of it to be seen. Writers wait meanwhile:
//! the positions must be one piece, so that it can be said of it what its saga had done. Streams, event ids and
//! command ids that are here already are refused.

use std::io::BufRead;

use sqlx::{Connection, PgConnection, Row};

use super::TransferError;
use super::copy::Rows;
use super::document::{Document, Entry};
use super::import::{BATCH_BYTES_MAX, Import, finish_state};
use super::report::ImportReport;
use super::session::lock_events;
use super::settle::{Part, Settling};

/// The file's events while they are looked at. `position` is the file's.
const INCOMING: &str = "
    create temporary table incoming (
        aggregate_type text, aggregate_id text, sequence bigint, event_type text, event_version text,
        payload jsonb, metadata jsonb, position bigint, event_id uuid, command_id uuid, recorded_at timestamptz
    ) on commit drop";

/// What is in the file and here already: the first of each kind, in words.
const COLLISIONS: &str = "
    (select 'stream ' || i.aggregate_type || ' ' || i.aggregate_id as what
     from incoming i join events e using (aggregate_type, aggregate_id) limit 1)
    union all
    (select 'event id ' || i.event_id from incoming i join events e using (event_id) limit 1)
    union all
    (select 'command id ' || i.command_id from incoming i join commands c using (command_id) limit 1)";

pub(super) async fn append<R: BufRead>(
    import: &Import<'_>,
    owner: &mut PgConnection,
    mut document: Document<R>,
) -> Result<ImportReport, TransferError> {
    let source = document.header.identity();
    let mut tx = owner.begin().await?;
    sqlx::raw_sql(INCOMING).execute(&mut *tx).await?;
    let next = copy(import, &mut tx, &mut document).await?;
    sqlx::raw_sql("analyze incoming").execute(&mut *tx).await?;
    no_gap(&mut tx).await?;
    lock_events(&mut tx).await?;
    no_import_under_way(&mut tx).await?;
    let collision: Option<String> = sqlx::query_scalar(COLLISIONS)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(collision) = collision {
        return Err(TransferError::Collision(collision));
    }
    let left_out = if matches!(next, Entry::Cut) {
        leave_last_command_out(&mut tx).await?
    } else {
        0
    };
    let events = document.events.lines - left_out;
    let part = number(&mut tx, events).await?;
    let mut settling = Settling::within(tx, part);
    let truncated = finish_state(&mut settling, &mut document, next).await?;
    let settled = settling.derive(import.numbers(truncated)).await?;
    // The saga's position in the file is a number of events here.
    let acted_to: i64 =
        sqlx::query_scalar("select $1 - 1 + count(*) from incoming where position <= $2")
            .bind(part.first)
            .bind(settled.acted_to)
            .fetch_one(settling.connection())
            .await?;
    let payments_held = import.hold_payments || truncated;
    settling.late_calls(payments_held).await?;
    sqlx::query(
        "insert into imports (source, source_epoch, header_sha256, events, events_sha256, first_position,
                              last_position, acted_to, payments_held, finished_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())",
    )
    .bind(source.uuid)
    .bind(source.epoch)
    .bind(&document.header_sha256)
    .bind(events)
    .bind(document.events.sha256())
    .bind(part.first)
    .bind(part.last)
    .bind(acted_to)
    .bind(payments_held)
    .execute(settling.connection())
    .await?;
    let identity = settling.identity().await?;
    settling.commit().await?;
    Ok(ImportReport {
        source: source.to_string(),
        journal: identity.to_string(),
        events,
        events_left_out: left_out,
        events_before: 0,
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

/// Copies the file's events into `incoming`; returns what stands behind the last one.
async fn copy<R: BufRead>(
    import: &Import<'_>,
    connection: &mut PgConnection,
    document: &mut Document<R>,
) -> Result<Entry, TransferError> {
    let mut rows = Rows::default();
    loop {
        let entry = document.next()?;
        let full = match &entry {
            Entry::Event(event) => {
                rows.push(event);
                rows.count >= import.batch_max || rows.bytes() >= BATCH_BYTES_MAX
            }
            _ => true,
        };
        if full && !rows.is_empty() {
            let last = rows.last_position;
            rows.copy_into("incoming", connection).await?;
            import.told.moved(document.events.lines, last, 0);
        }
        if !matches!(entry, Entry::Event(_)) {
            return Ok(entry);
        }
        if import.stop.is_cancelled() {
            return Err(TransferError::Stopped);
        }
    }
}

/// Every stream of the file begins with 1 and has no gap.
async fn no_gap(connection: &mut PgConnection) -> Result<(), TransferError> {
    let gap = sqlx::query(
        "select position, stream, before, sequence from (
             select position, aggregate_type || ' ' || aggregate_id as stream, sequence,
                    row_number() over (partition by aggregate_type, aggregate_id order by position) as wanted,
                    sequence - 1 as before
             from incoming
         ) s where sequence <> wanted order by position limit 1",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = gap else { return Ok(()) };
    Err(TransferError::Gap {
        position: row.try_get("position")?,
        stream: row.try_get("stream")?,
        before: row.try_get("before")?,
        sequence: row.try_get("sequence")?,
    })
}

/// The last command of a cut file may have had more events than are here; returns how many were.
async fn leave_last_command_out(connection: &mut PgConnection) -> Result<i64, TransferError> {
    let mut first: Option<i64> = sqlx::query_scalar("select max(position) from incoming")
        .fetch_one(&mut *connection)
        .await?;
    loop {
        // Commands that have events behind it too are left out whole.
        let earlier: Option<i64> = sqlx::query_scalar(
            "select min(position) from incoming
             where command_id in (select command_id from incoming where position >= $1)",
        )
        .bind(first)
        .fetch_one(&mut *connection)
        .await?;
        if earlier == first {
            break;
        }
        first = earlier;
    }
    let left_out = sqlx::query("delete from incoming where position >= $1")
        .bind(first)
        .execute(connection)
        .await?;
    Ok(i64::try_from(left_out.rows_affected()).unwrap_or(i64::MAX))
}

/// What is half imported cannot be added to. A look of its own: the session is one that the database lets through.
async fn no_import_under_way(connection: &mut PgConnection) -> Result<(), TransferError> {
    let unfinished =
        sqlx::query("select source, source_epoch from imports where finished_at is null")
            .fetch_optional(connection)
            .await?;
    let Some(row) = unfinished else { return Ok(()) };
    Err(TransferError::OtherImport(crate::Identity {
        uuid: row.try_get("source")?,
        epoch: row.try_get("source_epoch")?,
    }))
}

/// Stores the events under positions of this journal, in one piece and in the file's order.
async fn number(connection: &mut PgConnection, events: i64) -> Result<Part, TransferError> {
    // Nobody else draws a position: the table is locked, and numbers are drawn behind that lock.
    let before: i64 = sqlx::query_scalar(
        "select greatest(
             coalesce(pg_sequence_last_value(pg_get_serial_sequence('events', 'position')::regclass), 0),
             coalesce((select max(position) from events), 0)
         )",
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                             position, event_id, command_id, recorded_at)
         overriding system value
         select aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                $1 + row_number() over (order by position), event_id, command_id, recorded_at
         from incoming order by position",
    )
    .bind(before)
    .execute(connection)
    .await?;
    Ok(Part {
        first: before + 1,
        last: before + events,
    })
}
