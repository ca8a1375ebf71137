//! Statements as a superuser writes them: a test's way past the journal's own code.

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

/// A command for [`journal_append`]: its id, and its events as aggregate type, booking and sequence.
pub(crate) type Sent<'a> = (u128, &'a [(&'a str, i64, i64)]);

/// Calls the SQL function itself, with groups that `Journal::append` would take apart; the outcomes.
pub(crate) async fn journal_append(
    connection: &mut PgConnection,
    group: &[Sent<'_>],
) -> Result<Vec<String>, sqlx::Error> {
    let events: Vec<_> = (1_i32..)
        .zip(group)
        .flat_map(|(ordinal, (_, events))| events.iter().map(move |event| (ordinal, *event)))
        .collect();
    let stored: Vec<_> = events
        .iter()
        .map(|(_, (aggregate_type, key, _))| samples::event(aggregate_type, *key))
        .collect();
    let rows = sqlx::query(
        "select outcome from journal_append(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '{}', '{}', '{}', '{}', '{}'
         ) order by ordinal",
    )
    .bind(
        group
            .iter()
            .map(|(id, _)| samples::id(*id))
            .collect::<Vec<_>>(),
    )
    .bind(
        events
            .iter()
            .map(|(ordinal, _)| *ordinal)
            .collect::<Vec<_>>(),
    )
    .bind(events.iter().map(|(_, event)| event.0).collect::<Vec<_>>())
    .bind(
        events
            .iter()
            .map(|(_, event)| event.1.to_string())
            .collect::<Vec<_>>(),
    )
    .bind(events.iter().map(|(_, event)| event.2).collect::<Vec<_>>())
    .bind(
        stored
            .iter()
            .map(|event| event.event_type.clone())
            .collect::<Vec<_>>(),
    )
    .bind(
        stored
            .iter()
            .map(|event| event.event_version.clone())
            .collect::<Vec<_>>(),
    )
    .bind(
        stored
            .iter()
            .map(|event| event.payload.clone())
            .collect::<Vec<_>>(),
    )
    .bind(vec![metadata(); events.len()])
    .bind(
        (0..events.len())
            .map(|n| samples::id(900 + n as u128))
            .collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.try_get("outcome")).collect()
}

fn metadata() -> Value {
    Value::from_iter(samples::metadata().to_map())
}
