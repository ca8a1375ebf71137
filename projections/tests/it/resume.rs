//! Rebuilds that end in the middle, and what the next one makes of what they left.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use projections::rebuild::{Goal, Moment, Progress, ReplayError, Stage};
use sqlx::{Connection, Executor};
use tokio_util::sync::CancellationToken;

use crate::bulk::bookings;
use crate::story::{REGISTERED, play};
use crate::world::{BATCH, World};

/// How many advisory locks are held in this database.
const ADVISORY_LOCKS: &str =
    "select count(*)::text from pg_locks l join pg_database d on d.oid = l.database
                              where l.locktype = 'advisory' and d.datname = current_database()";
const STATES: &str = "select string_agg(generation || state, ' ' order by generation)
                      from projections where name = 'mypage'";

/// Writes remarks down, and cancels after so many batches, or in a stage.
#[derive(Default)]
struct After {
    batches: AtomicU32,
    cancel_at: u32,
    cancel_in: Option<Stage>,
    stop: CancellationToken,
    remarks: Mutex<Vec<String>>,
}

impl Progress for After {
    fn stage(&self, stage: Stage) {
        if self.cancel_in == Some(stage) {
            self.stop.cancel();
        }
    }

    fn filled(&self, _: u64, _: i64, _: i64) {
        if self.batches.fetch_add(1, Ordering::Relaxed) + 1 == self.cancel_at {
            self.stop.cancel();
        }
    }

    fn remark(&self, remark: &str) {
        self.remarks.lock().unwrap().push(remark.to_owned());
    }
}

impl After {
    fn said(&self) -> String {
        self.remarks.lock().unwrap().join("; ")
    }
}

/// More than two batches of bookings, followed to the end, and a rebuild that was stopped after the first.
async fn stopped() -> (World, i64) {
    stopped_in("mypage").await
}

async fn stopped_in(name: &'static str) -> (World, i64) {
    let world = World::new().await;
    bookings(&world, BATCH / 3).await;
    world.follow_to_the_end().await;
    let after = After {
        cancel_at: 1,
        ..After::default()
    };
    let rebuilder = world
        .rebuilder()
        .telling(&after)
        .stopped_by(after.stop.clone());
    let error = rebuilder.replay(name, Goal::Switch).await.unwrap_err();
    assert!(matches!(error, ReplayError::Stopped(_)), "{error}");
    assert!(
        after
            .said()
            .contains(&format!("left half-built at position {BATCH}")),
        "{}",
        after.said()
    );
    assert_eq!(world.live(name).await, "1");
    (world, BATCH)
}

#[tokio::test]
async fn a_stopped_one_is_gone_on_with() {
    let (world, stood) = stopped().await;
    let before = world.rows("mypage").await;
    let after = After::default();
    let report = world
        .rebuilder()
        .telling(&after)
        .replay("mypage", Goal::Switch)
        .await
        .unwrap();
    assert_eq!(report.resumed_from, Some(stood));
    assert!(
        report.verified && report.switched && report.compared,
        "{report:?}"
    );
    assert_eq!(report.differences_total, 0);
    assert_eq!(
        i64::try_from(report.events).unwrap(),
        report.to_position - stood
    );
    assert!(
        after
            .said()
            .contains("going on with the half-built generation 2"),
        "{}",
        after.said()
    );
    assert_eq!(world.text(STATES).await, "1kept 2live");
    assert_eq!(world.rows("mypage").await, before);
    let left = "select count(*)::text from rebuilt_rows";
    assert_eq!(world.text(left).await, "0");
}

