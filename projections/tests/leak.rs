#![allow(clippy::unwrap_used, reason = "x")]
use local_postgres::testing::Database;
use std::future::Future;
use std::task::{Context, Poll, Waker};

#[tokio::test]
async fn leak() {
    let database = Database::create("leak", async |_| Ok(())).await.unwrap();
    let other = database.pool(1).await.unwrap();
    sqlx::query("create table t (n int)").execute(&other).await.unwrap();
    let mut lost = 0;
    for polls in 1..6 {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect(database.url()).await.unwrap();
        {
            let mut begin = Box::pin(pool.begin());
            for _ in 0..polls {
                tokio::task::yield_now().await;
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready(tx) = begin.as_mut().poll(&mut cx) { drop(tx); println!("ready at {polls}"); break; }
            }
        }
        sqlx::query("insert into t values ($1)").bind(polls).execute(&pool).await.unwrap();
        let n: i64 = sqlx::query_scalar("select count(*) from t where n = $1").bind(polls).fetch_one(&other).await.unwrap();
        println!("{polls} polls: {n}");
        if n == 0 { lost += 1; }
    }
    println!("lost {lost}");
    assert_eq!(lost, 0);
}
