//! What of a journal follows from what was imported.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::transfer::{Caused, Led};
use crate::{Connections, StoreError};

/// Walks from each event to its cause, and on to the cause of that, until one was imported or has none. A booking's
/// events lead to each other only, so each step looks at one booking's streams.
pub(super) async fn led_to(pool: &Connections, events: &[Caused]) -> Result<Vec<Led>, StoreError> {
    let rows = sqlx::query(
        "with recursive chain (event_id, aggregate_id, cause, position, recorded_at) as (
             select asked.event_id, asked.aggregate_id, asked.causation_id::text, 0::bigint, null::timestamptz
             from unnest($1::uuid[], $2::text[], $3::uuid[]) as asked (event_id, aggregate_id, causation_id)
           union
             select chain.event_id, chain.aggregate_id, e.metadata ->> 'causation_id', e.position, e.recorded_at
             from chain
             join events e on e.aggregate_type in ('Book', 'Payment', 'Space')
                          and e.aggregate_id = chain.aggregate_id
                          and e.event_id::text = chain.cause
             where not exists (select from imports i where chain.position between i.first_position and i.last_position)
         )
         select distinct on (event_id) event_id, position, recorded_at from chain
         where exists (select from imports i where position between i.first_position and i.last_position)
         order by event_id, position",
    )
    .bind(events.iter().map(|it| it.event_id).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.aggregate_id.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.causation_id).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let read = |row: &PgRow| {
        let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
        Ok(Led {
            event_id: row.try_get("event_id")?,
            position: row.try_get("position")?,
            recorded_at: recorded_at.to_jiff(),
        })
    };
    rows.iter().map(read).collect()
}
