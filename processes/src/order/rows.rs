//! Where the orders' rows are, and how a batch is written.

use async_trait::async_trait;
use domain::order::{CHARGE_JOB, Order};
use journal::jobs::{NewJob, look_again, schedule, settle};
use journal::{Journal, StoreError};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

/// An order as it is stored.
#[derive(Clone, Debug)]
pub struct StoredOrder {
    /// Of which booking.
    pub bookid: i64,
    /// The last event that is in it.
    pub position: i64,
    /// Its state; or why it cannot be read.
    pub order: Result<Order, String>,
}

/// What a batch writes.
#[derive(Debug)]
pub struct Written<'p> {
    /// Orders that changed: booking, state, the last event in it.
    pub orders: Vec<(i64, &'p Order, i64)>,
    /// Keys of the charges that have their outcome.
    pub settled: Vec<String>,
    /// Keys of the charges that are not wanted any more.
    pub unwanted: Vec<String>,
    /// Jobs that came out, the same one perhaps twice.
    pub jobs: Vec<NewJob>,
}

/// A store of orders. A batch is written in the transaction of the saga's checkpoint, so it is in the same place.
#[async_trait]
pub trait Rows: Send + Sync {
    /// What is written through.
    type Connection: Send;

    /// The orders of these bookings; of one without a row, nothing.
    async fn load(&self, bookids: &[i64]) -> Result<Vec<StoredOrder>, StoreError>;

    /// Writes orders over what is there, ends the jobs of charges that have their outcome, schedules new ones, each once,
    /// and has those of unwanted charges looked at again.
    async fn write(
        &self,
        tx: &mut Self::Connection,
        written: Written<'_>,
    ) -> Result<(), StoreError>;
}

/// Orders in the journal's database.
pub struct InDatabase(pub(super) Journal);

#[async_trait]
impl Rows for InDatabase {
    type Connection = PgConnection;

    async fn load(&self, bookids: &[i64]) -> Result<Vec<StoredOrder>, StoreError> {
        let rows = sqlx::query("select bookid, state, position from orders where bookid = any($1)")
            .bind(bookids)
            .fetch_all(self.0.pool())
            .await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let state: Result<Json<Order>, _> = row.try_get("state");
            Ok(StoredOrder {
                bookid: row.try_get("bookid")?,
                position: row.try_get("position")?,
                order: state
                    .map(|Json(order)| order)
                    .map_err(|error| error.to_string()),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn write(&self, tx: &mut PgConnection, written: Written<'_>) -> Result<(), StoreError> {
        write_orders(tx, &written.orders).await?;
        settle(tx, CHARGE_JOB, &written.settled).await?;
        schedule(tx, &written.jobs).await?;
        look_again(tx, CHARGE_JOB, &written.unwanted).await
    }
}

async fn write_orders(
    tx: &mut PgConnection,
    orders: &[(i64, &Order, i64)],
) -> Result<(), StoreError> {
    let (mut bookids, mut states, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for (bookid, order, position) in orders {
        bookids.push(*bookid);
        states.push(Json(*order));
        positions.push(*position);
    }
    sqlx::query(
        "insert into orders (bookid, state, position)
         select * from unnest($1::bigint[], $2::jsonb[], $3::bigint[])
         on conflict (bookid) do update
         set state = excluded.state, position = excluded.position",
    )
    .bind(bookids)
    .bind(states)
    .bind(positions)
    .execute(tx)
    .await?;
    Ok(())
}