#[tokio::test]
async fn it_stops_in_every_stage_and_is_gone_on_with() {
    let world = World::new().await;
    bookings(&world, BATCH / 2).await;
    world.follow_to_the_end().await;
    let head = world.journal.head().await.unwrap();
    for stage in [
        Stage::Fill,
        Stage::Index,
        Stage::Verify,
        Stage::CatchUp,
        Stage::Switch,
    ] {
        let after = After {
            cancel_in: Some(stage),
            ..After::default()
        };
        let rebuilder = world
            .rebuilder()
            .telling(&after)
            .stopped_by(after.stop.clone());
        let error = rebuilder.replay("mypage", Goal::Switch).await.unwrap_err();
        assert!(
            matches!(error, ReplayError::Stopped(_)),
            "{stage:?}: {error}"
        );
        assert_eq!(world.live("mypage").await, "1");
    }
    // What was stopped before its first batch left nothing; the others went on with one another's.
    assert_eq!(world.text(STATES).await, "1live 2gone 3building");
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!((report.resumed_from, report.events), (Some(head), 0));
    assert!(
        report.verified && report.compared && report.switched,
        "{report:?}"
    );
}

#[tokio::test]
async fn one_that_is_not_as_it_was_left_is_not_gone_on_with() {
    for (harm, reason) in [
        (
            "update mypage_2.mypages set amount = 1 where id = 1",
            "not what was folded",
        ),
        (
            "delete from mypage_2.timeline where bookid = 1",
            "not what was folded",
        ),
        (
            "update projections set version = 0 where generation = 2",
            "another version",
        ),
        (
            "delete from rebuilt_rows where table_name = 'timeline'",
            "not all there",
        ),
        (
            "delete from followers where generation = 2 and slice = 3",
            "not all there",
        ),
        (
            "delete from followers where generation = 2 and slice = 3; delete from rebuilt_rows where slice = 3",
            "not what was folded",
        ),
    ] {
        let (world, _) = stopped().await;
        world.run_sql(harm).await;
        let after = After::default();
        let report = world
            .rebuilder()
            .telling(&after)
            .replay("mypage", Goal::Switch)
            .await
            .unwrap();
        assert_eq!((report.resumed_from, report.differences_total), (None, 0));
        assert!(
            after.said().contains("starting over") && after.said().contains(reason),
            "{}",
            after.said()
        );
        assert_eq!(world.text(STATES).await, "1kept 2gone 3live", "{harm}");
    }
}

/// One slice cannot write while the others go on: what is half-built then is further in some slices than in others.
async fn uneven(name: &'static str) -> (World, i64) {
    let (world, stood) = stopped_in(name).await;
    world
        .run_sql(&format!(
            "create function fail() returns trigger language plpgsql as $$ begin raise 'this slice stops'; end $$;
             create trigger stop_one before update on followers for each row
             when (new.generation = 2 and new.slice = 2 and new.position > {stood}) execute function fail()"
        ))
        .await;
    let error = world.replay(name, Goal::Switch).await.unwrap_err();
    assert!(error.to_string().contains("this slice stops"), "{error}");
    world.run_sql("drop trigger stop_one on followers").await;
    let stand = format!(
        "select string_agg(slice || ' at ' || position, ', ' order by slice)
         from followers where name = '{name}' and generation = 2"
    );
    let ahead = stood + BATCH;
    assert_eq!(
        world.text(&stand).await,
        format!("1 at {ahead}, 2 at {stood}, 3 at {ahead}")
    );
    (world, stood)
}

#[tokio::test]
async fn slices_that_were_stopped_at_different_places_are_gone_on_with() {
    // Batches that end elsewhere, so that one of them holds what some slices have taken and some have not; and one that
    // is so large that there is hardly anything left to do in bulk.
    for (name, batch) in [
        ("mypage", BATCH - 10),
        ("mypage", 1_000),
        ("payments", 1_000),
    ] {
        let (world, behind) = uneven(name).await;
        let before = world.rows(name).await;
        let rebuilder = world.rebuilder().in_batches_of(batch);
        let report = rebuilder.replay(name, Goal::Switch).await.unwrap();
        assert_eq!(report.resumed_from, Some(behind));
        assert!(
            report.verified && report.compared && report.switched,
            "{report:?}"
        );
        assert_eq!((report.differences_total, report.parked), (0, 0));
        assert_eq!(world.rows(name).await, before);
        // What is live takes all keys under one checkpoint.
        let stand = format!(
            "select string_agg(slice || ' at ' || position, ', ') from followers
             where name = '{name}' and generation = 2"
        );
        assert_eq!(
            world.text(&stand).await,
            format!("0 at {}", report.to_position)
        );
    }
}

