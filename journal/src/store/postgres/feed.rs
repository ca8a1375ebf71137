//! What the feed reads and says.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::feed::{Look, Proof, SeenRow, Span, Stored};
use crate::{Connections, StoreError};

/// One statement: one snapshot.
pub(super) async fn look(
    pool: &Connections,
    after: i64,
    limit: i64,
    proof: Option<&Proof>,
) -> Result<Look<Stored>, StoreError> {
    let rows = sqlx::query(
        "with page as (
             select e.*, lag(e.position, 1, $1) over (order by e.position) as before
             from (select * from events where position > $1 order by position limit $2) e
         )
         select p.aggregate_type, p.aggregate_id, p.sequence, p.event_type, p.event_version,
                p.payload, p.metadata, p.position, p.event_id, p.command_id, p.recorded_at,
                p.position > p.before + 1 and exists (
                    select from dead_spans d
                    where d.first_position <= p.before + 1 and d.last_position >= p.position - 1
                ) as hole_is_dead,
                coalesce(pg_snapshot_xmin(pg_current_snapshot()) >= $3::text::xid8, false) as proved
         from page p order by p.position",
    )
    .bind(after)
    .bind(limit)
    .bind(proof.map(|proof| proof.x.as_str()))
    .fetch_all(pool)
    .await?;
    let proved = match rows.first() {
        Some(row) => row.try_get("proved")?,
        None => false,
    };
    let seen = |row: &PgRow| {
        let item = Stored::from_row(row)?;
        Ok::<_, StoreError>(SeenRow {
            position: item.position,
            hole_is_dead: row.try_get("hole_is_dead")?,
            item,
        })
    };
    let rows = rows.iter().map(seen).collect::<Result<_, _>>()?;
    Ok(Look { rows, proved })
}

pub(super) async fn rows_at(
    pool: &Connections,
    positions: &[i64],
) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query("select * from events where position = any ($1) order by position")
        .bind(positions)
        .fetch_all(pool)
        .await?;
    rows.iter().map(Stored::from_row).collect()
}

pub(super) async fn record_dead(
    pool: &Connections,
    spans: &[Span],
    proof: &Proof,
    reader: &str,
) -> Result<(), StoreError> {
    let (first, last): (Vec<_>, Vec<_>) = spans.iter().map(|s| (s.first, s.last)).unzip();
    sqlx::query(
        "insert into dead_spans (first_position, last_position, proof, proved_by)
         select s.first, s.last, $3::text::xid8, $4 from unnest($1::bigint[], $2::bigint[]) as s (first, last)
         order by 1 on conflict do nothing",
    )
    .bind(first)
    .bind(last)
    .bind(&proof.x)
    .bind(reader)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn hold(
    pool: &Connections,
    reader: &str,
    hole: Span,
    proof: Option<&Proof>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into open_holes (follower, first_position, last_position, proof)
         values ($1, $2, $3, $4::text::xid8)
         on conflict (follower) do update
         set first_position = excluded.first_position, last_position = excluded.last_position,
             proof = excluded.proof, since = excluded.since",
    )
    .bind(reader)
    .bind(hole.first)
    .bind(hole.last)
    .bind(proof.map(|proof| &proof.x))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn go_on(pool: &Connections, reader: &str) -> Result<(), StoreError> {
    sqlx::query("delete from open_holes where follower = $1")
        .bind(reader)
        .execute(pool)
        .await?;
    Ok(())
}
