//! Broken connections: what was committed is answered, and nothing is sent for ever.

use std::time::Duration;

use journal::append::{Outcome, SENDS_MAX};
use journal::{StoreError, schema};
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

use crate::force::until;
use crate::proxy::Proxy;
use crate::samples::{booked, bookings};
use crate::sql;
use crate::stage::{Stage, append_one, journal_over};

#[tokio::test]
async fn a_connection_that_dies_between_commit_and_answer_costs_nothing() {
    let mut stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    append_one(&journal, booked(1, 7)).await.unwrap();
    // A connection that comes back to its pool is asked whether it lives.
    until("the connection is back", async || {
        journal.pool().pool().num_idle() == 1
    })
    .await;

    proxy.swallow_answers();
    let dies = async {
        until("the event is committed", async || {
            sql::number(&mut stage.owner, "select count(*) from commands").await == 2
        })
        .await;
        proxy.cut();
    };
    let (outcome, ()) = tokio::join!(append_one(&journal, booked(2, 8)), dies);
    let Ok(Outcome::Already(answer)) = outcome else {
        panic!("{outcome:?}");
    };
    let position = "select position from events where aggregate_id = '8'";
    assert_eq!(stage.number(position).await, answer.position);
    assert_eq!(stage.events().await, 2);
}

#[tokio::test]
async fn a_group_is_not_taken_apart_when_there_is_no_database_to_send_it_to() {
    // Hangs up on everybody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgresql://nobody@127.0.0.1:{port}/nothing?sslmode=disable");
    let journal = journal_over(schema::connect(&url, 4).unwrap());
    let mut calls = 0;
    let outcomes = tokio::select! {
        outcomes = journal.append(bookings(64)) => outcomes,
        () = async { loop { listener.accept().await.unwrap(); calls += 1; } } => unreachable!(),
    };
    let unreachable = |o: &Result<_, _>| matches!(o, Err(StoreError::Unreachable(_)));
    assert_eq!(outcomes.iter().filter(|o| unreachable(o)).count(), 64);
    assert_eq!(calls, SENDS_MAX);
}

#[tokio::test]
async fn a_group_is_not_taken_apart_when_no_connection_comes_free() {
    let stage = Stage::open().await;
    let one = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100));
    let journal = journal_over(one.connect(stage.url()).await.unwrap());
    let _taken = journal.pool().pool().acquire().await.unwrap();
    let began = local_postgres::testing::stopwatch();
    let outcomes = journal.append(bookings(64)).await;
    let none = |o: &Result<_, StoreError>| matches!(o, Err(StoreError::NoConnection));
    assert_eq!(outcomes.iter().filter(|o| none(o)).count(), 64);
    // Three waits, where a wait for each member and for each of its sends would be two hundred.
    assert!(began.elapsed() < Duration::from_secs(5));
}
