//! Forces interleavings: sessions that stand still where a test wants them to.
//!
//! An insert waits for an advisory lock that the test holds; the test goes on when the server says that the
//! session waits. Nothing here sleeps in the hope that something has happened meanwhile.

use std::time::Duration;

use journal::runtime::{Runtime, Tokio};
use sqlx::PgConnection;

use crate::sql;

/// No single wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = local_postgres::testing::stopwatch();
    while !condition().await {
        assert!(
            began.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        Tokio.sleep(LOOK_EVERY).await;
    }
}

/// What `future` comes to, if it comes to anything.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let bounded = local_postgres::testing::timeout(PATIENCE, future).await;
    bounded.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Makes inserts into `table` whose row `new` meets `condition` wait while somebody holds lock `key`.
pub(crate) async fn stall(owner: &mut PgConnection, table: &str, condition: &str, key: i64) {
    let statements = format!(
        "create function stall_{key}() returns trigger language plpgsql as $$
         begin
             if {condition} then perform pg_advisory_xact_lock_shared({key}); end if;
             return new;
         end $$;
         create trigger stall_{key} before insert on {table} for each row execute function stall_{key}()"
    );
    sql::run(owner, &statements).await;
    hold(owner, key).await;
}

/// Takes lock `key` for this session.
pub(crate) async fn hold(session: &mut PgConnection, key: i64) {
    sql::run(session, &format!("select pg_advisory_lock({key})")).await;
}

/// Lets those go on who wait for lock `key`.
pub(crate) async fn let_go(session: &mut PgConnection, key: i64) {
    sql::run(session, &format!("select pg_advisory_unlock({key})")).await;
}

/// Waits until so many sessions of this database wait for a lock.
pub(crate) async fn until_blocked(observer: &mut PgConnection, sessions: i64) {
    let blocked = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    until(
        &format!("{sessions} sessions wait for a lock"),
        async || sql::number(observer, blocked).await == sessions,
    )
    .await;
}
