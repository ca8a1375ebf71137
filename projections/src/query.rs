//! Questions that the read models answer, from the database, or My Page's from a file of the node's own.
//!
//! Readers go through views in a schema with the projection's name and name every column, so they see one
//! generation per answer and notice nothing of a switch. A page and its total come from one statement: two
//! would be two moments.

mod board;
mod filter;
mod page;
mod source;
mod standstill;
mod wait;

use std::sync::Arc;

use domain::{BookId, UserId};
use journal::{Journal, StoreError};

pub use board::{
    BoardFilter, BoardList, BoardPage, BookedDay, LongerPart, LongerPlace, Place, RevenueDay,
};
pub use filter::{BookingFilter, OfBooking};
pub use page::{PageRequest, Paged, SIZE_DEFAULT, SIZE_MAX};
pub use standstill::{Standstill, Watch};
pub use wait::{Freshness, LAG_EVENTS_MAX};

use crate::file::MypageFile;
use crate::projection::{Column, Row};
use crate::{BalanceRow, LedgerRow, TimelineRow};
use source::{Source, Value};

/// How many lines of a booking's story one answer holds at most; a story of twenty is long.
const LINES_MAX: i64 = 10_000;

/// A part of a user's ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerPart {
    /// Its lines, oldest first.
    pub rows: Vec<LedgerRow>,
    /// The position behind which the next part begins; none behind the last one.
    pub next: Option<i64>,
}

/// The read models of one database. Cheap to clone.
#[derive(Clone)]
pub struct ReadModels {
    journal: Arc<Journal>,
    mypage: Option<MypageFile>,
}

impl ReadModels {
    /// The read models beside this journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self {
            journal: Arc::new(journal),
            mypage: None,
        }
    }

    /// The same, but for My Page, which is read from this file.
    #[must_use]
    pub fn with_mypage_in(self, file: MypageFile) -> Self {
        let mypage = Some(file);
        Self { mypage, ..self }
    }

    /// Whether My Page can be read and was up to date at least once since the process started. One in the
    /// database always is: whoever follows there may be another process, and this one's start says nothing of it.
    #[must_use]
    pub fn mypage_is_ready(&self) -> bool {
        self.mypage.as_ref().is_none_or(MypageFile::is_ready)
    }

    /// The file that the tables of this schema are in, if they are in one.
    fn file(&self, schema: &str) -> Option<&MypageFile> {
        self.mypage
            .as_ref()
            .filter(|file| file.projection().name == schema)
    }

    fn source<R: Row>(&self) -> Source<'_> {
        match self.file(R::SCHEMA) {
            Some(file) => Source::File(file),
            None => Source::Database(self.journal.questions()),
        }
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
        let source = self.source::<R>();
        let conditions = filter.conditions::<R>(source.dialect());
        page::ask(&source, conditions, page).await
    }

    /// A booking's story, oldest first; empty when there is no such booking.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn timeline(&self, bookid: BookId) -> Result<Vec<TimelineRow>, StoreError> {
        let source = self.source::<TimelineRow>();
        let sql = format!(
            "select {} from {} where bookid = $1 order by position limit $2",
            names(TimelineRow::COLUMNS),
            source.dialect().table::<TimelineRow>(),
        );
        let parameters = vec![Value::Number(bookid.0), Value::Number(LINES_MAX)];
        let lines = source.ask(&sql, parameters, TimelineRow::COLUMNS).await?;
        lines
            .into_iter()
            .map(|cells| Ok(TimelineRow::from_cells(cells)?))
            .collect()
    }

    /// A user's points: none for a user who never had any.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn points(&self, userid: UserId) -> Result<i64, StoreError> {
        let balance: Option<BalanceRow> = self.one(userid.0).await?;
        Ok(balance.map_or(0, |balance| balance.points))
    }

    /// Where a user's points came from and went, oldest first, from behind a position on: at most `size` lines (1 to
    /// 1,000).
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn ledger_after(
        &self,
        userid: UserId,
        after: i64,
        size: u64,
    ) -> Result<LedgerPart, StoreError> {
        let size = usize::try_from(size.clamp(1, SIZE_MAX)).unwrap_or(1);
        let source = self.source::<LedgerRow>();
        let sql = format!(
            "select {} from {} where userid = $1 and position > $2 order by position limit $3",
            names(LedgerRow::COLUMNS),
            source.dialect().table::<LedgerRow>(),
        );
        // One more, to know whether there are more.
        let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
        let parameters = [userid.0, after, limit].map(Value::Number).to_vec();
        let lines = source.ask(&sql, parameters, LedgerRow::COLUMNS).await?;
        let mut rows = Vec::with_capacity(lines.len());
        for cells in lines {
            rows.push(LedgerRow::from_cells(cells)?);
        }
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|line| line.position);
        Ok(LedgerPart { rows, next })
    }

    async fn one<R: Row>(&self, key: i64) -> Result<Option<R>, StoreError> {
        let source = self.source::<R>();
        let sql = format!(
            "select {} from {} where {} = $1",
            names(R::COLUMNS),
            source.dialect().table::<R>(),
            R::KEY.first().copied().unwrap_or_default(),
        );
        let mut rows = source
            .ask(&sql, vec![Value::Number(key)], R::COLUMNS)
            .await?;
        Ok(rows.pop().map(R::from_cells).transpose()?)
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}
