//! The last transaction of an import: what is beside the events, and what follows from them.
//!
//! Command ids and their answers are derived: a command is recorded exactly when it stored events, and its answer is
//! where these stand. So are the slots of bookings whose events tell of one; balances of points are sums over
//! the events.

mod jobs;

use sqlx::postgres::PgQueryResult;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use uuid::Uuid;

use super::TransferError;
use super::line::{Claimed, KeptVenue};
use crate::{Identity, StoreError};

/// Memory for sorting and grouping: an import has the machine for itself.
const WORK_MEM: &str = "set local work_mem = '64MB'";
/// Bookings whose events, of those between two positions, tell of their slot.
const TOLD: &str =
    "events where aggregate_type = 'Book' and event_type = 'Booked' and position between $1 and $2
    and payload #>> '{slot,unit}' is not null";
/// `exclusion_violation` and `unique_violation`.
const TAKEN: [&str; 2] = ["23P01", "23505"];

/// The positions that the imported events have.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Where the numbers of bookings go on.
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    /// So many behind the last booking of the file.
    Ahead(i64),
    /// With this one, unless the file has it.
    From(i64),
}

/// What came of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Settled {
    pub(super) acted_to: i64,
    pub(super) commands: i64,
    pub(super) claims: i64,
    pub(super) jobs: i64,
    pub(super) next_booking: i64,
}

/// The transaction.
pub(super) struct Settling<'c> {
    tx: Transaction<'c, Postgres>,
    part: Part,
    settled: Settled,
    /// The rows of searches for late calls.
    late: Vec<i64>,
}

impl<'c> Settling<'c> {
    pub(super) async fn begin(
        owner: &'c mut PgConnection,
        part: Part,
    ) -> Result<Self, TransferError> {
        let tx = Connection::begin(owner).await?;
        Ok(Self::within(tx, part))
    }

    /// In a transaction that is under way.
    pub(super) fn within(tx: Transaction<'c, Postgres>, part: Part) -> Self {
        Self {
            tx,
            part,
            settled: Settled::default(),
            late: vec![],
        }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Up to here the saga of the source had acted, in positions of the file.
    pub(super) fn acted(&mut self, to_position: i64) {
        self.settled.acted_to = to_position;
    }

    pub(super) fn forget_acted(&mut self) {
        self.settled.acted_to = 0;
    }

    /// A venue that is here already stays what it is; its units must be the same, because slots are named by them.
    pub(super) async fn venue(&mut self, kept: KeptVenue) -> Result<(), TransferError> {
        let KeptVenue {
            spacename,
            venue,
            units,
            changes,
        } = kept;
        for (rows, json) in [
            (
                "insert into venues select * from jsonb_populate_record(null::venues, $1)",
                venue,
            ),
            (
                "insert into venue_units overriding system value
                 select * from jsonb_populate_recordset(null::venue_units, $1)",
                units.clone(),
            ),
            (
                "insert into venue_changes select * from jsonb_populate_recordset(null::venue_changes, $1)",
                changes,
            ),
        ] {
            sqlx::query(&format!("{rows} on conflict do nothing"))
                .bind(Json(json))
                .execute(&mut *self.tx)
                .await?;
        }
        let others: bool = sqlx::query_scalar(
            "select exists (
                 select from jsonb_populate_recordset(null::venue_units, $1) k
                 where not exists (
                     select from venue_units u where (u.unit, u.spacename, u.unit_no) = (k.unit, k.spacename, k.unit_no)
                 )
             )",
        )
        .bind(Json(units))
        .fetch_one(&mut *self.tx)
        .await?;
        if others {
            let what = format!("a unit of venue {spacename:?}, or its number");
            return Err(TransferError::Collision(what));
        }
        Ok(())
    }

    /// Takes the slot of a booking, unless its events tell of one. The claims of a file were read page by page beside
    /// bookings that came and went, so two of them may be one slot; what the events tell is of one moment.
    pub(super) async fn claim(&mut self, claim: Claimed) -> Result<(), TransferError> {
        let what = format!("the slot of booking {}", claim.bookid);
        let claimed = sqlx::query(&format!(
            "insert into slot_claims (bookid, unit, during)
             select $3, $4, $5::text::tstzrange
             where not exists (select from {TOLD} and aggregate_id = $3::text)"
        ))
        .bind(self.part.first)
        .bind(self.part.last)
        .bind(claim.bookid)
        .bind(claim.unit)
        .bind(claim.during)
        .execute(&mut *self.tx)
        .await;
        self.settled.claims += count(&taken(claimed, what)?);
        Ok(())
    }

