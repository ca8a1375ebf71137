//! A statement on its own: as it is, or as all there is in a transaction.

use std::borrow::Cow;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgConnection, Postgres};
use tokio::sync::OwnedSemaphorePermit;

use super::{Connections, GIVE_BACK_MAX, statement, timeout};

/// A connection for a single statement.
pub(super) struct Lone {
    connection: PoolConnection<Postgres>,
    in_transaction: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Lone {
    /// Waits for a connection, and begins a transaction where statements do not stand alone.
    pub(super) async fn begin(connections: &Connections) -> Result<Self, sqlx::Error> {
        let place = connections.place().await?;
        let connection = connections.pool.acquire().await?;
        let mut lone = Self {
            connection,
            in_transaction: false,
            _place: place,
        };
        if let Some(begin) = connections.begin() {
            lone.in_transaction = true;
            statement(lone.connection.execute(&*begin)).await??;
        }
        Ok(lone)
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Ends the transaction, if there is one: what was `done` is answered when it is committed.
    pub(super) async fn end<T>(mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if self.in_transaction {
            let end = if done.is_ok() { "commit" } else { "rollback" };
            let ended = statement(self.connection.execute(end)).await.flatten();
            self.in_transaction = ended.is_err();
            if done.is_ok() {
                ended?;
            }
        }
        done
    }
}

/// Abandoned in the middle: the next user must not find a transaction that nobody ends.
impl Drop for Lone {
    fn drop(&mut self) {
        if self.in_transaction {
            self.connection.close_on_drop();
        }
    }
}

/// A pool whose connections stand in a transaction while somebody has them, and are rolled back afterwards.
pub(super) fn in_transactions(pool: PgPoolOptions, begin: Cow<'static, str>) -> PgPoolOptions {
    let (of_new, of_idle) = (begin.clone(), begin);
    pool.after_connect(move |connection, _| {
        let begin = of_new.clone();
        Box::pin(async move {
            connection.execute(&*begin).await?;
            Ok(())
        })
    })
    .before_acquire(move |connection, _| {
        let begin = of_idle.clone();
        Box::pin(async move {
            connection.execute(&*begin).await?;
            Ok(true)
        })
    })
    .after_release(|connection, _| {
        Box::pin(async move {
            let ended = timeout(GIVE_BACK_MAX, connection.execute("rollback")).await;
            Ok(matches!(ended, Ok(Ok(_))))
        })
    })
}
