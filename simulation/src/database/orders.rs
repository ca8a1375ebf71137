//! The saga's rows.

use async_trait::async_trait;
use journal::StoreError;
use processes::order::{Rows, StoredOrder, Written};

use super::{Database, Poison, Writing};
use crate::scheduler::lock;

/// The saga's orders, in memory; that of the booking that is poison cannot be read as long as it is.
pub struct Orders {
    database: Database,
    poison: Poison,
}

impl Orders {
    /// Those in this database.
    #[must_use]
    pub fn new(database: Database, poison: Poison) -> Self {
        Self { database, poison }
    }
}

#[async_trait]
impl Rows for Orders {
    type Connection = Writing;

    async fn load(&self, bookids: &[i64]) -> Result<Vec<StoredOrder>, StoreError> {
        self.database.scheduler.pause().await;
        let poison = lock(&self.poison).clone();
        let mut inner = self.database.inner();
        let is_spoilt = |bookid: i64| poison.as_deref() == Some(&bookid.to_string());
        let stored = |bookid: &i64| {
            let (order, position) = inner.orders.get(bookid)?;
            let order = if is_spoilt(*bookid) {
                Err("the simulation wants it so".to_owned())
            } else {
                serde_json::from_value(order.clone()).map_err(|error| error.to_string())
            };
            Some(StoredOrder {
                bookid: *bookid,
                position: *position,
                order,
            })
        };
        let stored: Vec<_> = bookids.iter().filter_map(stored).collect();
        if stored.iter().any(|order| order.order.is_err()) {
            inner.count("the saga could not read an order");
        }
        Ok(stored)
    }

    async fn write(&self, tx: &mut Writing, written: Written<'_>) -> Result<(), StoreError> {
        tx.statement().await?;
        for (bookid, order, position) in written.orders {
            let order = serde_json::to_value(order)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            tx.orders.push((bookid, order, position));
        }
        tx.statement().await?;
        tx.settled = written.settled;
        tx.jobs = written.jobs;
        tx.unwanted = written.unwanted;
        tx.statement().await
    }
}
