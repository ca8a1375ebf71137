//! Fills a generation in bulk: one reads, and several write beside each other.
//!
//! The keys are cut into slices. Each slice has a follower of its own, with its own checkpoint, transaction and sums; they
//! share one reader, which gives every one the events of its keys, and reads the next batch while they write. The
//! events of a key go through one follower, in order, so nothing differs from one follower that takes them all.
//! Only a projection whose every row is made of one booking's events is cut. When the bulk is over the slices are
//! brought together into slice 0, which takes all keys, like every other generation's.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::StoreError;
use journal::feed::{Ahead, Feed, Item, Page};
use journal::follow::{Follower, FollowerId, HandlerError, Step};
use journal::runtime::Runtime;
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

use super::resume::HalfBuilt;
use super::witness::{self, Memory, Sum};
use super::{Rebuilder, ReplayError};
use crate::generation;
use crate::live::{Fill, Pace};
use crate::projection::Projection;

/// The slice that takes all keys.
const ALL_KEYS: i32 = 0;

/// The followers that fill a generation in bulk.
pub(super) struct Slices<'a> {
    runtime: &'a dyn Runtime,
    reader: Ahead,
    writers: Vec<Writer>,
}

/// Fills one slice.
struct Writer {
    follower: Follower<Fill>,
    memory: Arc<Memory>,
}

/// A batch that a writer works on in a task of its own, and comes back from.
type Writing = oneshot::Receiver<Back>;

/// Makes the checkpoints of so many slices of a generation that holds nothing yet: all of them or none, because their
/// number says which keys are in which.
pub(super) async fn create(
    tx: &mut PgConnection,
    projection: &Projection,
    number: i32,
    count: u32,
) -> Result<HalfBuilt, StoreError> {
    let slices = if count > 1 && projection.by_booking {
        1..=i32::try_from(count).unwrap_or(i32::MAX)
    } else {
        ALL_KEYS..=ALL_KEYS
    };
    let nothing = vec![Sum::default(); projection.tables.len()];
    for slice in slices.clone() {
        generation::begin_following(tx, projection, number, slice).await?;
        witness::store(tx, projection, number, slice, &nothing).await?;
    }
    Ok(HalfBuilt {
        number,
        position: 0,
        furthest: 0,
        sums: slices.map(|slice| (slice, nothing.clone())).collect(),
    })
}

/// Whether every slice that was made has its checkpoint and its sums: one that is missing would leave its keys to
/// the others.
pub(super) async fn are_whole(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
    sums: &BTreeMap<i32, Vec<Sum>>,
) -> Result<bool, StoreError> {
    let followed: Vec<i32> = sqlx::query_scalar(
        "select slice from followers where name = $1 and generation = $2 order by slice",
    )
    .bind(projection.name)
    .bind(number)
    .fetch_all(connection)
    .await?;
    let counted = (ALL_KEYS + 1..).take(followed.len());
    let in_order = followed == [ALL_KEYS] || counted.eq(followed.iter().copied());
    let summed = sums.keys().eq(&followed)
        && sums
            .values()
            .all(|sums| sums.len() == projection.tables.len());
    Ok(in_order && summed)
}

/// Where the slice stands that is furthest.
pub(super) async fn furthest(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
) -> Result<i64, StoreError> {
    let furthest: Option<i64> = sqlx::query_scalar(
        "select max(position) from followers where name = $1 and generation = $2",
    )
    .bind(projection.name)
    .bind(number)
    .fetch_one(connection)
    .await?;
    Ok(furthest.unwrap_or(0))
}

impl<'a> Slices<'a> {
    /// The writers of a generation that holds this.
    pub(super) fn of(
        rebuilder: &Rebuilder<'a>,
        projection: &'static Projection,
        half: &HalfBuilt,
    ) -> Self {
        let journal = rebuilder.journal;
        let number = half.number;
        let writer = |(slice, sums): (&i32, &Vec<Sum>)| {
            let memory = Arc::new(Memory::of_built(projection, number, *slice, sums));
            let witness = Arc::clone(&memory);
            let fill = Fill::new(projection, &projection.schema(number), Pace::Bulk);
            let id = FollowerId::new(projection.name, number).of_slice(*slice);
            Writer {
                follower: Follower::new(journal.clone(), id, fill.witnessed_by(witness)),
                memory,
            }
        };
        Self {
            runtime: rebuilder.runtime,
            reader: Ahead::new(
                Feed::new(journal.clone(), &format!("{}/{number}", projection.name)),
                rebuilder.batch_max,
            ),
            writers: half.sums.iter().map(writer).collect(),
        }
    }

    /// As [`Follower::step_to`]: one batch, by all of them.
    pub(super) async fn step_to(&mut self, last: i64) -> Result<Step, HandlerError> {
        let Some(position) = self.stand().await? else {
            return Ok(Step::Denied);
        };
        let Page {
            items,
            position: to,
            hole,
        } = self.reader.read(position).await?.up_to(last.max(position));
        let writing = all_of(self.begin(items, to));
        let back = if position < to && to < last {
            self.reader.read_during(to, writing).await
        } else {
            writing.await
        };
        Ok(match self.take_back(back?, to)? {
            Step::Advanced { .. } if to == position => Step::Idle { hole },
            step => step,
        })
    }

