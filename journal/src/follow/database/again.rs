//! What a slice leaves out that begins at a lower position than some of its keys had come to.

use super::InDatabase;
use crate::StoreError;

impl InDatabase {
    /// Of what was parked or discarded, everything of the same key before it was dealt with, by whoever had the key then.
    pub(super) async fn dealt_with_behind(
        &self,
        position: i64,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(sqlx::query_as(
            "select key, max(position) from (
                 select key, position from parked where name = $1 and generation = $2
                 union all
                 select subject ->> 'key', (subject ->> 'position')::bigint from decisions
                 where action = 'parked.discard' and subject ->> 'name' = $1
                   and subject ->> 'generation' = $2::text
             ) gone
             where position > $3 and slice_of(key, $4) = $5
             group by key",
        )
        .bind(&self.id.name)
        .bind(self.id.generation)
        .bind(position)
        .bind(self.slice.count())
        .bind(self.slice.number())
        .fetch_all(self.journal.pool())
        .await?)
    }
}
