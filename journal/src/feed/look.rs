//! One look at the journal, and how much of it may be delivered.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{FromRow, Item, Proof, Span};
use crate::{Journal, StoreError};

/// SQL for the rows of all streams that carry a booking's number, `$1`: also of aggregates that this version of the
/// code has never heard of, which park the booking like any other. The types there are come from the primary key, one
/// probe each, because an index by number alone would be paid for by every append.
macro_rules! of_one_booking {
    ($rest:literal) => {
        concat!(
            "with recursive types (aggregate_type) as (
                 (select e.aggregate_type from events e order by 1 limit 1)
                 union all
                 select (select e.aggregate_type from events e
                         where e.aggregate_type > t.aggregate_type order by 1 limit 1)
                 from types t where t.aggregate_type is not null
             )
             select e.* from types t join events e using (aggregate_type) where e.aggregate_id = $1 ",
            $rest
        )
    };
}
pub(crate) use of_one_booking;

/// What one look at the journal shows: rows in order, and the verdict on a proof, from one snapshot.
#[derive(Debug)]
pub struct Look<T = Item> {
    pub(super) rows: Vec<SeenRow<T>>,
    /// Whether every transaction older than the proof's X has ended.
    pub proved: bool,
}

/// One row, and whether the hole before it is known to be dead.
#[derive(Debug)]
pub(super) struct SeenRow<T> {
    item: T,
    pub(super) position: i64,
    hole_is_dead: bool,
}

/// How far a look may be delivered.
#[derive(Debug, PartialEq)]
pub(super) struct Delivery<T> {
    pub(super) items: Vec<T>,
    pub(super) position: i64,
    pub(super) hole: Option<Span>,
    pub(super) newly_dead: Vec<Span>,
}

impl Journal {
    /// One look at the rows behind `after`, with the verdict on `proof`. One statement: one snapshot.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn look(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
    ) -> Result<Look, StoreError> {
        self.look_as(after, limit, proof).await
    }

    pub(super) async fn look_as<T: FromRow>(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
    ) -> Result<Look<T>, StoreError> {
        let rows = sqlx::query(
            "with page as (
                 select e.*, lag(e.position, 1, $1) over (order by e.position) as before
                 from (select * from events where position > $1 order by position limit $2) e
             )
             select p.aggregate_type, p.aggregate_id, p.sequence, p.event_type, p.event_version,
                    p.payload, p.metadata, p.position, p.event_id, p.command_id, p.recorded_at,
                    p.position > p.before + 1 and exists (
                        select from dead_spans d
                        where d.first_position <= p.before + 1 and d.last_position >= p.position - 1
                    ) as hole_is_dead,
                    coalesce(pg_snapshot_xmin(pg_current_snapshot()) >= $3::text::xid8, false) as proved
             from page p order by p.position",
        )
        .bind(after)
        .bind(limit)
        .bind(proof.map(|proof| proof.x.as_str()))
        .fetch_all(self.pool())
        .await?;
        let proved = match rows.first() {
            Some(row) => row.try_get("proved")?,
            None => false,
        };
        let seen = |row: &PgRow| {
            Ok::<_, StoreError>(SeenRow {
                item: T::from_row(row, &self.events)?,
                position: row.try_get("position")?,
                hole_is_dead: row.try_get("hole_is_dead")?,
            })
        };
        let rows = rows.iter().map(seen).collect::<Result<_, _>>()?;
        Ok(Look { rows, proved })
    }

    pub(crate) fn read_rows<T: FromRow>(&self, rows: &[PgRow]) -> Result<Vec<T>, StoreError> {
        let read = |row| T::from_row(row, &self.events);
        rows.iter().map(read).collect()
    }

    /// The rows at these positions, in order; of positions without a row, nothing.
    pub(crate) async fn events_at(&self, positions: &[i64]) -> Result<Vec<Item>, StoreError> {
        let rows = sqlx::query("select * from events where position = any ($1) order by position")
            .bind(positions)
            .fetch_all(self.pool())
            .await?;
        self.read_rows(&rows)
    }

    /// The rows of one booking up to position `last`, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn of_booking(&self, key: &str, last: i64) -> Result<Vec<Item>, StoreError> {
        let rows = sqlx::query(of_one_booking!("and e.position <= $2 order by e.position"))
            .bind(key)
            .bind(last)
            .fetch_all(self.pool())
            .await?;
        self.read_rows(&rows)
    }

    /// Draws a transaction id in a transaction of its own. It must begin after the hole was seen: an id that a
    /// running transaction drew earlier proves nothing about holes that came later.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn draw_x(&self) -> Result<String, StoreError> {
        Ok(sqlx::query_scalar("select pg_current_xact_id()::text")
            .fetch_one(self.pool())
            .await?)
    }

    /// How many committed events stand behind a position.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn events_behind(&self, position: i64) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("select count(*) from events where position > $1")
                .bind(position)
                .fetch_one(self.pool())
                .await?,
        )
    }

    /// The highest committed position; never the sequence's last value, which counts what rolled back.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn head(&self) -> Result<i64, StoreError> {
        let head: Option<i64> = sqlx::query_scalar("select max(position) from events")
            .fetch_one(self.pool())
            .await?;
        Ok(head.unwrap_or(0))
    }
}

/// Walks the rows in order and stops at the first hole that is not dead.
pub(super) fn deliver<T>(look: Look<T>, after: i64, proof: Option<&Proof>) -> Delivery<T> {
    let mut delivery = Delivery {
        items: vec![],
        position: after,
        hole: None,
        newly_dead: vec![],
    };
    for row in look.rows {
        if row.position > delivery.position + 1 && !row.hole_is_dead {
            let hole = Span {
                first: delivery.position + 1,
                last: row.position - 1,
            };
            let dead = look.proved && proof.is_some_and(|proof| hole.last < proof.ceiling);
            if !dead {
                delivery.hole = Some(hole);
                break;
            }
            delivery.newly_dead.push(hole);
        }
        delivery.position = row.position;
        delivery.items.push(row.item);
    }
    delivery
}
