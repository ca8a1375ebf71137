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

use crate::StoreError;

/// How long a caller waits for a free connection, or for a new one.
pub const ACQUIRE_MAX: Duration = Duration::from_secs(2);
/// How long a statement is waited for: longer than the server lets it run ([`crate::schema`]), because the
/// server's answer says more than none.
pub const STATEMENT_MAX: Duration = Duration::from_secs(11);
/// How long a transaction is waited for, all its statements together.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(15);
/// How long a connection that is given back may take to answer.
const GIVE_BACK_MAX: Duration = Duration::from_secs(1);

/// A pool of connections whose every statement ends in time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections(PgPool);

impl Connections {
    /// At most `max` connections; none is made before it is needed.
    pub(crate) fn lazily(options: PgConnectOptions, max: u32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_MAX)
            // A ping before every use costs a round trip; a broken connection shows at once anyway.
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    // Answered: it is kept. Broken or silent: it is closed, without waiting for anything.
                    let answered = tokio::time::timeout(GIVE_BACK_MAX, connection.ping()).await;
                    Ok(matches!(answered, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(options);
        Self(pool)
    }

    /// Connections to nothing: none is ever made.
    pub(crate) fn nowhere() -> Self {
        let nobody = PgConnectOptions::new_without_pgpass().socket("/nonexistent");
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::ZERO)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(nobody);
        Self(pool)
    }

    /// A connection of one's own, for a while. Its statements have no bound but the caller's.
    ///
    /// # Errors
    /// [`StoreError`] when none comes free in time, or none can be made.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.0.acquire().await?)
    }

    /// The pool itself, for a library that takes nothing else; what is asked of it needs a [`within`].
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.0
    }

    /// How the connections are made.
    #[must_use]
    pub fn options(&self) -> Arc<PgConnectOptions> {
        self.0.connect_options()
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

/// For pools that were made elsewhere, in tests above all.
impl From<PgPool> for Connections {
    fn from(pool: PgPool) -> Self {
        Self(pool)
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
    match tokio::time::timeout(max, work).await {
        Ok(done) => done,
        Err(_) => Err(silent(max).into()),
    }
}

fn silent(max: Duration) -> StoreError {
    metrics::counter!("database_silent_total").increment(1);
    StoreError::Unreachable(format!("it did not answer within {} s", max.as_secs()))
}

/// The same on the level of sqlx.
pub(crate) async fn statement<T>(work: impl Future<Output = T>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_MAX, work)
        .await
        .map_err(|_| {
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
            let mut connection = self.0.acquire().await?;
            let rows = connection.fetch_many(query).collect::<Vec<_>>();
            statement(rows).await
        };
        let flat = |rows: Result<Vec<_>, _>| match rows {
            Ok(rows) => stream::iter(rows).left_stream(),
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
            let mut connection = self.0.acquire().await?;
            statement(connection.fetch_optional(query)).await?
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
            let mut connection = self.0.acquire().await?;
            statement(connection.prepare_with(sql, parameters)).await?
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
            let mut connection = self.0.acquire().await?;
            statement(connection.describe(sql)).await?
        })
    }
}
