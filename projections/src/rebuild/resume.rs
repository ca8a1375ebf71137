//! What a rebuild that was killed or stopped left behind, and whether it can be gone on with.

use std::collections::BTreeMap;

use journal::StoreError;
use sqlx::PgConnection;

use super::compare::{Side, sum_up};
use super::run::position;
use super::slices;
use super::witness::{self, Sum};
use super::{Rebuilder, ReplayError};
use crate::generation::{self, Generation, State};
use crate::projection::Projection;

/// A half-built generation that is as its builder left it.
pub(super) struct HalfBuilt {
    pub(super) number: i32,
    /// Where the last slice stands.
    pub(super) position: i64,
    /// Where the first one stands: it was ahead when the run ended.
    pub(super) furthest: i64,
    /// What each slice holds, one sum a table.
    pub(super) sums: BTreeMap<i32, Vec<Sum>>,
}

/// The half-built generation to go on with, if there is one; all others are dropped. Says which, and why.
pub(super) async fn half_built(
    rebuilder: &Rebuilder<'_>,
    owner: &mut PgConnection,
    projection: &'static Projection,
    as_of: Option<i64>,
) -> Result<Option<HalfBuilt>, ReplayError> {
    let mut found = None;
    let left = generation::in_state(owner, projection, State::Building).await?;
    // One that is to become live and one of the past are nothing to each other.
    let of_this_kind = |left: &Generation| left.as_of.is_some() == as_of.is_some();
    for left in left.into_iter().filter(of_this_kind) {
        let number = left.number;
        let verdict = match found {
            None => look(owner, projection, left, as_of).await?,
            Some(_) => Err("a newer one is gone on with"),
        };
        match verdict {
            Ok(half) => {
                rebuilder.progress.remark(&format!(
                    "going on with the half-built generation {number}, which stands at position {}, in {} slices",
                    half.position,
                    half.sums.len()
                ));
                found = Some(half);
            }
            Err(reason) => {
                rebuilder.progress.remark(&format!(
                    "starting over: the half-built generation {number} is dropped, {reason}"
                ));
                generation::discard(owner, projection, number).await?;
            }
        }
    }
    Ok(found)
}

/// The inner error is why it cannot be gone on with.
async fn look(
    owner: &mut PgConnection,
    projection: &'static Projection,
    left: Generation,
    as_of: Option<i64>,
) -> Result<Result<HalfBuilt, &'static str>, StoreError> {
    if left.version != projection.version {
        return Ok(Err("it was filled by another version of the fold"));
    }
    if left.as_of != as_of {
        return Ok(Err("it was made for another position"));
    }
    // Its builder is gone: it held the lock that we hold. Should something of it still be under way, this waits
    // for its transaction, and the next epoch shuts it out.
    sqlx::query(
        "update followers set owner = null, lease_until = null, epoch = epoch + 1
         where name = $1 and generation = $2",
    )
    .bind(projection.name)
    .bind(left.number)
    .execute(&mut *owner)
    .await?;
    let position = position(owner, projection, left.number, "").await?;
    let furthest = slices::furthest(owner, projection, left.number).await?;
    let sums = witness::stored(owner, projection, left.number).await?;
    if !slices::are_whole(owner, projection, left.number, &sums).await? {
        return Ok(Err(
            "the records of what was folded into it are not all there",
        ));
    }
    if sums.values().flatten().all(|sum| *sum == Sum::default()) {
        return Ok(Err("nothing was in it yet"));
    }
    let mut side = Side {
        connection: owner,
        schema: projection.schema(left.number),
    };
    for (place, table) in projection.tables.iter().enumerate() {
        let slices = sums.values().filter_map(|sums| sums.get(place));
        let stored = slices.copied().fold(Sum::default(), Sum::and);
        if sum_up(table, &mut side).await? != stored {
            return Ok(Err("what is in it is not what was folded into it"));
        }
    }
    Ok(Ok(HalfBuilt {
        number: left.number,
        position,
        furthest,
        sums,
    }))
}
