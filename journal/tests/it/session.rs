//! Transactions whose beginning was abandoned.

use std::future::Future;
use std::task::{Context, Waker};

use journal::{Connections, Session};
use sqlx::postgres::PgPoolOptions;

use crate::stage::Stage;

/// A pool of a single connection: what one user leaves on it, the next one finds.
async fn lonely_pool(stage: &Stage) -> Connections {
    let options = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false);
    let pool = options.connect(stage.url()).await.unwrap();
    sqlx::query("create table if not exists said (what text)")
        .execute(&pool)
        .await
        .unwrap();
    pool.into()
}

/// Starts and abandons: `BEGIN` goes out, and nobody hears the answer. False when the answer was faster.
fn abandon(beginning: impl Future) -> bool {
    let mut beginning = Box::pin(beginning);
    let mut context = Context::from_waker(Waker::noop());
    beginning.as_mut().poll(&mut context).is_pending()
}

/// Says something through the pool, and how much of it another session sees.
async fn say(stage: &mut Stage, pool: &Connections) -> i64 {
    sqlx::query("insert into said values ('yes')")
        .execute(pool)
        .await
        .unwrap();
    stage.number("select count(*) from said").await
}

#[tokio::test]
async fn what_is_committed_after_an_abandoned_beginning_stays() {
    let mut stage = Stage::open().await;
    let pool = lonely_pool(&stage).await;
    loop {
        let mut session = Session::open(&pool).await.unwrap();
        if abandon(session.begin()) {
            break;
        }
    }
    assert_eq!(say(&mut stage, &pool).await, 1);
}

/// The harm that [`Session`] is there for. When this fails, sqlx has learnt it and `session.rs` can go.
#[tokio::test]
async fn sqlx_alone_gives_the_next_user_a_transaction_that_nobody_ends() {
    let mut stage = Stage::open().await;
    let pool = lonely_pool(&stage).await;
    loop {
        let mut connection = pool.pool().acquire().await.unwrap();
        if abandon(sqlx::Connection::begin(&mut *connection)) {
            break;
        }
    }
    assert_eq!(say(&mut stage, &pool).await, 0);
}
