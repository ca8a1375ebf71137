//! What a dry run says, and what it leaves.

use projections::NAMES;
use projections::rebuild::{Moment, ReplayError};

use crate::story::{CANCELLED, REGISTERED, Step, play};
use crate::world::World;

/// Everything that a dry run could leave behind.
const TRACES: &str = "select concat_ws(' ',
    (select string_agg(nspname, ',' order by nspname) from pg_namespace),
    (select string_agg(name || generation || state, ',' order by name, generation) from projections),
    (select string_agg(name || generation || position, ',' order by name, generation) from followers),
    (select count(*) from parked), (select count(*) from rebuilt_rows),
    (select count(*) from open_holes), (select count(*) from dead_spans),
    (select count(*) from pg_locks l join pg_database d on d.oid = l.database
     where l.locktype = 'advisory' and d.datname = current_database()))";

#[tokio::test]
async fn it_counts_what_there_is_and_leaves_nothing() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    // Nothing was booked under 2: the sample goes on without it.
    play(&world, 2, &[Step::Register]).await;
    play(&world, 3, &REGISTERED).await;
    world.follow_to_the_end().await;
    let before = world.text(TRACES).await;
    for name in NAMES {
        let estimate = world.rebuilder().estimate(name, None).await.unwrap();
        assert_eq!(estimate.events, 19, "{estimate:?}");
        assert_eq!(estimate.to_position, world.journal.head().await.unwrap());
        assert_eq!(estimate.sample.events, 19);
        // The same rows that the live generation has, because the sample is all there is.
        assert_eq!(estimate.sample.rows, estimate.rows, "{estimate:?}");
        assert!(estimate.tables.iter().all(|table| table.bytes > 0));
        assert!(
            0.0 < estimate.seconds_at_least
                && estimate.seconds_at_least < estimate.seconds
                && estimate.seconds < estimate.seconds_at_most,
            "{estimate:?}"
        );
    }
    assert_eq!(world.text(TRACES).await, before);
}

#[tokio::test]
async fn it_stops_where_the_rebuild_would() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let rebuilder = world.rebuilder();
    let estimate = rebuilder
        .estimate("mypage", Some(Moment::Position(3)))
        .await
        .unwrap();
    assert_eq!(
        (
            estimate.events,
            estimate.to_position,
            estimate.sample.events
        ),
        (3, 3, 3)
    );
    assert_eq!(estimate.rows, 0);
    let error = rebuilder
        .estimate("mypage", Some(Moment::Position(7)))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::NoPosition { asked: 7, head: 6 }),
        "{error}"
    );
    let error = rebuilder.estimate("moods", None).await.unwrap_err();
    assert!(matches!(error, ReplayError::Unknown(_)), "{error}");
}

#[tokio::test]
async fn of_an_empty_journal_there_is_nothing_to_say() {
    let world = World::new().await;
    let estimate = world.rebuilder().estimate("points", None).await.unwrap();
    assert_eq!(
        (estimate.events, estimate.rows, estimate.events_per_second),
        (0, 0, 0)
    );
    assert_eq!(serde_json::to_value(&estimate).unwrap()["seconds"], 0.0);
}
