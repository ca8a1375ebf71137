//! Checkpoints in the file: with the rows, in one transaction, and with the identity of the journal.
//!
//! The file belongs to this process, so there is nobody to take a lease from. What has to be found out instead is
//! whether the journal is still the one that the position is of.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use journal::follow::{self, Handler, HandlerError, Lease, Parked, Step};
use journal::{Journal, Recorded, StoreError};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::keeper::{End, State};
use super::tables::{InFile, Statements};
use super::{Reason, Shared, fault, schema, taken};
use crate::batch;

/// The follower's name in metrics and log lines.
pub(crate) const NAME: &str = "mypage_file";
/// A parked key is tried again after this, then after twice as long each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// At most after this.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// However many keys wait to be tried again, what comes new has its turn in between.
const RETRY_PAUSE: SignedDuration = SignedDuration::from_millis(100);

/// The checkpoint and the parked events of one generation in the file.
pub(super) struct Checkpoints {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    pub(super) writer: Arc<Mutex<SqliteConnection>>,
    pub(super) generation: i64,
    /// Whether it is to be switched to as soon as it has caught up.
    pub(super) building: bool,
    /// Cancelled when this follower has come to its end, with the end.
    pub(super) until: CancellationToken,
    pub(super) end: Arc<OnceLock<End>>,
    pub(super) state: watch::Sender<State>,
    /// How far the journal was when it began.
    pub(super) goal: OnceLock<i64>,
    pub(super) tried_at: std::sync::Mutex<Timestamp>,
}

impl Checkpoints {
    fn ends(&self, end: End) {
        // The first one counts.
        let _ = self.end.set(end);
        self.until.cancel();
    }

    /// Where the file stands, if it still stands for anything.
    async fn look(&self) -> Result<Option<i64>, StoreError> {
        if self.shared.damaged.swap(false, Ordering::AcqRel) {
            self.ends(End::Worthless(Reason::Damaged));
            return Ok(None);
        }
        if !taken::is_there(self.shared.path()) {
            self.ends(End::Worthless(Reason::Gone));
            return Ok(None);
        }
        let generations = schema::generations(&mut *self.writer.lock().await).await?;
        let identity = self.journal.identity().await?;
        // After the position was read: it cannot have passed the head meanwhile.
        let head = self.journal.head().await?;
        if let Err(reason) = taken::worth(&generations, identity, head) {
            self.ends(End::Worthless(reason));
            return Ok(None);
        }
        let _ = self.goal.set(head);
        let ours = generations.iter().find(|one| one.number == self.generation);
        Ok(ours.map(|one| one.position))
    }

    /// What people decided about the tables in Postgres holds here too: an event that they gave up is not waited for.
    async fn let_go_of_discarded(&self, key: &str) -> Result<(), StoreError> {
        let name = self.shared.projection.name;
        let discarded = self.journal.discarded(name, key).await?;
        if discarded.is_empty() {
            return Ok(());
        }
        let gone = sqlx::query(
            "delete from parked
             where generation = $1 and key = $2 and position in (select value from json_each($3))",
        )
        .bind(self.generation)
        .bind(key)
        .bind(serde_json::json!(discarded).to_string())
        .execute(&mut *self.writer.lock().await)
        .await
        .map_err(fault)?;
        if gone.rows_affected() > 0 {
            let events = gone.rows_affected();
            tracing::warn!(
                key,
                events,
                "parked events were discarded, as they were in Postgres"
            );
        }
        Ok(())
    }

    fn caught_up(&self) {
        if self.building {
            self.ends(End::Built);
        } else if !self.shared.caught_up.swap(true, Ordering::AcqRel) {
            tracing::info!("the file has caught up with the journal");
        }
    }
}

#[async_trait]
impl follow::Checkpoints for Checkpoints {
    type Connection = SqliteConnection;
    type Transaction<'s> = Transaction<'s, Sqlite>;
    type Session = OwnedMutexGuard<SqliteConnection>;

    fn name(&self) -> &str {
        NAME
    }

    async fn hold(&self) -> Result<Option<Lease>, StoreError> {
        let position = self.look().await?;
        let epoch = 1;
        Ok(position.map(|position| Lease { epoch, position }))
    }

    async fn renew(&self, lease: Lease) -> Result<bool, StoreError> {
        // Found to be worth nothing, it was not lost to anybody: this follower has come to its end.
        let position = self.look().await?;
        Ok(position.is_none_or(|position| position == lease.position))
    }

    /// Nobody waits for it.
    async fn release(&self, _: Lease) -> Result<(), StoreError> {
        Ok(())
    }

    async fn parked_keys(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("select key from parked_keys where generation = $1")
            .bind(self.generation)
            .fetch_all(&mut *self.writer.lock().await)
            .await
            .map_err(fault)
    }

    /// Nobody else can ask for it: a key asks for itself, when its time has come.
    async fn asked_for(&self) -> Result<Option<String>, StoreError> {
        let now = self.journal.clock().now();
        {
            let mut tried_at = self
                .tried_at
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if now.duration_since(*tried_at).abs() < RETRY_PAUSE {
                return Ok(None);
            }
            *tried_at = now;
        }
        let due: Option<String> = sqlx::query_scalar(
            "select key from parked_keys where generation = $1 and due_at <= $2 order by due_at limit 1",
        )
        .bind(self.generation)
        .bind(now.as_microsecond())
        .fetch_optional(&mut *self.writer.lock().await)
        .await
        .map_err(fault)?;
        if let Some(key) = &due {
            self.let_go_of_discarded(key).await?;
        }
        Ok(due)
    }

