//! The connections of the runtime role, and how long each of their doings may take.
//!
//! A server that is gone says so, and one that is busy is stopped by its own time-outs. One that *hangs* (it was
//! stopped, its disk does not answer, the network swallows everything) says nothing, and no time-out of its own
//! fires. So every wait has a bound on this side, too: for a free or new connection [`ACQUIRE_MAX`], for a
//! statement [`STATEMENT_MAX`], for a whole transaction [`TRANSACTION_MAX`]. What ran into one is
//! [`StoreError::Unreachable`]: it may have happened, and may still happen when the server wakes up.
//!
//! sqlx takes a connection whose statement was abandoned back into the pool when it answers, and waits for that
//! without end: a pool would be full of connections that never come back. Here it must answer within
//! [`GIVE_BACK_MAX`], or is given up and replaced by a new one.
//!
//! Behind a pooler that lends a server connection for a transaction at a time nothing may be left on a session:
//! see [`Manner`].

mod lone;
mod manner;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{Connection, Describe, Either, Execute, Executor, PgPool, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;

use crate::StoreError;
use lone::Lone;
pub(crate) use manner::Manner;

/// How long a caller waits for a free connection, or for a new one.
pub const ACQUIRE_MAX: Duration = Duration::from_secs(2);
/// How long a statement is waited for: longer than the server lets it run ([`crate::schema`]), because the
/// server's answer says more than none.
pub const STATEMENT_MAX: Duration = Duration::from_secs(11);
/// How long a transaction is waited for, all its statements together.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(15);
/// How long a connection that is given back may take to answer.
const GIVE_BACK_MAX: Duration = Duration::from_secs(1);

/// The part of the connections that a library has to itself behind a pooler of transactions: one in this many.
const SHARE_FOR_READS: u32 = 4;

/// A pool of connections whose every statement ends in time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: PgPool,
    /// For reads by a library that wants a bare pool; the same one where statements may stand alone.
    reads: PgPool,
    manner: Manner,
    /// Places for statements, where only a part of the connections may be used.
    places: Option<Arc<Semaphore>>,
}

impl Connections {
    /// At most `max` connections; none is made before it is needed.
    pub(crate) fn lazily(options: PgConnectOptions, max: u32, manner: Manner) -> Self {
        let options = manner.connect_options(options);
        let Some(begin) = manner.begin() else {
            let pool = at_most(max).connect_lazy_with(options);
            return Self {
                reads: pool.clone(),
                pool,
                manner,
                places: None,
            };
        };
        let for_reads = (max / SHARE_FOR_READS).max(1);
        let pool = at_most(max.saturating_sub(for_reads).max(1));
        let reads = lone::in_transactions(at_most(for_reads), begin);
        Self {
            pool: pool.connect_lazy_with(options.clone()),
            reads: reads.connect_lazy_with(options),
            manner,
            places: None,
        }
    }

    /// Connections to nothing: none is ever made.
    pub(crate) fn nowhere() -> Self {
        let nobody = PgConnectOptions::new_without_pgpass().socket("/nonexistent");
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::ZERO)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(nobody);
        pool.into()
    }

    /// The same connections for statements of which half as many as there are connections are at work at once, and the
    /// others wait: however many questions are asked, a command finds a connection.
    #[must_use]
    pub fn for_questions(&self) -> Self {
        let half = self.pool.options().get_max_connections() / 2;
        let places = usize::try_from(half.max(1)).unwrap_or(1);
        Self {
            places: Some(Arc::new(Semaphore::new(places))),
            ..self.clone()
        }
    }

    /// Waits for a place, where there are not as many as connections.
    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, sqlx::Error> {
        let Some(places) = &self.places else {
            return Ok(None);
        };
        let place = Arc::clone(places).acquire_owned();
        match timeout(ACQUIRE_MAX, place).await {
            Ok(Ok(place)) => Ok(Some(place)),
            // Too many wait; the places themselves are never closed.
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// A bare connection for a [`crate::Session`]. What is said on it has no bound, and stands in no transaction where
    /// statements do not stand alone: both are its user's to see to.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// The pool itself, for a library that takes nothing else; what is asked of it needs a [`within`].
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A bare pool for a library that only reads; what is asked of it needs a [`within`]. Behind a pooler of
    /// transactions what is written through it is rolled back.
    #[must_use]
    pub fn for_reads(&self) -> &PgPool {
        &self.reads
    }

    /// How the connections are made.
    #[must_use]
    pub fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    /// SQL that begins a transaction here, where it is not simply `BEGIN`.
    pub(crate) fn begin(&self) -> Option<Cow<'static, str>> {
        self.manner.begin()
    }

    /// Whether a session stays the same from one transaction to the next, and can listen, for one.
    pub(crate) fn keeps_sessions(&self) -> bool {
        self.manner == Manner::Sessions
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
        self.reads.close().await;
    }
}

