//! Into how many slices followers are cut, as the database has it, and cutting one otherwise.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};

use super::FollowerId;
use crate::{Journal, StoreError};

/// How long a cut waits for a batch that is being written: longer than a session may idle in its transaction.
const CUT_WAITS: Duration = Duration::from_secs(10);

/// A follower that may be cut, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Its name.
    pub name: String,
    /// Its generation.
    pub generation: i32,
    /// Into how many slices it is cut.
    pub slices: i32,
    /// Since when.
    pub changed_at: Timestamp,
    /// Each of them; none of a follower that never ran.
    pub parts: Vec<Part>,
}

/// A slice as its row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its number: 0 when it is the only one.
    pub slice: i32,
    /// Everything of its keys up to here is taken, or parked.
    pub position: i64,
    /// Committed events behind it, of all keys.
    pub lag_events: i64,
    /// Whether a process holds its lease.
    pub owned: bool,
}

/// Cuts a follower into so many slices, as the owner of the tables. Into how many it was cut; `None` when it may not
/// be cut.
///
/// # Errors
/// [`StoreError`] when the database does not answer, or a batch is not through in time: nothing is changed then.
pub async fn cut(
    owner: &mut PgConnection,
    id: &FollowerId,
    slices: i32,
) -> Result<Option<i32>, StoreError> {
    let mut tx = owner.begin().await?;
    sqlx::query("select set_config('lock_timeout', $1, true)")
        .bind(CUT_WAITS.as_millis().to_string())
        .execute(&mut *tx)
        .await?;
    let before = sqlx::query_scalar("select follower_cut($1, $2, $3)")
        .bind(&id.name)
        .bind(id.generation)
        .bind(slices)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(before)
}

impl Journal {
    /// Into how many slices a follower is cut.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn slices(&self, id: &FollowerId) -> Result<i32, StoreError> {
        let slices: Option<i32> = sqlx::query_scalar(
            "select slices from follower_layouts where name = $1 and generation = $2",
        )
        .bind(&id.name)
        .bind(id.generation)
        .fetch_optional(self.pool())
        .await?;
        Ok(slices.unwrap_or(1))
    }

    /// The followers that may be cut, in order of name.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn layouts(&self) -> Result<Vec<Layout>, StoreError> {
        let rows = sqlx::query(
            "select l.name, l.generation, l.slices, l.changed_at, f.slice, f.position,
                    (select count(*) from events e where e.position > f.position) as lag_events,
                    coalesce(f.lease_until > clock_timestamp(), false) as owned
             from follower_layouts l left join followers f using (name, generation)
             order by l.name, l.generation, f.slice",
        )
        .fetch_all(self.pool())
        .await?;
        let mut layouts: Vec<Layout> = vec![];
        for row in &rows {
            let next = read(row)?;
            match layouts.last_mut() {
                Some(last) if (&last.name, last.generation) == (&next.name, next.generation) => {
                    last.parts.extend(next.parts);
                }
                _ => layouts.push(next),
            }
        }
        Ok(layouts)
    }
}

/// A layout with one of its slices, or none.
fn read(row: &PgRow) -> Result<Layout, StoreError> {
    let changed_at: jiff_sqlx::Timestamp = row.try_get("changed_at")?;
    let slice: Option<i32> = row.try_get("slice")?;
    let part = |slice| {
        Ok::<_, sqlx::Error>(Part {
            slice,
            position: row.try_get("position")?,
            lag_events: row.try_get("lag_events")?,
            owned: row.try_get("owned")?,
        })
    };
    Ok(Layout {
        name: row.try_get("name")?,
        generation: row.try_get("generation")?,
        slices: row.try_get("slices")?,
        changed_at: changed_at.to_jiff(),
        parts: slice.map(part).transpose()?.into_iter().collect(),
    })
}