    /// Where the last of them stands; `None` when somebody else holds a lease.
    async fn stand(&mut self) -> Result<Option<i64>, StoreError> {
        let mut last = i64::MAX;
        for writer in &mut self.writers {
            match writer.follower.stand().await? {
                Some(position) => last = last.min(position),
                None => return Ok(None),
            }
        }
        Ok(Some(last))
    }

    /// Sets every writer to work on the events of its keys.
    fn begin(&mut self, items: Vec<Item>, to: i64) -> Vec<Writing> {
        let mut parts: Vec<_> = self.writers.iter().map(|_| vec![]).collect();
        let count = parts.len();
        for item in items {
            // A row that means nothing is in no slice.
            let slice = item.key().map(|key| slice_of(key, count));
            if let Some(part) = slice.and_then(|slice| parts.get_mut(slice)) {
                part.push(item);
            }
        }
        let writers = std::mem::take(&mut self.writers);
        let begin = |(mut writer, part): (Writer, Vec<Item>)| {
            let (come_back, writing) = oneshot::channel();
            self.runtime.spawn(Box::pin(async move {
                let step = writer.follower.take(part, to).await;
                // Nobody waits for it when the rebuild was given up.
                drop(come_back.send((writer, step)));
            }));
            writing
        };
        writers.into_iter().zip(parts).map(begin).collect()
    }

    /// What all of them did together.
    fn take_back(&mut self, back: Vec<Back>, to: i64) -> Result<Step, HandlerError> {
        let mut together = Ok(Step::Advanced {
            events: 0,
            position: to,
        });
        for (writer, step) in back {
            self.writers.push(writer);
            together = together.and_then(|all| Ok(both(all, step?)));
        }
        together
    }

    /// Gives the leases back.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        for writer in &mut self.writers {
            writer.follower.release().await?;
        }
        Ok(())
    }

    /// Ends the bulk: from now on slice 0 stands where all of them stand. The memory of all that was written.
    ///
    /// # Errors
    /// [`ReplayError::Uneven`] when they stand at different places: slice 0 would take events again that some have.
    pub(super) async fn merge(
        &mut self,
        owner: &mut PgConnection,
        projection: &'static Projection,
        number: i32,
    ) -> Result<Memory, ReplayError> {
        let Some(stand) = self.stand().await? else {
            return Err(ReplayError::TakenOver(projection.name));
        };
        self.release().await?;
        let sum = |place| {
            let sums = self.writers.iter().map(|writer| writer.memory.sum(place));
            sums.fold(Sum::default(), Sum::and)
        };
        let sums: Vec<_> = (0..projection.tables.len()).map(sum).collect();
        let mut tx = owner.begin().await?;
        if furthest(&mut tx, projection, number).await? != stand {
            return Err(ReplayError::Uneven(projection.name));
        }
        for sql in [
            "insert into followers (name, generation, slice, position)
             select name, generation, 0, min(position) from followers
             where name = $1 and generation = $2 and slice > 0 group by name, generation",
            "delete from followers where name = $1 and generation = $2 and slice > 0",
            "delete from rebuilt_rows where name = $1 and generation = $2 and slice > 0",
        ] {
            sqlx::query(sql)
                .bind(projection.name)
                .bind(number)
                .execute(&mut *tx)
                .await?;
        }
        witness::store(&mut tx, projection, number, ALL_KEYS, &sums).await?;
        tx.commit().await?;
        Ok(Memory::of_built(projection, number, ALL_KEYS, &sums))
    }
}

/// A writer that is back, and what it did.
type Back = (Writer, Result<Step, HandlerError>);

async fn all_of(begun: Vec<Writing>) -> Result<Vec<Back>, StoreError> {
    let mut back = Vec::with_capacity(begun.len());
    for writing in begun {
        let gone = |_| StoreError::Unreachable("the task that wrote a slice ended early".into());
        back.push(writing.await.map_err(gone)?);
    }
    Ok(back)
}

fn both(one: Step, other: Step) -> Step {
    match (one, other) {
        (Step::Denied, _) | (_, Step::Denied) => Step::Denied,
        (Step::Lost, _) | (_, Step::Lost) => Step::Lost,
        (step, Step::Idle { .. }) | (Step::Idle { .. }, step) => step,
        (
            Step::Advanced { events, position },
            Step::Advanced {
                events: more,
                position: further,
            },
        ) => Step::Advanced {
            events: events + more,
            position: position.min(further),
        },
    }
}

/// Which of `count` slices a key is in, counted from 0. Every build of this program says the same: a rebuild that
/// was stopped may be gone on with by another one.
fn slice_of(key: &str, count: usize) -> usize {
    let hash = crc32fast::hash(key.as_bytes());
    usize::try_from(hash)
        .unwrap_or(0)
        .checked_rem(count)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_puts_a_booking_into_the_same_slice() {
        let slices = ["1", "2", "7", "4711", "133333"].map(|key| slice_of(key, 4));
        assert_eq!(slices, [3, 1, 2, 3, 1]);
        assert_eq!(slice_of("1", 1), 0);
    }

    #[test]
    fn slices_are_of_about_the_same_size() {
        let mut sizes = [0; 4];
        for booking in 1..=10_000 {
            sizes[slice_of(&booking.to_string(), 4)] += 1;
        }
        assert!(
            sizes.iter().all(|size| (2_300..2_700).contains(size)),
            "{sizes:?}"
        );
    }
}
