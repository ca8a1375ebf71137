//! Switching while everybody works: readers, writers, followers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use domain::BookId;
use projections::rebuild::Goal;
use projections::{BookRow, BookingFilter, MypageRow, NAMES, PageRequest, PaymentRow, SpaceRow};
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;

use crate::story::{CANCELLED, REGISTERED, Step, play};
use crate::world::World;

/// How often each read model is switched.
const SWITCHES: usize = 3;
/// How many readers read meanwhile.
const READERS: usize = 3;
/// How many sessions wait for a lock.
const WAITING: &str = "select count(*)::text from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_an_error_or_an_empty_table() {
    let world = World::new().await;
    for id in 1..=5 {
        play(&world, id, &REGISTERED).await;
    }
    let followers = world.follow();
    world.caught_up().await;
    let (over, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (models, over, reads) = (world.models.clone(), over.clone(), reads.clone());
        readers.spawn(async move {
            let (all, page) = (BookingFilter::default(), PageRequest::default());
            while !over.load(Ordering::Relaxed) {
                let books = models
                    .list::<BookRow>(&BookingFilter::default(), &page)
                    .await
                    .unwrap();
                assert_eq!((books.rows.len(), books.total), (5, 5));
                let payments = models
                    .list::<PaymentRow>(&BookingFilter::default(), &page)
                    .await
                    .unwrap();
                assert_eq!((payments.rows.len(), payments.total), (5, 5));
                let spaces = models
                    .list::<SpaceRow>(&BookingFilter::default(), &page)
                    .await
                    .unwrap();
                assert_eq!((spaces.rows.len(), spaces.total), (5, 5));
                let mypages = models.list::<MypageRow>(&all, &page).await.unwrap();
                assert_eq!((mypages.rows.len(), mypages.total), (5, 5));
                assert_eq!(models.timeline(BookId(3)).await.unwrap().len(), 6);
                assert_eq!(models.points(domain::UserId(1)).await.unwrap(), 500);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..SWITCHES {
        for name in NAMES {
            let before = reads.load(Ordering::Relaxed);
            let report = world.replay(name, Goal::Switch).await.unwrap();
            assert!(
                report.switched && report.differences.is_empty(),
                "{report:?}"
            );
            // Reads happened around the switch, not only before and after all of them.
            while reads.load(Ordering::Relaxed) == before && !readers.is_empty() {
                tokio::task::yield_now().await;
                assert!(readers.try_join_next().is_none(), "a reader ended");
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    followers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookings_go_on_while_read_models_are_rebuilt() {
    let world = World::new().await;
    let followers = world.follow();
    let writing = async {
        for id in 1..=40 {
            play(&world, id, &REGISTERED).await;
            if id % 3 == 0 {
                play(&world, id, &CANCELLED).await;
            }
        }
    };
    let rebuilding = async {
        for _ in 0..2 {
            for name in NAMES {
                let report = world.replay(name, Goal::Switch).await.unwrap();
                assert_eq!(report.differences, [], "{report:?}");
            }
        }
    };
    tokio::join!(writing, rebuilding);
    world.caught_up().await;
    // 27 bookings of 100 points each are left, and each event is in the story once.
    assert_eq!(world.models.points(domain::UserId(1)).await.unwrap(), 2_700);
    let lines = "select count(*)::text from mypage.timeline";
    assert_eq!(
        world.text(lines).await,
        world.text("select count(*)::text from events").await
    );
    for name in NAMES {
        let report = world.replay(name, Goal::Compare).await.unwrap();
        assert_eq!(
            (report.differences_total, report.compared),
            (0, true),
            "{report:?}"
        );
        assert_eq!(world.live(name).await, "3");
    }
    followers.stop().await;
}

#[tokio::test]
async fn a_reader_that_holds_on_delays_the_switch_and_is_not_thrown_out() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    let mut session = journal::Session::open(world.journal.pool()).await.unwrap();
    let mut reader = session.begin().await.unwrap();
    let read = "select count(*) from mypage.mypages";
    let count: i64 = sqlx::query_scalar(read)
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(count, 1);
    let switching = world.replay("mypage", Goal::Switch);
    let reading = async {
        // The switch has asked for its lock, and been refused, when its generation has been built.
        world.until(WAITING, "1").await;
        let count: i64 = sqlx::query_scalar(read)
            .fetch_one(&mut *reader)
            .await
            .unwrap();
        reader.commit().await.unwrap();
        count
    };
    let (switched, count) = tokio::join!(switching, reading);
    assert!(switched.unwrap().switched);
    assert_eq!(count, 1);
    assert_eq!(world.live("mypage").await, "2");
}

#[tokio::test]
async fn readers_are_never_taken_back_to_what_they_have_seen_change() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    // The live follower's batch is under way: its checkpoint is locked.
    let mut follower = world.owner().await;
    let mut batch = follower.begin().await.unwrap();
    let checkpoint = "select 1 from followers where name = 'mypage' and generation = 1 for update";
    batch.execute(checkpoint).await.unwrap();
    let switching = world.replay("mypage", Goal::Switch);
    let committing = async {
        // The new generation has caught up with the head, and waits for the batch.
        world.until(WAITING, "1").await;
        play(&world, 2, &[Step::Place]).await;
        let advance = "update followers set position = (select max(position) from events)
                       where name = 'mypage' and generation = 1";
        batch.execute(advance).await.unwrap();
        batch.commit().await.unwrap();
    };
    let (switched, ()) = tokio::join!(switching, committing);
    let head = world.journal.head().await.unwrap();
    assert_eq!(switched.unwrap().to_position, head);
    assert_eq!(world.models.timeline(BookId(2)).await.unwrap().len(), 2);
}

/// A batch that was rolled back was never written: neither is it looked for, nor counted.
#[tokio::test]
async fn a_batch_that_fails_while_it_catches_up_is_taken_again() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    let live = world.journal.head().await.unwrap();
    play(&world, 2, &REGISTERED).await;
    // The commit of the first batch that the live model does not have fails, once.
    world
        .run_sql(&format!(
            "create sequence tries;
             grant usage on sequence tries to public;
             create function fail_once() returns trigger language plpgsql as $$
             begin
                 if nextval('tries') = 1 then
                     raise 'no connection is left' using errcode = 'too_many_connections';
                 end if;
                 return null;
             end $$;
             create constraint trigger fail_once after update on followers deferrable initially deferred
             for each row when (new.generation = 2 and new.position > {live}) execute function fail_once()"
        ))
        .await;
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    let tries: i64 = world
        .text("select last_value::text from tries")
        .await
        .parse()
        .unwrap();
    assert!(tries > 1, "nothing failed");
    assert!(report.verified && report.switched, "{report:?}");
    let rows = "select ((select count(*) from mypage.mypages) + (select count(*) from mypage.timeline))::text";
    assert_eq!(report.rows.to_string(), world.text(rows).await);
}
