//! Tells other processes that something was appended, and hears them.
//!
//! `NOTIFY` inside the append would serialise every commit; here one separate connection says it for all
//! appends of the last [`EVERY`], and another one listens. A signal carries no data and may be lost: followers
//! also poll.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connections::{STATEMENT_MAX, statement, within};
use crate::runtime::Runtime;
use crate::{Connections, Journal, StoreError};

/// At most one notification of this process in this time.
pub const EVERY: Duration = Duration::from_millis(20);

/// How long to wait before connecting again.
const RECONNECT: Duration = Duration::from_secs(1);

/// How often a silent line is asked whether it still stands.
const ASK_EVERY: Duration = Duration::from_secs(10);

const CHANNEL: &str = "spacerent_appended";

/// Notifies and listens until cancelled.
pub async fn run(journal: Journal, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
    let me = journal.random().uuid();
    let both = async {
        tokio::join!(
            speak(&journal, &*runtime, me),
            hear(&journal, &*runtime, me)
        );
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = both => {}
    }
}

async fn speak(journal: &Journal, runtime: &dyn Runtime, me: Uuid) {
    let mut appended = journal.appended.subscribe();
    while appended.changed().await.is_ok() {
        let said = sqlx::query("select pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(me.to_string())
            .execute(journal.pool())
            .await;
        if let Err(error) = said {
            tracing::debug!(%error, "a wake-up was not sent; polling finds the events");
        }
        runtime.sleep(EVERY).await;
    }
}

async fn hear(journal: &Journal, runtime: &dyn Runtime, me: Uuid) {
    loop {
        if let Err(error) = listen(journal, runtime, me).await {
            tracing::debug!(%error, "wake-ups of other processes are not heard; polling goes on");
        }
        runtime.sleep(RECONNECT).await;
    }
}

/// Listens on a connection of its own, so that the pool does not lose one to a line that has gone silent.
async fn listen(journal: &Journal, runtime: &dyn Runtime, me: Uuid) -> Result<(), StoreError> {
    let line = Connections::lazily((*journal.pool().options()).clone(), 1);
    let mut listener = PgListener::connect_with(line.pool()).await?;
    within(STATEMENT_MAX, async {
        listener.listen(CHANNEL).await.map_err(StoreError::from)
    })
    .await?;
    let me = me.to_string();
    loop {
        tokio::select! {
            biased;
            heard = listener.recv() => {
                if heard?.payload() != me {
                    journal.hear();
                }
            }
            // Silence may mean that nothing happens, or that nobody is there any more.
            () = runtime.sleep(ASK_EVERY) => {
                statement(sqlx::query("select").execute(&mut listener)).await??;
            }
        }
    }
}
