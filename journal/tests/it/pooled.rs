//! Connections that keep nothing on a session, as behind a pooler of transactions: on a plain server, which shows
//! what is left behind as well.

use journal::schema::{self, Pooler};
use journal::{Connections, Session};
use sqlx::Row;

use crate::force::within;
use crate::samples::booked;
use crate::stage::{Stage, append_one, journal_over};

fn pooled(stage: &Stage, max: u32) -> Connections {
    schema::connect_through(Pooler::Transaction, stage.url(), max).unwrap()
}

const SESSION: &str = "select current_user::text as role, current_setting('lock_timeout') as lock,
                              current_setting('idle_in_transaction_session_timeout') as idle";

/// Role and time-outs as a plain connection has them, in a statement, a transaction, and a library's read.
#[tokio::test]
async fn every_transaction_knows_what_a_session_would() {
    let stage = Stage::open().await;
    let pool = pooled(&stage, 4);
    schema::check(&pool).await.unwrap();
    let read = |row: sqlx::postgres::PgRow| -> [String; 3] { [row.get(0), row.get(1), row.get(2)] };
    let plain = schema::connect(stage.url(), 1).unwrap();
    let wanted = read(sqlx::query(SESSION).fetch_one(&plain).await.unwrap());
    assert_eq!(wanted[0], schema::RUNTIME_ROLE);

    let alone = sqlx::query(SESSION).fetch_one(&pool).await.unwrap();
    assert_eq!(read(alone), wanted);
    let mut session = Session::open(&pool).await.unwrap();
    let mut tx = session.begin().await.unwrap();
    let within = sqlx::query(SESSION).fetch_one(&mut *tx).await.unwrap();
    assert_eq!(read(within), wanted);
    tx.commit().await.unwrap();
    for _ in 0..2 {
        let of_library = sqlx::query(SESSION)
            .fetch_one(pool.for_reads())
            .await
            .unwrap();
        assert_eq!(read(of_library), wanted);
    }
}

/// A single connection, so that what one user leaves the next one finds.
#[tokio::test]
async fn what_is_answered_is_committed_and_nothing_stays_on_the_session() {
    let mut stage = Stage::open().await;
    let pool = pooled(&stage, 1);
    let journal = journal_over(pool.clone());
    append_one(&journal, booked(1, 1)).await.unwrap();
    assert_eq!(stage.events().await, 1);
    let failed = sqlx::query("select 1 / $1::int")
        .bind(0)
        .execute(&pool)
        .await;
    assert!(failed.is_err());
    append_one(&journal, booked(2, 2)).await.unwrap();
    assert_eq!(stage.events().await, 2);
    assert_eq!(journal.head().await.unwrap(), 2);

    let left = "select count(*) from pg_stat_activity where datname = current_database()
                and application_name = 'spacerent' and xact_start is not null";
    assert_eq!(stage.number(left).await, 0);
    let role = "select current_setting('role')";
    let mut bare = pool.pool().acquire().await.unwrap();
    let role: String = sqlx::raw_sql(role)
        .fetch_one(&mut *bare)
        .await
        .unwrap()
        .get(0);
    assert_eq!(role, "none");
}

/// Abandoned in the middle, a statement must not leave its transaction open: it would pin a session that others wait
/// for, and its locks with it.
#[tokio::test]
async fn an_abandoned_statement_takes_its_connection_with_it() {
    let mut stage = Stage::open().await;
    let pool = pooled(&stage, 1);
    let slow = sqlx::query("select pg_sleep(0.3)").execute(&pool);
    let moment = std::time::Duration::from_millis(100);
    assert!(
        local_postgres::testing::timeout(moment, slow)
            .await
            .is_err()
    );
    let of_pool = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'spacerent'";
    within("the statement ends", async {
        while stage
            .number(&format!("{of_pool} and state = 'active'"))
            .await
            > 0
        {}
    })
    .await;
    let idle = format!("{of_pool} and state like 'idle in transaction%'");
    assert_eq!(stage.number(&idle).await, 0);
    append_one(&journal_over(pool.clone()), booked(1, 1))
        .await
        .unwrap();
    assert_eq!(stage.events().await, 1);
}

/// Names that somebody else prepared on the session are in nobody's way.
#[tokio::test]
async fn statements_of_another_client_are_not_taken_for_ours() {
    let stage = Stage::open().await;
    let pool = pooled(&stage, 1);
    let mut theirs = pool.pool().acquire().await.unwrap();
    for number in 1..10 {
        let prepare = format!("prepare sqlx_s_{number} as select 'theirs'");
        sqlx::raw_sql(&prepare).execute(&mut *theirs).await.unwrap();
    }
    drop(theirs);
    let said: String = sqlx::query_scalar("select $1::text")
        .bind("ours")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(said, "ours");
}
