//! Statements as a superuser writes them: a test's way past the journal's own code.

use domain::ports::Random;
use jiff_sqlx::ToSqlx;
use journal::append::Append;
use journal::runtime::SystemRandom;
use serde_json::Value;
use sqlx::{PgConnection, Row};

use crate::samples;

/// Runs statements.
pub(crate) async fn run(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

/// One number.
pub(crate) async fn number(connection: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// A column of numbers.
pub(crate) async fn numbers(connection: &mut PgConnection, query: &str) -> Vec<i64> {
    sqlx::query_scalar(query)
        .fetch_all(connection)
        .await
        .unwrap()
}

/// One text.
pub(crate) async fn text(connection: &mut PgConnection, query: &str) -> String {
    sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// A column of texts.
pub(crate) async fn texts(connection: &mut PgConnection, query: &str) -> Vec<String> {
    sqlx::query_scalar(query)
        .fetch_all(connection)
        .await
        .unwrap()
}

/// The SQLSTATE with which a statement is refused.
pub(crate) async fn refusal(connection: &mut PgConnection, statement: &str) -> String {
    let error = sqlx::raw_sql(statement)
        .execute(connection)
        .await
        .expect_err(statement);
    sqlstate(&error)
}

/// The SQLSTATE of an error that the server gave.
pub(crate) fn sqlstate(error: &sqlx::Error) -> String {
    let answer = error
        .as_database_error()
        .unwrap_or_else(|| panic!("{error}"));
    answer.code().unwrap().into_owned()
}

/// Inserts an event past `journal_append`, in the connection's transaction; its position.
pub(crate) async fn insert_event(connection: &mut PgConnection, key: i64, sequence: i64) -> i64 {
    let event = samples::event("Book", key);
    sqlx::query_scalar(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('Book', $1, $2, $3, $4, $5, $6) returning position",
    )
    .bind(key.to_string())
    .bind(sequence)
    .bind(event.event_type)
    .bind(event.event_version)
    .bind(event.payload)
    .bind(metadata())
    .fetch_one(connection)
    .await
    .unwrap()
}

/// Calls the SQL function itself, with groups that `Journal::append` would take apart; the outcomes.
pub(crate) async fn journal_append(
    connection: &mut PgConnection,
    group: &[Append],
) -> Result<Vec<String>, sqlx::Error> {
    let numbered = || (1_i32..).zip(group);
    let events: Vec<_> = numbered()
        .flat_map(|(ordinal, command)| command.streams.iter().map(move |s| (ordinal, s)))
        .flat_map(|(ordinal, s)| {
            let sequences = s.expected_version + 1..;
            sequences
                .zip(&s.events)
                .map(move |(n, event)| (ordinal, &s.stream, n, event))
        })
        .collect();
    let claims: Vec<_> = numbered()
        .flat_map(|(ordinal, command)| command.claims.iter().map(move |c| (ordinal, c)))
        .collect();
    let candidates: Vec<_> = (1_i32..)
        .zip(&claims)
        .flat_map(|(claim, (_, c))| c.units.iter().map(move |unit| (claim, *unit)))
        .collect();
    let releases: Vec<_> = numbered()
        .flat_map(|(ordinal, command)| command.release.iter().map(move |b| (ordinal, *b)))
        .collect();
    let spends: Vec<_> = numbered()
        .flat_map(|(ordinal, command)| command.spend.map(|spend| (ordinal, spend)))
        .collect();
    let rows = sqlx::query(
        "select outcome from journal_append(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
         ) order by ordinal",
    )
    .bind(column(group, |command| command.command_id))
    .bind(column(&events, |e| e.0))
    .bind(column(&events, |e| e.1.aggregate_type.clone()))
    .bind(column(&events, |e| e.1.aggregate_id.clone()))
    .bind(column(&events, |e| e.2))
    .bind(column(&events, |e| e.3.event_type.clone()))
    .bind(column(&events, |e| e.3.event_version.clone()))
    .bind(column(&events, |e| e.3.payload.clone()))
    .bind(column(&events, |_| metadata()))
    .bind(column(&events, |_| SystemRandom.uuid()))
    .bind(column(&claims, |c| c.0))
    .bind(column(&claims, |c| c.1.bookid))
    .bind(column(&claims, |c| c.1.start.to_sqlx()))
    .bind(column(&claims, |c| c.1.end.to_sqlx()))
    .bind(column(&candidates, |c| c.0))
    .bind(column(&candidates, |c| c.1))
    .bind(column(&releases, |r| r.0))
    .bind(column(&releases, |r| r.1))
    .bind(column(&spends, |s| s.0))
    .bind(column(&spends, |s| s.1.userid))
    .bind(column(&spends, |s| s.1.points))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.try_get("outcome")).collect()
}

fn column<R, V>(rows: &[R], value: impl FnMut(&R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

fn metadata() -> Value {
    Value::from_iter(samples::metadata().to_map())
}