/// The number of slices says which bookings are in which.
#[tokio::test]
async fn a_half_built_one_keeps_the_slices_that_it_began_with() {
    let (world, stood) = stopped().await;
    let before = world.rows("mypage").await;
    let rebuilder = world.rebuilder().in_slices(2);
    let report = rebuilder.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!(report.resumed_from, Some(stood));
    assert_eq!((report.differences_total, report.switched), (0, true));
    assert_eq!(world.rows("mypage").await, before);
}

#[tokio::test]
async fn a_builder_that_was_thought_dead_cannot_write_any_more() {
    let (world, stood) = stopped().await;
    // As the stopped one had it, its lease still running.
    let owner = "00000000-0000-0000-0000-000000000001";
    world
        .run_sql(&format!(
            "update followers set owner = '{owner}', epoch = 7, lease_until = clock_timestamp() + interval '1 hour'
             where generation = 2"
        ))
        .await;
    let report = world.replay("mypage", Goal::Compare).await;
    // It did not wait for the lease, which is long, and shut its holder out.
    assert_eq!(report.unwrap().resumed_from, Some(stood));
}

#[tokio::test]
async fn a_point_in_time_goes_on_only_to_the_same_point() {
    let (world, stood) = stopped().await;
    let first = After {
        cancel_at: 1,
        ..After::default()
    };
    let rebuilder = world.rebuilder().telling(&first);
    let moment = Moment::Position(2 * BATCH);
    let error = rebuilder
        .stopped_by(first.stop.clone())
        .replay_as_of("mypage", moment)
        .await
        .unwrap_err();
    assert!(matches!(error, ReplayError::Stopped(_)), "{error}");

    let after = After::default();
    let rebuilder = world.rebuilder().telling(&after);
    let report = rebuilder
        .replay_as_of("mypage", Moment::Position(12))
        .await
        .unwrap();
    assert_eq!((report.resumed_from, report.events), (None, 12));
    assert!(
        after.said().contains("another position"),
        "{}",
        after.said()
    );
    // The rebuild that was stopped before has nothing to do with the past.
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!((report.resumed_from, report.switched), (Some(stood), true));
}

#[tokio::test]
async fn a_killed_one_frees_its_lock_and_is_gone_on_with() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    // A transaction that may still append keeps a hole open: a rebuild waits there for as long as we like.
    let mut writer = world.owner().await;
    let mut open = writer.begin().await.unwrap();
    open.execute(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('Book', '99', 1, 'Booked', '1', '{}', '{}')",
    )
    .await
    .unwrap();
    play(&world, 2, &REGISTERED).await;
    {
        let held = std::pin::pin!(world.replay("mypage", Goal::Switch));
        let waiting = world.until(
            "select max(position)::text from followers where name = 'mypage'",
            "6",
        );
        tokio::select! {
            ended = held => panic!("it did not wait: {ended:?}"),
            () = waiting => {}
        }
        let error = world.replay("mypage", Goal::Switch).await.unwrap_err();
        assert!(matches!(error, ReplayError::Running("mypage")), "{error}");
        // The first one is dropped here, as a kill would: in the middle.
    }
    open.rollback().await.unwrap();
    // Its lock goes with its connection, when the server notices.
    world.until(ADVISORY_LOCKS, "0").await;
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!((report.resumed_from, report.events), (Some(6), 6));
    assert_eq!(world.text(STATES).await, "1kept 2live");
    assert_eq!(
        world.text("select count(*)::text from open_holes").await,
        "0"
    );
}