fn at_most(max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE_MAX)
        // A ping before every use costs a round trip; a broken connection shows at once anyway.
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Answered: it is kept. Broken or silent: it is closed, without waiting for anything.
                let answered = timeout(GIVE_BACK_MAX, connection.ping()).await;
                Ok(matches!(answered, Ok(Ok(()))))
            })
        })
}

/// For pools that were made elsewhere, in tests above all.
impl From<PgPool> for Connections {
    fn from(pool: PgPool) -> Self {
        Self {
            reads: pool.clone(),
            pool,
            manner: Manner::Sessions,
            places: None,
        }
    }
}

/// What `work` comes to, or that it did not end in time.
///
/// # Errors
/// That of `work`, or [`StoreError::Unreachable`].
pub async fn within<T, E>(max: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<StoreError>,
{
    match timeout(max, work).await {
        Ok(done) => done,
        Err(_) => Err(silent(max).into()),
    }
}

/// A bound in real time. The database lives in it, and so does the pool, which calls back without a runtime to ask;
/// a simulation stands before all of this.
#[expect(
    clippy::disallowed_methods,
    reason = "connections, pooled ones too, live in real time"
)]
async fn timeout<T>(max: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    tokio::time::timeout(max, work).await
}

fn silent(max: Duration) -> StoreError {
    metrics::counter!("database_silent_total").increment(1);
    StoreError::Unreachable(format!("it did not answer within {} s", max.as_secs()))
}

/// The same on the level of sqlx.
pub(crate) async fn statement<T>(work: impl Future<Output = T>) -> Result<T, sqlx::Error> {
    timeout(STATEMENT_MAX, work).await.map_err(|_| {
        let said = silent(STATEMENT_MAX).to_string();
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, said))
    })
}

impl<'p> Executor<'p> for &'p Connections {
    type Database = Postgres;

    /// Rows come when the statement has ended: none of ours is so long that it must be read in parts.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all = async move {
            let mut lone = Lone::begin(self).await?;
            let rows = lone.connection().fetch_many(query).collect::<Vec<_>>();
            let rows = statement(rows).await;
            let all: Result<Vec<_>, _> = rows.and_then(|rows| rows.into_iter().collect());
            lone.end(all).await
        };
        let flat = |rows: Result<Vec<_>, _>| match rows {
            Ok(rows) => stream::iter(rows.into_iter().map(Ok)).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        };
        Box::pin(stream::once(all).flat_map(flat))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lone = Lone::begin(self).await?;
            let done = statement(lone.connection().fetch_optional(query)).await;
            lone.end(done.flatten()).await
        })
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lone = Lone::begin(self).await?;
            let done = statement(lone.connection().prepare_with(sql, parameters)).await;
            lone.end(done.flatten()).await
        })
    }

    fn describe<'e, 'q: 'e>(
        self,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lone = Lone::begin(self).await?;
            let done = statement(lone.connection().describe(sql)).await;
            lone.end(done.flatten()).await
        })
    }
}
