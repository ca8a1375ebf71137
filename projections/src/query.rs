//! Questions that the read models answer.
//!
//! Readers go through views in a schema with the projection's name and name every column, so they see one
//! generation per answer and notice nothing of a switch. A page and its total come from one statement: two
//! would be two moments.

mod filter;
mod page;
mod wait;

use std::sync::Arc;

use domain::{BookId, UserId};
use journal::{Journal, StoreError};

pub use filter::{BookingFilter, OfBooking};
pub use page::{PageRequest, Paged, SIZE_MAX};
pub use wait::Freshness;

use crate::projection::{Column, Row};
use crate::store::read;
use crate::{BalanceRow, LedgerRow, TimelineRow};
use page::{Conditions, Value};

/// How many lines of a booking's story one answer holds at most; a story of twenty is long.
const LINES_MAX: i64 = 10_000;

/// The read models of one database. Cheap to clone.
#[derive(Clone)]
pub struct ReadModels {
    journal: Arc<Journal>,
}

impl ReadModels {
    /// The read models beside this journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        let journal = Arc::new(journal);
        Self { journal }
    }

    /// What a read model shows of a booking, if anything.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn find<R: OfBooking>(&self, bookid: BookId) -> Result<Option<R>, StoreError> {
        self.one(bookid.0).await
    }

    /// What a read model shows of the bookings that pass the filter, ordered by number unless the request says
    /// otherwise.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn list<R: OfBooking>(
        &self,
        filter: &BookingFilter,
        page: &PageRequest,
    ) -> Result<Paged<R>, StoreError> {
        self.page(filter.conditions::<R>(), page).await
    }

    /// A booking's story, oldest first; empty when there is no such booking.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn timeline(&self, bookid: BookId) -> Result<Vec<TimelineRow>, StoreError> {
        let sql = format!(
            "select {} from {}.{} where bookid = $1 order by position limit $2",
            names(TimelineRow::COLUMNS),
            TimelineRow::SCHEMA,
            TimelineRow::TABLE,
        );
        let rows = sqlx::query(&sql)
            .bind(bookid.0)
            .bind(LINES_MAX)
            .fetch_all(self.journal.pool())
            .await?;
        let line = |row| {
            Ok(TimelineRow::from_cells(read(
                row,
                TimelineRow::COLUMNS,
                0,
            )?)?)
        };
        rows.iter().map(line).collect()
    }

    /// A user's points: none for a user who never had any.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn points(&self, userid: UserId) -> Result<i64, StoreError> {
        let balance: Option<BalanceRow> = self.one(userid.0).await?;
        Ok(balance.map_or(0, |balance| balance.points))
    }

    /// Where a user's points came from and went, oldest first unless the request says otherwise.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn ledger(
        &self,
        userid: UserId,
        page: &PageRequest,
    ) -> Result<Paged<LedgerRow>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.and(Value::Number(userid.0), |value| format!("userid = {value}"));
        self.page(conditions, page).await
    }

    async fn one<R: Row>(&self, key: i64) -> Result<Option<R>, StoreError> {
        let sql = format!(
            "select {} from {}.{} where {} = $1",
            names(R::COLUMNS),
            R::SCHEMA,
            R::TABLE,
            R::KEY.first().copied().unwrap_or_default(),
        );
        let row = sqlx::query(&sql)
            .bind(key)
            .fetch_optional(self.journal.pool())
            .await?;
        let cells = row.map(|row| read(&row, R::COLUMNS, 0)).transpose()?;
        Ok(cells.map(R::from_cells).transpose()?)
    }

    async fn page<R: Row>(
        &self,
        conditions: Conditions,
        request: &PageRequest,
    ) -> Result<Paged<R>, StoreError> {
        let sql = page::statement::<R>(&conditions, request);
        let mut query = sqlx::query(&sql)
            .bind(request.limit())
            .bind(request.offset());
        for value in conditions.values {
            query = match value {
                Value::Number(number) => query.bind(number),
                Value::Words(words) => query.bind(words),
            };
        }
        let rows = query.fetch_all(self.journal.pool()).await?;
        page::read::<R>(&rows)
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}
