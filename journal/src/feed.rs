//! Reads every event, in the order of positions, and never passes over one.
//!
//! A position is drawn before its transaction commits, so rows become visible out of order, and a reader that
//! walked past a hole would lose the event that fills it later. We stop at a hole until it is proved dead:
//! after the hole survived a second look, a transaction id X is drawn by a *fresh* transaction. Whoever could
//! own the hole drew its own id before its position, and so before X. When a later snapshot shows no living
//! transaction older than X and the row is still absent, no row will ever come. Rows, holes and the verdict
//! are read in one statement, because two statements are two snapshots. One X serves every hole that was
//! below the highest row seen when it was drawn.
//!
//! A hole costs nothing while writers are quick: the second look finds the row.
//!
//! A follower's reader shares what it proves and tells of the holes that it waits at, in tables. An observer
//! ([`Feed::observer`]) reads by the same rule and writes nothing.

mod ahead;
mod look;
mod row;
mod stored;

use domain::version::Table;

use crate::follow::Slice;
use crate::{Journal, StoreError};

pub use ahead::Ahead;
pub(crate) use look::of_one_booking;
pub use look::{Look, SeenRow};
pub use row::{Item, Recorded, Unreadable};
pub use stored::Stored;

use look::deliver;

/// How many looks one [`Feed::read`] takes at a hole: see it, see it again and draw X, ask for the verdict.
const LOOKS_MAX: u32 = 3;

/// Positions without rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

/// What one read found.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T = Item> {
    /// Rows in order of position.
    pub items: Vec<T>,
    /// Everything up to here is in this page, was before it, or is dead.
    pub position: i64,
    /// Where the page had to stop, if it did.
    pub hole: Option<Span>,
}

impl Page {
    /// The page without what stands behind `last`.
    #[must_use]
    pub fn up_to(mut self, last: i64) -> Self {
        if self.position > last {
            self.items.retain(|item| item.position() <= last);
            self.position = last;
            self.hole = None;
        }
        self
    }
}

/// What a row of the feed is read as.
trait Read: Sized {
    fn read(row: Stored, events: &Table) -> Self;

    /// As what a row is passed that this reader leaves to others.
    fn pass(row: Stored) -> Self;
}

/// A transaction id drawn after holes were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `xid8`, as text: sqlx has no type for it.
    pub x: String,
    /// Holes below this position were there when X was drawn.
    pub ceiling: i64,
}

/// A reader of the feed. Keeps an open proof between reads; losing it costs a new one.
pub struct Feed {
    journal: Journal,
    /// None: it writes nothing.
    reader: Option<String>,
    /// The keys that it reads.
    slice: Slice,
    suspect: Option<Span>,
    proof: Option<Proof>,
    reported: Reported,
}

/// What `open_holes` says of this reader.
#[derive(Debug, PartialEq)]
enum Reported {
    /// Whatever a predecessor of the same name left there.
    Unknown,
    Nothing,
    Hole(Span),
}

impl Feed {
    /// A reader; `reader` names it in holes and proofs.
    #[must_use]
    pub fn new(journal: Journal, reader: &str) -> Self {
        Self::of(journal, Some(reader.to_owned()))
    }

    /// A reader that writes nothing, for a session that may only read. What it proves it keeps to itself, and who
    /// reads through it must say that it holds at a hole, because no table does.
    #[must_use]
    pub fn observer(journal: Journal) -> Self {
        Self::of(journal, None)
    }

    /// Of the rows of other keys it gives what it gives of one that means nothing: their place. They are not decoded,
    /// and it waits at holes as ever, because a hole may be anybody's.
    #[must_use]
    pub fn only(self, slice: Slice) -> Self {
        Self { slice, ..self }
    }

    fn of(journal: Journal, reader: Option<String>) -> Self {
        Self {
            journal,
            reader,
            slice: Slice::ALL,
            suspect: None,
            proof: None,
            reported: Reported::Unknown,
        }
    }

    /// Reads at most `limit` events behind `after`, up to the first hole that is not proved dead.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn read(&mut self, after: i64, limit: i64) -> Result<Page, StoreError> {
        self.read_as(after, limit).await
    }

    /// The same, as the rows stand in the journal: nothing is decoded, so nothing is unreadable.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn read_stored(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<Page<Stored>, StoreError> {
        self.read_as(after, limit).await
    }

    async fn read_as<T: Read>(&mut self, after: i64, limit: i64) -> Result<Page<T>, StoreError> {
        let mut looks = 1;
        loop {
            let proof = self.proof.as_ref();
            let look = self
                .journal
                .look_as(after, limit, proof, self.slice)
                .await?;
            let top = look.rows.last().map_or(after, |row| row.position);
            let delivery = deliver(look, after, self.proof.as_ref());
            self.record_dead(&delivery.newly_dead).await?;
            let page = Page {
                items: delivery.items,
                position: delivery.position,
                hole: delivery.hole,
            };
            let Some(hole) = page.hole else {
                self.suspect = None;
                self.proof = None;
                self.hole_passed().await?;
                return Ok(page);
            };
            if !page.items.is_empty() || looks == LOOKS_MAX {
                // What is there goes out now; the hole is looked at again with the next read.
                if looks == LOOKS_MAX {
                    self.report(hole).await?;
                }
                return Ok(page);
            }
            if self.suspect != Some(hole) {
                self.suspect = Some(hole);
            } else if self
                .proof
                .as_ref()
                .is_none_or(|proof| proof.ceiling < hole.last)
            {
                self.proof = Some(Proof {
                    x: self.journal.draw_x().await?,
                    ceiling: top,
                });
            }
            looks += 1;
        }
    }

    async fn record_dead(&self, spans: &[Span]) -> Result<(), StoreError> {
        let Some(proof) = self.proof.as_ref().filter(|_| !spans.is_empty()) else {
            return Ok(());
        };
        if let Some(reader) = &self.reader {
            self.journal.store.record_dead(spans, proof, reader).await?;
        }
        let reader = self.name();
        for span in spans {
            metrics::counter!("feed_dead_positions_total")
                .increment(span.last.abs_diff(span.first) + 1);
            tracing::info!(
                first = span.first,
                last = span.last,
                x = proof.x,
                reader,
                "positions proved dead: their transactions rolled back or were lost in a crash"
            );
        }
        Ok(())
    }

    /// A hole that held up a whole read becomes a row, a metric and a log line.
    async fn report(&mut self, hole: Span) -> Result<(), StoreError> {
        if self.reported == Reported::Hole(hole) {
            return Ok(());
        }
        if let Some(reader) = &self.reader {
            let (store, proof) = (&self.journal.store, self.proof.as_ref());
            store.hold_at(reader, Some(hole), proof).await?;
        }
        let reader = self.name();
        metrics::counter!("feed_holds_total").increment(1);
        tracing::warn!(
            first = hole.first,
            last = hole.last,
            reader,
            "the feed holds at a hole: an older transaction has not ended"
        );
        self.reported = Reported::Hole(hole);
        Ok(())
    }

    async fn hole_passed(&mut self) -> Result<(), StoreError> {
        if self.reported == Reported::Nothing {
            return Ok(());
        }
        if let Some(reader) = &self.reader {
            self.journal.store.hold_at(reader, None, None).await?;
        }
        self.reported = Reported::Nothing;
        Ok(())
    }

    /// What its log lines call it.
    fn name(&self) -> &str {
        self.reader.as_deref().unwrap_or("an observer")
    }
}
