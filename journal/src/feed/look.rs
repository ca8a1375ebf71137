//! One look at the journal, and how much of it may be delivered.

use sqlx::postgres::PgRow;

use super::{Item, Proof, Read, Span, Stored};
use crate::follow::Slice;
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
    /// In order of position.
    pub rows: Vec<SeenRow<T>>,
    /// Whether every transaction older than the proof's X has ended.
    pub proved: bool,
}

/// One row, and whether the hole before it is known to be dead.
#[derive(Debug)]
pub struct SeenRow<T> {
    /// What stands there.
    pub item: T,
    /// Its place in the journal.
    pub position: i64,
    /// Whether the positions before it, up to the row before, were proved to stay empty; false when there are none.
    pub hole_is_dead: bool,
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
    pub(super) async fn look_as<T: Read>(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
        slice: Slice,
    ) -> Result<Look<T>, StoreError> {
        let Look { rows, proved } = self.store.look(after, limit, proof).await?;
        let item = |row: Stored| {
            if slice.holds(&row.aggregate_id) {
                T::read(row, &self.events)
            } else {
                T::pass(row)
            }
        };
        let read = |row: SeenRow<Stored>| SeenRow {
            item: item(row.item),
            position: row.position,
            hole_is_dead: row.hole_is_dead,
        };
        let rows = rows.into_iter().map(read).collect();
        Ok(Look { rows, proved })
    }

    /// The rows at these positions, in order; of positions without a row, nothing.
    pub(crate) async fn events_at(&self, positions: &[i64]) -> Result<Vec<Item>, StoreError> {
        let rows = self.store.rows_at(positions).await?.into_iter();
        Ok(rows.map(|row| Item::read(row, &self.events)).collect())
    }

    /// Rows of the table, as events of today.
    pub(crate) fn read_rows(&self, rows: &[PgRow]) -> Result<Vec<Item>, StoreError> {
        let read = |row| Ok(Item::read(Stored::from_row(row)?, &self.events));
        rows.iter().map(read).collect()
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
        self.store.draw_x().await
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
