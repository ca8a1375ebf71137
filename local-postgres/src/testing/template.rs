//! Template databases: prepared once per key, then copied for each test.
//!
//! Advisory locks on the key keep the processes apart: copying needs a share of the key, making and dropping
//! need the whole. A template is made under another name and renamed when it is complete, so a killed run's
//! half-made one is never copied. Locks belong to the session and end with it. Only the newest few are kept.

use std::error::Error as StdError;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::server::quoted;

/// How many templates are kept, the newest; an empty database takes some 7 MB.
const TEMPLATES_MAX: i64 = 8;
/// How a finished template begins.
const FINISHED: &str = "template_";
/// How one being made begins.
const UNFINISHED: &str = "unfinished_";

/// One template, finished or not.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    hash: String,
}

impl Template {
    /// The template of a caller's key.
    pub(crate) fn of(key: &str) -> Self {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes());
        Self {
            hash: hash.simple().to_string(),
        }
    }

    /// Its name when finished.
    pub(crate) fn name(&self) -> String {
        format!("{FINISHED}{}", self.hash)
    }

    /// Makes sure that the template is there, and stays there for as long as the session of `connection`.
    /// `url` turns a database's name into its URI for `prepare`.
    pub(crate) async fn ensure(
        &self,
        connection: &mut PgConnection,
        url: impl Fn(&str) -> String,
        prepare: impl AsyncFnOnce(&str) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<(), Error> {
        // Whoever makes a template or waits for it does so within this bound.
        run(connection, "set lock_timeout = '120s'").await?;
        self.locking("pg_advisory_lock_shared", connection).await?;
        if self.is_there(connection).await? {
            return Ok(());
        }
        self.locking("pg_advisory_unlock_shared", connection)
            .await?;
        self.locking("pg_advisory_lock", connection).await?;
        if !self.is_there(connection).await? {
            self.make(connection, url, prepare).await?;
        }
        // One session may hold both: the template is never without a lock, and others may copy it from here on.
        self.locking("pg_advisory_lock_shared", connection).await?;
        self.locking("pg_advisory_unlock", connection).await
    }

    async fn locking(&self, function: &str, connection: &mut PgConnection) -> Result<(), Error> {
        let statement = format!("select {function}(hashtextextended($1, 0))");
        sqlx::query(&statement)
            .bind(&self.hash)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn is_there(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        let there =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
        Ok(there.bind(self.name()).fetch_one(connection).await?)
    }

    /// Makes the template. Call with the whole of its key locked.
    async fn make(
        &self,
        connection: &mut PgConnection,
        url: impl Fn(&str) -> String,
        prepare: impl AsyncFnOnce(&str) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<(), Error> {
        prune(connection).await?;
        let unfinished = format!("{UNFINISHED}{}", self.hash);
        let (from, to) = (quoted(&unfinished), quoted(&self.name()));
        run(
            connection,
            &format!("drop database if exists {from} with (force)"),
        )
        .await?;
        run(connection, &format!("create database {from}")).await?;
        prepare(&url(&unfinished)).await.map_err(Error::Prepare)?;
        // A database in use can be neither renamed nor copied: nobody gets in any more, and who is in goes.
        run(
            connection,
            &format!("alter database {from} with allow_connections false"),
        )
        .await?;
        let disconnect = "select count(pg_terminate_backend(pid, 5000))
            from pg_stat_activity where datname = $1";
        sqlx::query(disconnect)
            .bind(&unfinished)
            .execute(&mut *connection)
            .await?;
        run(connection, &format!("alter database {from} rename to {to}")).await
    }
}

/// Drops all but the newest templates, and those whose making was interrupted; not those in use.
async fn prune(connection: &mut PgConnection) -> Result<(), Error> {
    // The oid grows with every database made, so it tells the older from the newer.
    let surplus = "select datname::text from pg_database where starts_with(datname, $1)
        order by oid desc offset $2";
    for (prefix, kept) in [(FINISHED, TEMPLATES_MAX - 1), (UNFINISHED, 0)] {
        let surplus = sqlx::query_scalar(surplus).bind(prefix).bind(kept);
        let names: Vec<String> = surplus.fetch_all(&mut *connection).await?;
        for name in names {
            let hash = name.strip_prefix(prefix).unwrap_or_default().to_owned();
            let template = Template { hash };
            let free = "select pg_try_advisory_lock(hashtextextended($1, 0))";
            let free = sqlx::query_scalar(free).bind(&template.hash);
            if free.fetch_one(&mut *connection).await? {
                let drop = format!("drop database if exists {} with (force)", quoted(&name));
                run(connection, &drop).await?;
                template.locking("pg_advisory_unlock", connection).await?;
            }
        }
    }
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), Error> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
