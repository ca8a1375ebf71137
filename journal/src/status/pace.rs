//! How live followers get on: who moves, and who has something before it and does not.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::{Journal, StoreError};

/// How a live follower, or a slice of one, gets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Its name; of a slice with its number: `orders/2`. A read model has one, whatever it is filled by.
    pub follower: String,
    /// Everything up to here is taken, or parked; 0 of one that never ran.
    pub position: i64,
    /// Age of the oldest event before it, in seconds; 0 when there is none.
    pub lag_seconds: i64,
    /// For how long something has been before it since it last moved; nothing when there is none.
    pub still: Duration,
    /// Why it would stand still, as far as the tables tell.
    pub reason: String,
}

impl Journal {
    /// Every live follower, one that never ran among them, in order of name. Time is the database's.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn paces(&self) -> Result<Vec<Pace>, StoreError> {
        let rows = sqlx::query(
            "with live as (
                 select name, generation, 'projections' as role, created_at as known_since
                 from projections where state = 'live'
                 union all
                 select name, generation, 'processes', changed_at from follower_layouts
                 union all
                 select distinct name, generation, 'processes', null::timestamptz from followers f
                 where not exists (select from projections p where p.name = f.name)
                   and not exists (select from follower_layouts l where l.name = f.name)
             ), part as (
                 select l.name, l.generation, l.role, coalesce(f.slice, 0) as slice,
                        f.name is null as never_ran, coalesce(f.position, 0) as position,
                        coalesce(f.moved_at, l.known_since) as moved_at,
                        coalesce(f.lease_until > clock_timestamp(), false) as owned,
                        case when l.role = 'projections' or coalesce(f.slice, 0) = 0 then l.name
                             else l.name || '/' || f.slice end as label
                 from live l left join followers f using (name, generation)
             ), imported as (
                 -- What came in a file is as old as where it comes from; until it is whole nobody may follow.
                 select max(coalesce(finished_at, clock_timestamp())) as at from imports
             ), next as (
                 select part.*, e.recorded_at,
                        clock_timestamp() - greatest(part.moved_at, e.recorded_at, imported.at) as still
                 from part cross join imported
                 left join lateral (
                     select recorded_at from events where position > part.position order by position limit 1
                 ) e on true
             )
             select distinct on (n.label) n.label, n.position,
                    coalesce(extract(epoch from clock_timestamp() - n.recorded_at), 0)::bigint as lag_seconds,
                    case when n.recorded_at is null then 0
                         else (extract(epoch from n.still) * 1000)::bigint end as still_ms,
                    case
                        when i.reason is not null then 'its steps fail: ' || i.reason
                        when h.follower is not null
                            then format('the feed holds at the hole %s-%s', h.first_position, h.last_position)
                        when n.owned then 'its follower does not move'
                        when n.slice > 0 and exists (
                            select from follower_candidates c
                            where c.name = n.name and c.generation = n.generation and c.slice = 0
                              and c.seen_until > clock_timestamp()
                        ) then 'nobody follows: it is cut into slices, and a process that would take all of it is denied'
                        when n.never_ran
                            then format('nobody follows, and nobody ever did: no process with the role %s runs, or none can', n.role)
                        else format('nobody follows: no process with the role %s runs, or none can', n.role)
                    end as reason
             from next n
             left join open_holes h
                  on h.follower = n.name || '/' || n.generation || case n.slice when 0 then '' else '/' || n.slice end
             left join incidents i on i.class = 'follower_failing' and i.ended_at is null
                  and i.subject = n.name || '/' || n.generation || '/' || n.slice
             order by n.label, still_ms desc, n.position",
        )
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &PgRow) -> Result<Pace, StoreError> {
    let still_ms: i64 = row.try_get("still_ms")?;
    Ok(Pace {
        follower: row.try_get("label")?,
        position: row.try_get("position")?,
        lag_seconds: row.try_get("lag_seconds")?,
        // Recorded ahead of the clock, which was set back: it waits from now on.
        still: Duration::from_millis(u64::try_from(still_ms).unwrap_or(0)),
        reason: row.try_get("reason")?,
    })
}
