//! The saga's rows.

use async_trait::async_trait;
use journal::StoreError;
use processes::order::{Rows, StoredOrder, Written};

use super::{Database, Writing};

/// The saga's orders, in memory.
pub struct Orders(pub Database);

#[async_trait]
impl Rows for Orders {
    type Connection = Writing;

    async fn load(&self, bookids: &[i64]) -> Result<Vec<StoredOrder>, StoreError> {
        self.0.scheduler.pause().await;
        let inner = self.0.inner();
        let stored = |bookid: &i64| {
            let (order, position) = inner.orders.get(bookid)?;
            Some(StoredOrder {
                bookid: *bookid,
                position: *position,
                order: serde_json::from_value(order.clone()).map_err(|error| error.to_string()),
            })
        };
        Ok(bookids.iter().filter_map(stored).collect())
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
