//! Filling in bulk: several large batches, whose rows go on changing, with what disturbs them in between.

use projections::NAMES;
use projections::rebuild::Goal;

use crate::story::{CANCELLED, REGISTERED, play};
use crate::world::{BATCH, World};

/// Plays a booking through the real aggregates, and tells its story `count` times more, each under another number:
/// all are placed and registered first, and then all are cancelled, so that every row is changed long after it was
/// made.
pub(crate) async fn bookings(world: &World, count: i64) {
    play(world, 1, &REGISTERED).await;
    play(world, 1, &CANCELLED).await;
    let last: i64 = world.journal.head().await.unwrap();
    let first_half = 6;
    for (from, to) in [(1, first_half), (first_half + 1, last)] {
        world
            .run_sql(&format!(
                r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                   select aggregate_type, n::text, sequence, event_type, event_version,
                          payload || jsonb_strip_nulls(jsonb_build_object(
                              'bookid', case when payload ? 'bookid' then n end,
                              'payid', case when payload ? 'payid' then n end,
                              'spaceid', case when payload ? 'spaceid' then n end,
                              'userid', case when payload ? 'userid' then n % 97 end)),
                          metadata
                   from generate_series(2, {count} + 1) n, events
                   where aggregate_id = '1' and position between {from} and {to}
                   order by n, position"#
            ))
            .await;
    }
}

#[tokio::test]
async fn several_batches_make_what_the_live_follower_made() {
    let world = World::new().await;
    bookings(&world, BATCH / 4).await;
    assert!(world.journal.head().await.unwrap() > 2 * BATCH);
    world.follow_to_the_end().await;
    for name in NAMES {
        let before = world.rows(name).await;
        let report = world.replay(name, Goal::Switch).await.unwrap();
        assert!(report.verified && report.compared && report.switched);
        assert_eq!(report.differences, []);
        assert_eq!(world.rows(name).await, before, "{name}");
    }
    // The indexes that were left out while it was filled are there.
    let indexes = |generation| {
        format!(
            "select string_agg(replace(indexdef, 'mypage_{generation}.', ''), e'\n' order by indexname)
             from pg_indexes where schemaname = 'mypage_{generation}'"
        )
    };
    assert_eq!(world.text(&indexes(2)).await, world.text(&indexes(1)).await);
}

#[tokio::test]
async fn holes_and_poison_in_the_middle_change_nothing() {
    let world = World::new().await;
    bookings(&world, BATCH / 2).await;
    world
        .run_sql(
            r#"begin; select nextval(pg_get_serial_sequence('events', 'position')) from generate_series(1, 3); rollback;
               insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select 'Space', '900001', n, 'Registered', '1', payload, metadata from generate_series(1, 2) n, events
               where aggregate_id = '1' and event_type = 'Registered';
               insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select 'Book', '77', 99, 'NeverHeardOf', '1', '{}', metadata from events where position = 1;"#,
        )
        .await;
    play(&world, 77_777, &REGISTERED).await;
    world.follow_to_the_end().await;
    let parked = |generation: u32| {
        format!(
            "select string_agg(concat_ws(' ', position, key, event_type, reason), e'\n' order by position)
             from parked where name = 'mypage' and generation = {generation}"
        )
    };
    let was = world.text(&parked(1)).await;
    assert_eq!(was.lines().count(), 3, "{was}");
    let before = world.rows("mypage").await;
    // The dead numbers are proved again, by the rebuild itself.
    world.run_sql("delete from dead_spans").await;
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!((report.differences_total, report.compared), (0, true));
    assert_eq!(world.text(&parked(2)).await, was);
    assert_eq!(world.rows("mypage").await, before);
}

#[tokio::test]
async fn where_there_is_nothing_to_compare_with_it_goes_to_the_head() {
    let world = World::new().await;
    bookings(&world, BATCH / 2).await;
    world
        .run_sql("update projections set version = 0 where name = 'mypage'")
        .await;
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert!(report.switched && !report.compared, "{report:?}");
    assert_eq!(report.to_position, world.journal.head().await.unwrap());
}
