//! Drives a handler along the feed: lease, batch, checkpoint, park.
//!
//! [`Follower::step`] is one testable step, [`run`] the thin loop around it. A step holds the lease, reads a
//! page, lets the handler plan outside any transaction, and then opens one whose *first* statement moves the
//! checkpoint, checked against owner, epoch and old position. What the handler writes commits with it: exactly
//! once in effect. A process that slept through its lease fails at that first statement.
//!
//! Checkpoint and parked events lie where [`Checkpoints`] says: in the journal's database, under a lease
//! ([`InDatabase`]), or in a store that one process has to itself.
//!
//! A follower that has much before it takes larger batches and reads the next one while it writes
//! ([`Follower::in_bulk`]). Several that take a slice of the keys each may share a reader ([`Follower::take`]), or read
//! each for itself, on several nodes ([`run_cut`]).
//!
//! An event that cannot be read or applied parks its key (that booking) and everything of the same key behind
//! it, in order; the rest goes on. Somebody who has mended the cause asks for the key to be tried again
//! ([`crate::recover`]), and the follower does that before its next batch. What could not be read is tried
//! again by itself when a follower takes the lease that can read it: that of a newer version.

mod checkpoints;
mod database;
mod handler;
mod id;
mod layout;
mod park;
mod retry;
mod run;
mod slice;
mod slices;
mod turn;

use jiff::Timestamp;

use crate::connections::{TRANSACTION_MAX, within};
use crate::feed::{Ahead, Feed, Item, Page, Span};
use crate::incidents::Class;
use crate::{Journal, StoreError};

pub use checkpoints::{Checkpoints, Lease};
pub use database::InDatabase;
pub use handler::{Handler, HandlerError, Step};
pub use id::FollowerId;
pub use layout::{Layout, Part, cut};
pub use park::Parked;
pub use run::run;
pub use slice::{SLICES_MAX, Slice};
pub use slices::{Cut, run_cut};

/// How long a lease lasts without a sign of life, by the database's clock.
pub const LEASE_MS: u64 = 5_000;
/// An idle follower renews its lease when this much of it has passed by its own clock; only the wait is
/// measured so, never the lease's end.
const RENEW_AFTER_MS: i64 = 1_500;
/// How many events one step takes at most.
pub const BATCH_MAX: i64 = 1_000;
/// The same in bulk, unless it is told otherwise. As many again are read ahead: these two bound what a follower
/// holds in memory.
pub const BULK_BATCH_MAX: i64 = 5_000;

/// One follower in one process. Its checkpoint is in the journal's database unless said otherwise.
pub struct Follower<H, C = InDatabase> {
    journal: Journal,
    checkpoints: C,
    reader: Ahead,
    handler: H,
    lease: Option<Lease>,
    renewed_at: Timestamp,
    parked: park::Keys,
    reads_ahead: bool,
    /// Whether the lease was denied when it was last asked for: said once, and not with every look.
    denied: bool,
    /// Parked keys are not tried again before this time.
    retries_from: Option<Timestamp>,
}

/// The parts of a follower that write, apart from its feed, which reads meanwhile.
struct Hand<'f, H, C> {
    checkpoints: &'f C,
    handler: &'f H,
}

impl<H: Handler> Follower<H> {
    /// A follower that does not hold its lease yet.
    #[must_use]
    pub fn new(journal: Journal, id: FollowerId, handler: H) -> Self {
        let feed = Feed::new(journal.clone(), &format!("{}/{}", id.name, id.generation));
        let checkpoints = InDatabase::new(journal.clone(), id);
        Self::over(journal, feed, checkpoints, handler)
    }

    /// Which follower this is.
    #[must_use]
    pub fn id(&self) -> &FollowerId {
        self.checkpoints.id()
    }
}

impl<C: Checkpoints, H: Handler<C::Connection>> Follower<H, C> {
    /// A follower that reads `feed` and keeps its checkpoint in `checkpoints`.
    #[must_use]
    pub fn over(journal: Journal, feed: Feed, checkpoints: C, handler: H) -> Self {
        let renewed_at = journal.clock().now();
        Self {
            journal,
            checkpoints,
            reader: Ahead::new(feed, BATCH_MAX),
            handler,
            lease: None,
            renewed_at,
            parked: park::Keys::default(),
            reads_ahead: false,
            denied: false,
            retries_from: None,
        }
    }

