//! The call of `journal_append`, and the answers that it recorded.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::columns::Columns;
use crate::append::{Answer, Append, Outcome};
use crate::store::NotAppended;
use crate::{Connections, StoreError};

/// SQLSTATE of a group in which a command won only part of what it asked for.
const HALF_WON: &str = "SR001";

pub(super) async fn append(
    pool: &Connections,
    group: &[Append],
) -> Result<Vec<Outcome>, NotAppended> {
    let columns = Columns::of(group);
    let rows = sqlx::query(
        "select outcome, answer from journal_append(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
         ) order by ordinal",
    )
    .bind(columns.command_ids)
    .bind(columns.event_ordinals)
    .bind(columns.aggregate_types)
    .bind(columns.aggregate_ids)
    .bind(columns.sequences)
    .bind(columns.event_types)
    .bind(columns.event_versions)
    .bind(columns.payloads)
    .bind(columns.metadatas)
    .bind(columns.event_ids)
    .bind(columns.claim_ordinals)
    .bind(columns.claim_bookids)
    .bind(columns.claim_starts)
    .bind(columns.claim_ends)
    .bind(columns.candidate_claims)
    .bind(columns.candidate_units)
    .bind(columns.release_ordinals)
    .bind(columns.release_bookids)
    .bind(columns.spend_ordinals)
    .bind(columns.spend_userids)
    .bind(columns.spend_points)
    .fetch_all(pool)
    .await
    .map_err(NotAppended::from)?;
    Ok(rows.iter().map(outcome).collect::<Result<_, _>>()?)
}

pub(super) async fn answers(
    pool: &Connections,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Answer>, StoreError> {
    let rows: Vec<(Uuid, Json<Answer>)> =
        sqlx::query_as("select command_id, answer from commands where command_id = any($1)")
            .bind(ids)
            .fetch_all(pool)
            .await?;
    let unwrapped = |(id, Json(answer))| (id, answer);
    Ok(rows.into_iter().map(unwrapped).collect())
}

fn outcome(row: &PgRow) -> Result<Outcome, StoreError> {
    let outcome: String = row.try_get("outcome")?;
    let answer = || -> Result<Answer, StoreError> {
        let Json(answer) = row.try_get("answer")?;
        Ok(answer)
    };
    match outcome.as_str() {
        "stored" => Ok(Outcome::Stored(answer()?)),
        "already" => Ok(Outcome::Already(answer()?)),
        "taken" => Ok(Outcome::Taken),
        "no_points" => Ok(Outcome::NotCovered),
        "conflict" => Ok(Outcome::Conflict),
        word => Err(StoreError::unknown_word("journal_append", word)),
    }
}

impl From<sqlx::Error> for NotAppended {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::postgres::PgDatabaseError;
        let half = error.as_database_error().and_then(|answer| {
            let answer = answer.try_downcast_ref::<PgDatabaseError>()?;
            (answer.code() == HALF_WON).then(|| answer.detail().unwrap_or_default().to_owned())
        });
        match half.as_deref() {
            Some(detail) => Self::Half {
                taken: detail == "taken",
            },
            None => Self::Store(error.into()),
        }
    }
}