    async fn parked_positions(&self, key: &str, limit: i64) -> Result<Vec<i64>, StoreError> {
        sqlx::query_scalar(
            "select position from parked where generation = $1 and key = $2 order by position limit $3",
        )
        .bind(self.generation)
        .bind(key)
        .bind(limit)
        .fetch_all(&mut *self.writer.lock().await)
        .await
        .map_err(fault)
    }

    async fn session(&self) -> Result<Self::Session, StoreError> {
        Ok(Arc::clone(&self.writer).lock_owned().await)
    }

    async fn begin<'s>(
        &self,
        session: &'s mut Self::Session,
    ) -> Result<Transaction<'s, Sqlite>, StoreError> {
        session.begin().await.map_err(fault)
    }

    async fn advance(
        &self,
        tx: &mut SqliteConnection,
        lease: Lease,
        to: i64,
    ) -> Result<bool, StoreError> {
        let moved =
            sqlx::query("update generations set position = $3 where number = $1 and position = $2")
                .bind(self.generation)
                .bind(lease.position)
                .bind(to)
                .execute(tx)
                .await
                .map_err(fault)?;
        Ok(moved.rows_affected() == 1)
    }

    async fn park(&self, tx: &mut SqliteConnection, events: &[Parked]) -> Result<(), StoreError> {
        let due_at = self.journal.clock().now().saturating_add(RETRY_FIRST);
        let due_at = due_at.map_or(i64::MAX, Timestamp::as_microsecond);
        for event in events {
            sqlx::query(
                "insert into parked (generation, position, key, event_type, reason)
                 values ($1, $2, $3, $4, $5)",
            )
            .bind(self.generation)
            .bind(event.position)
            .bind(&event.key)
            .bind(&event.event_type)
            .bind(&event.reason)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
            sqlx::query(
                "insert into parked_keys (generation, key, due_at) values ($1, $2, $3)
                 on conflict do nothing",
            )
            .bind(self.generation)
            .bind(&event.key)
            .bind(due_at)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        Ok(())
    }

    async fn rewrite_reasons(
        &self,
        tx: &mut SqliteConnection,
        events: &[Parked],
    ) -> Result<(), StoreError> {
        for event in events {
            sqlx::query("update parked set reason = $3 where generation = $1 and position = $2")
                .bind(self.generation)
                .bind(event.position)
                .bind(&event.reason)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
        }
        Ok(())
    }

    async fn unpark(
        &self,
        tx: &mut SqliteConnection,
        positions: &[i64],
    ) -> Result<bool, StoreError> {
        let gone = sqlx::query(
            "delete from parked
             where generation = $1 and position in (select value from json_each($2))",
        )
        .bind(self.generation)
        .bind(serde_json::json!(positions).to_string())
        .execute(tx)
        .await
        .map_err(fault)?;
        Ok(gone.rows_affected() == positions.len() as u64)
    }

    /// Nothing left: the key is forgotten. Stuck: it waits longer. Else there were more than one batch takes.
    async fn tried(
        &self,
        tx: &mut SqliteConnection,
        key: &str,
        stuck: bool,
    ) -> Result<i64, StoreError> {
        let left: i64 =
            sqlx::query_scalar("select count(*) from parked where generation = $1 and key = $2")
                .bind(self.generation)
                .bind(key)
                .fetch_one(&mut *tx)
                .await
                .map_err(fault)?;
        if left == 0 {
            sqlx::query("delete from parked_keys where generation = $1 and key = $2")
                .bind(self.generation)
                .bind(key)
                .execute(tx)
                .await
                .map_err(fault)?;
        } else if stuck {
            sqlx::query(
                // Twice as long for every try, up to the longest.
                "update parked_keys
                 set tries = tries + 1, due_at = $3 + min($4 << min(tries + 1, 30), $5)
                 where generation = $1 and key = $2",
            )
            .bind(self.generation)
            .bind(key)
            .bind(self.journal.clock().now().as_microsecond())
            .bind(microseconds(RETRY_FIRST))
            .bind(microseconds(RETRY_MAX))
            .execute(tx)
            .await
            .map_err(fault)?;
        }
        Ok(left)
    }

    async fn commit(&self, tx: Transaction<'_, Sqlite>) -> Result<(), StoreError> {
        tx.commit().await.map_err(fault)
    }

    fn stepped(&self, step: &Result<Step, HandlerError>) {
        let state = match step {
            Ok(Step::Idle { hole }) => {
                // Nobody else of this journal is further than its first hole.
                self.caught_up();
                if hole.is_some() {
                    State::Holding
                } else {
                    State::Following
                }
            }
            Ok(Step::Advanced { position, .. }) => {
                if self.goal.get().is_some_and(|goal| position >= goal) {
                    self.caught_up();
                }
                if self.building {
                    State::Building
                } else {
                    State::Following
                }
            }
            Ok(Step::Denied | Step::Lost) => return,
            Err(HandlerError::Store(error)) if fault::is_damage(error) => {
                self.ends(End::Worthless(Reason::Damaged));
                State::Failing
            }
            Err(_) => State::Failing,
        };
        // At which hole it holds, the feed says.
        self.state.send_replace(state);
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Folds batches into the tables of one generation.
pub(super) struct Fill {
    pub(super) shared: Arc<Shared>,
    pub(super) statements: Vec<Statements>,
}

#[async_trait]
impl Handler<SqliteConnection> for Fill {
    type Plan = ();

    async fn plan(&self, _: &[Recorded]) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut SqliteConnection,
        events: &[Recorded],
        (): (),
    ) -> Result<(), HandlerError> {
        let statements = &self.statements;
        let mut tables = InFile { statements, tx };
        batch::fold(self.shared.projection, &mut tables, events).await
    }
}