    /// Takes at most `batch_max` events at a time, and reads the next ones while it writes.
    #[must_use]
    pub fn in_bulk(self, batch_max: i64) -> Self {
        Self {
            reader: self.reader.in_pages_of(batch_max),
            reads_ahead: true,
            ..self
        }
    }

    /// One step: take the lease if need be, take one batch if there is one.
    ///
    /// # Errors
    /// [`HandlerError`] when the database or the handler failed; nothing was written.
    pub async fn step(&mut self) -> Result<Step, HandlerError> {
        self.step_to(i64::MAX).await
    }

    /// A step that takes nothing behind position `last`: for a follower that must come to stand at one exactly.
    ///
    /// # Errors
    /// As [`Follower::step`].
    pub async fn step_to(&mut self, last: i64) -> Result<Step, HandlerError> {
        let Some(lease) = self.hold_lease().await? else {
            return Ok(Step::Denied);
        };
        if let Some(step) = self.retry_parked(lease).await? {
            return Ok(step);
        }
        let page = self.reader.read(lease.position).await?;
        let page = page.up_to(last.max(lease.position));
        if page.position == lease.position {
            return self.renew(lease, page.hole).await;
        }
        let Page {
            items, position, ..
        } = page;
        if !self.reads_ahead || position >= last {
            return self.write(lease, items, position).await;
        }
        let hand = Hand {
            checkpoints: &self.checkpoints,
            handler: &self.handler,
        };
        let batch = park::Batch::sort(items, &self.parked);
        let writing = hand.take_or_park(lease, position, batch);
        let taken = self.reader.read_during(position, writing).await?;
        self.moved(lease, taken).await
    }

    /// Where it stands, under its lease; `None` when somebody else holds that.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn stand(&mut self) -> Result<Option<i64>, StoreError> {
        Ok(self.hold_lease().await?.map(|lease| lease.position))
    }

    /// Takes what somebody else has read for it: every event of its keys behind some position that it has passed,
    /// up to `to`, in order. Events that it took before are left out. Does not try parked keys again.
    ///
    /// # Errors
    /// As [`Follower::step`].
    pub async fn take(&mut self, mut items: Vec<Item>, to: i64) -> Result<Step, HandlerError> {
        let Some(lease) = self.hold_lease().await? else {
            return Ok(Step::Denied);
        };
        if to <= lease.position {
            return self.renew(lease, None).await;
        }
        items.retain(|item| item.position() > lease.position);
        self.write(lease, items, to).await
    }

    async fn write(
        &mut self,
        lease: Lease,
        items: Vec<Item>,
        to: i64,
    ) -> Result<Step, HandlerError> {
        let hand = Hand {
            checkpoints: &self.checkpoints,
            handler: &self.handler,
        };
        let batch = park::Batch::sort(items, &self.parked);
        let taken = hand.take_or_park(lease, to, batch).await?;
        self.moved(lease, taken).await
    }

    /// What became of a batch, and up to where; `None` when the lease was lost.
    async fn moved(
        &mut self,
        lease: Lease,
        taken: Option<(park::Batch, i64)>,
    ) -> Result<Step, HandlerError> {
        let Some((batch, position)) = taken else {
            return Ok(self.lost().await);
        };
        let events = batch.len();
        self.parked.add(batch.parked_keys());
        self.lease = Some(Lease { position, ..lease });
        self.journal
            .moved
            .send_modify(|moves| moves.count(self.checkpoints.name()));
        metrics::counter!("follower_events_total", "follower" => self.name())
            .increment(events as u64);
        Ok(Step::Advanced { events, position })
    }

    /// Gives the lease back, so that another process need not wait for its end.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; the lease then runs out.
    pub async fn release(&mut self) -> Result<(), StoreError> {
        match self.lease.take() {
            Some(lease) => self.checkpoints.release(lease).await,
            None => Ok(()),
        }
    }

    fn name(&self) -> String {
        self.checkpoints.name().to_owned()
    }

    async fn hold_lease(&mut self) -> Result<Option<Lease>, StoreError> {
        if self.lease.is_some() {
            return Ok(self.lease);
        }
        let Some(lease) = self.checkpoints.hold().await? else {
            metrics::counter!("follower_leases_denied_total", "follower" => self.name())
                .increment(1);
            self.say_denied().await;
            return Ok(None);
        };
        self.denied = false;
        let dealt_with = self.checkpoints.dealt_with(lease.position).await?;
        self.parked = park::Keys::of(self.checkpoints.parked_keys().await?, dealt_with);
        tracing::info!(
            follower = self.checkpoints.name(),
            epoch = lease.epoch,
            position = lease.position,
            "lease taken"
        );
        self.renewed_at = self.journal.clock().now();
        self.lease = Some(lease);
        Ok(self.lease)
    }

    async fn renew(&mut self, lease: Lease, hole: Option<Span>) -> Result<Step, HandlerError> {
        let now = self.journal.clock().now();
        let age_ms = now.as_millisecond() - self.renewed_at.as_millisecond();
        if (0..RENEW_AFTER_MS).contains(&age_ms) {
            return Ok(Step::Idle { hole });
        }
        self.renewed_at = now;
        if self.checkpoints.renew(lease).await? {
            Ok(Step::Idle { hole })
        } else {
            Ok(self.lost().await)
        }
    }

    async fn lost(&mut self) -> Step {
        self.lease = None;
        metrics::counter!("follower_leases_lost_total", "follower" => self.name()).increment(1);
        let reason = self.note_lease(Class::LeaseLost).await;
        tracing::warn!(
            follower = self.checkpoints.name(),
            reason,
            "the lease was lost: somebody else goes on"
        );
        Step::Lost
    }

    /// Said when it begins: where several processes run, all but one are denied all the time.
    async fn say_denied(&mut self) {
        if std::mem::replace(&mut self.denied, true) {
            return;
        }
        let reason = self.note_lease(Class::LeaseDenied).await;
        tracing::info!(
            follower = self.checkpoints.name(),
            reason,
            "the lease is denied: somebody else has it"
        );
    }

    /// Why the lease is not ours. A row that cannot be written now costs nobody the step.
    async fn note_lease(&self, class: Class) -> String {
        let noted = self.checkpoints.note_lease(class).await;
        noted.unwrap_or_else(|error| format!("not known: {error}"))
    }
}

