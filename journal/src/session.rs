//! A connection on which beginning a transaction may be abandoned.
//!
//! sqlx 0.8.6 loses track when the future of `begin` is dropped after `BEGIN` went out and before it was
//! answered: the connection goes back to its pool inside an open transaction that nobody knows of, and what the
//! next user commits by itself is never committed. Futures are dropped all the time (time-outs, `select`, a
//! client that hangs up), so a pool's transactions are begun here, and such a connection is closed.

use std::borrow::Cow;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Postgres, Transaction};

use crate::{Connections, StoreError};

/// A connection of a pool, for transactions.
pub struct Session {
    connection: PoolConnection<Postgres>,
    begin: Option<Cow<'static, str>>,
    beginning: bool,
}

impl Session {
    /// Waits for a free connection.
    ///
    /// # Errors
    /// [`StoreError`] when none comes free in time, or none can be made.
    pub async fn open(pool: &Connections) -> Result<Self, StoreError> {
        let connection = pool.acquire().await?;
        let beginning = false;
        Ok(Self {
            connection,
            begin: pool.begin(),
            beginning,
        })
    }

    /// Begins a transaction; it is rolled back when it is dropped.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, StoreError> {
        self.beginning = true;
        let begun = match &self.begin {
            Some(begin) => self.connection.begin_with(begin.clone()).await,
            None => self.connection.begin().await,
        };
        // Answered either way: from here on sqlx knows what it has.
        self.beginning = false;
        Ok(begun?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.beginning {
            self.connection.close_on_drop();
        }
    }
}