    /// Derives command ids with their answers, and moves the counters past what is there.
    pub(super) async fn derive(&mut self, numbers: Numbers) -> Result<Settled, TransferError> {
        sqlx::raw_sql(WORK_MEM).execute(&mut *self.tx).await?;
        self.no_event_twice().await?;
        self.settled.commands = self.commands().await?;
        self.settled.claims += self.slots().await?;
        // Sequences are not rolled back; that they are ahead then is an ordinary dead span.
        sqlx::query(
            "select setval(pg_get_serial_sequence('events', 'position'), $1)
             where $1 > 0
               and $1 > coalesce(pg_sequence_last_value(pg_get_serial_sequence('events', 'position')::regclass), 0)",
        )
        .bind(self.part.last)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query(
            "select setval(pg_get_serial_sequence('venue_units', 'unit'), last) from (
                 select max(unit) as last from venue_units
             ) n
             where last > coalesce(pg_sequence_last_value(pg_get_serial_sequence('venue_units', 'unit')::regclass), 0)",
        )
        .execute(&mut *self.tx)
        .await?;
        self.settled.next_booking = self.number_from(numbers).await?;
        Ok(self.settled)
    }

    /// Moves the counter of bookings; returns the number that comes next.
    async fn number_from(&mut self, numbers: Numbers) -> Result<i64, TransferError> {
        let (ahead, from) = match numbers {
            Numbers::Ahead(ahead) => (ahead, 1),
            Numbers::From(from) => (0, from),
        };
        let last: i64 = sqlx::query_scalar(
            "select greatest(n.last + $3, $4 - 1, coalesce(pg_sequence_last_value('book_ids'), 0))
             from (
                 select coalesce(max(aggregate_id::bigint), 0) as last from events
                 where position between $1 and $2 and sequence = 1 and aggregate_id ~ '^[1-9][0-9]{0,17}$'
             ) n",
        )
        .bind(self.part.first)
        .bind(self.part.last)
        .bind(ahead)
        .bind(from)
        .fetch_one(&mut *self.tx)
        .await?;
        sqlx::query("select setval('book_ids', $1) where $1 > 0")
            .bind(last)
            .execute(&mut *self.tx)
            .await?;
        Ok(last + 1)
    }

    /// Follow-up commands are named after event ids: two events with one id would be one command.
    async fn no_event_twice(&mut self) -> Result<(), TransferError> {
        let twice = sqlx::query(
            "select event_id, max(position) as position from events where position between $1 and $2
             group by event_id having count(*) > 1 limit 1",
        )
        .bind(self.part.first)
        .bind(self.part.last)
        .fetch_optional(&mut *self.tx)
        .await?;
        let Some(row) = twice else { return Ok(()) };
        let event_id: Uuid = row.try_get("event_id")?;
        Err(TransferError::Twice {
            position: row.try_get("position")?,
            what: format!("event id {event_id}"),
        })
    }

    /// The answers are those of `journal_append` (migrations/0023).
    async fn commands(&mut self) -> Result<i64, TransferError> {
        let derived = sqlx::query(
            "insert into commands (command_id, answer, recorded_at)
             select s.command_id,
                    jsonb_build_object(
                        'position', max(s.position),
                        'streams', jsonb_agg(jsonb_build_object(
                            'type', s.aggregate_type, 'id', s.aggregate_id, 'version', s.version
                        ) order by s.aggregate_type, s.aggregate_id)
                    ),
                    max(s.recorded_at)
             from (
                 select command_id, aggregate_type, aggregate_id, max(sequence) as version,
                        max(position) as position, max(recorded_at) as recorded_at
                 from events where position between $1 and $2
                 group by 1, 2, 3
             ) s
             group by s.command_id",
        )
        .bind(self.part.first)
        .bind(self.part.last)
        .execute(&mut *self.tx)
        .await?;
        Ok(count(&derived))
    }

    /// The slots that the events tell of are taken from there: the file may have been cut before it named them, or it
    /// ends before a booking was moved that had its new slot already. Answers how many they are.
    async fn slots(&mut self) -> Result<i64, TransferError> {
        let told = sqlx::query(
            "insert into slot_claims (bookid, unit, during)
             select * from slots_by_events($1, $2) order by unit, during",
        )
        .bind(self.part.first)
        .bind(self.part.last)
        .execute(&mut *self.tx)
        .await;
        let told = taken(told, "the slot of one of its bookings".to_owned())?;
        Ok(count(&told))
    }

    /// Nobody's checkpoint of the source, or of this journal before, means anything here.
    pub(super) async fn renew_identity(&mut self) -> Result<(), TransferError> {
        sqlx::query(
            "update journal set identity = gen_random_uuid(), epoch = 1, created_at = clock_timestamp()",
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn identity(&mut self) -> Result<Identity, TransferError> {
        let row = sqlx::query("select identity, epoch from journal")
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(Identity {
            uuid: row.try_get("identity")?,
            epoch: row.try_get("epoch")?,
        })
    }

    pub(super) async fn commit(self) -> Result<(), TransferError> {
        Ok(self.tx.commit().await?)
    }
}

/// How many rows were stored.
fn count(stored: &PgQueryResult) -> i64 {
    i64::try_from(stored.rows_affected()).unwrap_or(i64::MAX)
}

/// What is there already is a collision.
fn taken<T>(stored: Result<T, sqlx::Error>, what: String) -> Result<T, TransferError> {
    let error = match stored {
        Ok(stored) => return Ok(stored),
        Err(error) => StoreError::from(error),
    };
    if error.sqlstate().is_some_and(|state| TAKEN.contains(&state)) {
        return Err(TransferError::Collision(what));
    }
    Err(error.into())
}
