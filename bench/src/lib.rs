//! Measures; never shipped. Every figure is a ratio to a baseline of the same run, because machines differ and
//! the same machine differs from minute to minute.

pub mod rebuild;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::{Command, Money, book, payment};
use futures::future::try_join_all;
use journal::runtime::{SystemClock, SystemRandom};
use journal::{Actor, Journal, Request, Trace};
use sqlx::PgPool;
use uuid::Uuid;

/// The least that a commit can do: one row of an event's size a commit.
///
/// # Errors
/// When the database does not answer.
pub async fn one_insert_a_commit(
    pool: &PgPool,
    clients: usize,
    each: usize,
) -> anyhow::Result<Duration> {
    sqlx::query("drop table if exists baseline")
        .execute(pool)
        .await?;
    sqlx::query(
        "create table baseline (id bigint generated always as identity primary key, payload jsonb)",
    )
    .execute(pool)
    .await?;
    let payload = payload_like_an_event();
    timed(clients, each, |_| {
        let payload = payload.clone();
        async move {
            sqlx::query("insert into baseline (payload) values ($1::jsonb)")
                .bind(payload)
                .execute(pool)
                .await?;
            Ok(())
        }
    })
    .await
}

/// Bookings placed one command a call: two events and a command id a commit.
///
/// # Errors
/// When the database does not answer.
pub async fn one_command_a_call(
    journal: &Journal,
    clients: usize,
    each: usize,
) -> anyhow::Result<Duration> {
    timed(clients, each, |_| async {
        let request = place(journal).await?;
        journal.execute_one(request).await?;
        Ok(())
    })
    .await
}

/// Bookings placed `group` commands a call.
///
/// # Errors
/// When the database does not answer.
pub async fn commands_in_groups(
    journal: &Journal,
    clients: usize,
    each: usize,
    group: usize,
) -> anyhow::Result<Duration> {
    timed(clients, each / group, |_| async {
        let requests = try_join_all((0..group).map(|_| place(journal))).await?;
        for done in journal.execute(requests).await {
            done?;
        }
        Ok(())
    })
    .await
}

/// A journal as the service opens it.
///
/// # Errors
/// When the database does not answer.
pub fn journal(url: &str, connections: u32) -> anyhow::Result<Journal> {
    let pool = journal::schema::connect(url, connections)?;
    Ok(Journal::new(
        pool,
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
    ))
}

async fn timed<F, W>(clients: usize, each: usize, work: F) -> anyhow::Result<Duration>
where
    F: Fn(usize) -> W,
    W: Future<Output = anyhow::Result<()>>,
{
    let began = local_postgres::testing::stopwatch();
    try_join_all((0..clients).map(|client| {
        let work = &work;
        async move {
            for _ in 0..each {
                work(client).await?;
            }
            anyhow::Ok(())
        }
    }))
    .await?;
    Ok(began.elapsed())
}

async fn place(journal: &Journal) -> anyhow::Result<Request> {
    let spacename = "numberone".to_owned();
    let next = journal.next_booking(&spacename).await;
    let bookid = next.context("no booking number")?.bookid;
    let price = Money::krw(10_000);
    Ok(Request {
        command_id: journal.random().uuid(),
        trace: Trace {
            correlation_id: Uuid::nil().to_string(),
            causation_id: None,
            traceparent: None,
            actor: Actor::Customer,
            actor_id: None,
        },
        commands: vec![
            Command::Book(
                bookid,
                book::Command::Place {
                    bookid,
                    userid: None,
                    spacename: spacename.clone(),
                    price,
                    scheduled: None,
                },
            ),
            Command::Payment(
                bookid,
                payment::Command::Request {
                    bookid,
                    userid: None,
                    spacename,
                    price,
                    points: domain::payment::Points::default(),
                },
            ),
        ],
        claims: vec![],
    })
}

fn payload_like_an_event() -> String {
    format!(
        r#"{{"type":"Booked","bookid":1,"spacename":"numberone","pad":"{}"}}"#,
        "x".repeat(250)
    )
}