impl<C: Checkpoints, H: Handler<C::Connection>> Hand<'_, H, C> {
    /// Writes a batch, without what had to be parked, and says up to where; `None` when the lease was lost.
    ///
    /// When the database refuses a value and does not say whose, the batch is halved until the event is alone. What
    /// is behind the half that was written comes with the next step.
    async fn take_or_park(
        &self,
        lease: Lease,
        mut to: i64,
        mut batch: park::Batch,
    ) -> Result<Option<(park::Batch, i64)>, HandlerError> {
        loop {
            match self.take(lease, to, &batch).await {
                Ok(taken) => return Ok(taken.then_some((batch, to))),
                Err(HandlerError::Store(error)) if error.is_of_the_data() => {
                    match batch.live_positions()[..] {
                        [] => return Err(error.into()),
                        [alone] => batch = batch.park(alone, &error.to_string())?,
                        ref many => {
                            to = many[(many.len() - 1) / 2];
                            batch = batch.up_to(to);
                        }
                    }
                }
                Err(HandlerError::Poison { position, reason }) => {
                    // Each round parks at least one more event, so the batch's size bounds the rounds.
                    batch = batch.park(position, &reason)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Plans and writes a batch; false when the lease was lost.
    async fn take(&self, lease: Lease, to: i64, batch: &park::Batch) -> Result<bool, HandlerError> {
        let plan = self.handler.plan(&batch.live).await?;
        within(TRANSACTION_MAX, self.write(lease, to, batch, plan)).await
    }

    async fn write(
        &self,
        lease: Lease,
        to: i64,
        batch: &park::Batch,
        plan: H::Plan,
    ) -> Result<bool, HandlerError> {
        let mut session = self.checkpoints.session().await?;
        let mut tx = self.checkpoints.begin(&mut session).await?;
        if !self.checkpoints.advance(&mut tx, lease, to).await? {
            return Ok(false);
        }
        crate::fail_point!("checkpoint-moved", self.checkpoints.name());
        if !batch.parked.is_empty() {
            self.checkpoints.park(&mut tx, &batch.parked).await?;
            let name = self.checkpoints.name().to_owned();
            metrics::counter!("follower_parked_total", "follower" => name.clone())
                .increment(batch.parked.len() as u64);
            let unread = batch.parked.iter().filter(|row| row.unread).count();
            if unread > 0 {
                metrics::counter!("follower_unreadable_events_total", "follower" => name)
                    .increment(unread as u64);
            }
        }
        self.handler.apply(&mut tx, &batch.live, plan).await?;
        crate::fail_point!("batch-written", self.checkpoints.name());
        self.checkpoints.commit(tx).await?;
        crate::fail_point!("batch-committed", self.checkpoints.name());
        self.handler.committed();
        Ok(true)
    }
}
