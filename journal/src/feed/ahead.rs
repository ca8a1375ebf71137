//! Reads the next page while somebody works on the last one.

use futures::future::join;

use super::{Feed, Page};
use crate::StoreError;

/// A reader that keeps at most one page in hand.
pub struct Ahead {
    feed: Feed,
    /// How many rows a page has at most.
    page_max: i64,
    /// What was read, and behind which position.
    kept: Option<(i64, Page)>,
}

impl Ahead {
    /// Nothing read yet.
    #[must_use]
    pub fn new(feed: Feed, page_max: i64) -> Self {
        Self {
            feed,
            page_max,
            kept: None,
        }
    }

    /// With pages of at most so many rows.
    #[must_use]
    pub fn in_pages_of(self, page_max: i64) -> Self {
        Self { page_max, ..self }
    }

    /// The page behind `after`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn read(&mut self, after: i64) -> Result<Page, StoreError> {
        match self.kept.take() {
            Some((behind, page)) if behind == after => Ok(page),
            _ => self.feed.read(after, self.page_max).await,
        }
    }

    /// Reads the page behind `after` while `work` is done. A read that fails is done again by [`Ahead::read`], which
    /// says then what is wrong.
    pub async fn read_during<T>(&mut self, after: i64, work: impl Future<Output = T>) -> T {
        let (done, page) = join(work, self.feed.read(after, self.page_max)).await;
        self.kept = page.ok().map(|page| (after, page));
        done
    }
}
