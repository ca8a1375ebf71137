//! Folds are pure: what comes out depends on the events alone, not on how they were batched.

use std::collections::BTreeMap;

use journal::Recorded;
use journal::feed::Feed;
use projections::PROJECTIONS;
use projections::cell::Cell;
use projections::projection::{Key, Projection};
use projections::rows::{Rows, touched};

use crate::story::{CANCELLED, REGISTERED, Step, play};
use crate::world::World;

type Tables = Vec<BTreeMap<Key, Vec<Cell>>>;

/// Folds as the live follower does, with memory in the place of the database.
fn fold<'e>(
    projection: &'static Projection,
    batches: impl Iterator<Item = &'e [Recorded]>,
) -> Tables {
    let mut stored: Tables = vec![BTreeMap::new(); projection.tables.len()];
    for events in batches {
        let mut rows = Rows::new(projection);
        for (place, table) in projection.tables.iter().enumerate() {
            for key in touched(table, &rows, events) {
                if let Some(cells) = stored[place].get(&key) {
                    rows.load(place, cells.clone()).unwrap();
                }
            }
        }
        for event in events {
            (projection.fold)(&mut rows, event).unwrap();
        }
        for (place, table) in stored.iter_mut().enumerate() {
            for changed in rows.changed(place) {
                let replaced = table.insert(changed.key, changed.cells);
                assert_eq!(replaced.is_some(), changed.replaces.is_some());
            }
        }
    }
    stored
}

async fn events() -> Vec<Recorded> {
    let world = World::new().await;
    for id in 1..=3 {
        play(&world, id, &REGISTERED).await;
    }
    play(&world, 1, &CANCELLED).await;
    play(
        &world,
        2,
        &[
            Step::RefundPart,
            Step::RefundFails(1),
            Step::Refunded(1),
            Step::Ready,
        ],
    )
    .await;
    play(
        &world,
        4,
        &[
            Step::Place,
            Step::Unknown,
            Step::Cancel,
            Step::CancelPayment,
            Step::Approve,
        ],
    )
    .await;
    let page = Feed::new(world.journal.clone(), "test")
        .read(0, 1_000)
        .await
        .unwrap();
    let read = page
        .items
        .into_iter()
        .flat_map(|item| item.into_events().unwrap());
    read.collect()
}

#[tokio::test]
async fn batches_leave_no_trace() {
    let events = events().await;
    assert!(events.len() > 35, "{}", events.len());
    for projection in PROJECTIONS {
        let at_once = fold(projection, std::iter::once(&events[..]));
        assert!(
            at_once.iter().all(|rows| !rows.is_empty()),
            "{}",
            projection.name
        );
        for size in 1..events.len() {
            assert_eq!(
                fold(projection, events.chunks(size)),
                at_once,
                "{} in {size}s",
                projection.name
            );
        }
    }
}

#[tokio::test]
async fn when_it_is_folded_and_where_from_does_not_matter() {
    let events = events().await;
    let mut moved = events.clone();
    for event in &mut moved {
        // What differs between a first look and a rebuild years later, or on another machine.
        event.recorded_at = "2031-01-01T00:00:00Z".parse().unwrap();
        event.event_id = uuid::Uuid::nil();
        event.command_id = uuid::Uuid::nil();
    }
    for projection in PROJECTIONS {
        let (now, later) = (std::iter::once(&events[..]), std::iter::once(&moved[..]));
        assert_eq!(
            fold(projection, now),
            fold(projection, later),
            "{}",
            projection.name
        );
    }
}
