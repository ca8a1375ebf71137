//! The file: what it goes on from, what it begins anew for, and what it never does.

mod damage;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use journal::StoreError;
use journal::recover::{Decision, ParkedAt};
use journal::runtime::{Runtime, Tokio};
use projections::file::MypageFile;
use projections::{BookingFilter, MypageRow, PageRequest, ReadModels};
use sqlx::{Connection, Executor};
use tokio_util::sync::CancellationToken;

use crate::bulk::bookings;
use crate::shelf::{Shelf, connect, eventually, everything};
use crate::story::{CANCELLED, REGISTERED, Step, play};
use crate::world::World;

/// Two bookings, one of them cancelled, in both stores.
async fn told() -> (World, Shelf) {
    let (world, shelf) = (World::new().await, Shelf::new());
    play(&world, 1, &REGISTERED).await;
    play(&world, 2, &REGISTERED).await;
    play(&world, 2, &CANCELLED).await;
    world.follow_to_the_end().await;
    shelf.fill(&world).await;
    (world, shelf)
}

/// What the file shows once it has everything, which is what Postgres shows.
async fn is_right(world: &World, shelf: &Shelf) {
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(world).await;
    assert_eq!(
        everything(&kept.models).await,
        everything(&world.models).await
    );
    kept.stop().await;
}

/// A change that shows whether the rows were made anew.
async fn mark(shelf: &Shelf) {
    shelf.run_sql("update mypages_1 set amount = 7").await;
}

async fn is_marked(shelf: &Shelf, generation: i64) -> bool {
    let marked = format!("select count(*)::text from mypages_{generation} where amount = 7");
    shelf.text(&marked.replace("::text", " || ''")).await != "0"
}

fn garbage_at(path: &Path, place: u64, bytes: usize) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    file.write_all(&vec![0xa5; bytes]).unwrap();
    file.sync_all().unwrap();
}

async fn all(models: &ReadModels) -> Result<i64, StoreError> {
    let (filter, page) = (BookingFilter::default(), PageRequest::default());
    Ok(models.list::<MypageRow>(&filter, &page).await?.total)
}

#[tokio::test]
async fn it_goes_on_where_it_stopped() {
    let (world, shelf) = told().await;
    mark(&shelf).await;
    play(&world, 1, &CANCELLED).await;
    play(&world, 3, &REGISTERED).await;
    world.follow_to_the_end().await;
    shelf.fill(&world).await;
    assert!(is_marked(&shelf, 1).await, "it was made anew");
    // Had an event been folded twice, or not at all, points and lines would show it.
    shelf.run_sql("update mypages_1 set amount = 10000").await;
    is_right(&world, &shelf).await;
}

#[tokio::test]
async fn nothing_is_answered_before_there_is_something_to_answer() {
    let (world, shelf) = told().await;
    fs::remove_file(shelf.path()).unwrap();
    let (file, keeper) = MypageFile::open(&shelf.path(), &world.journal)
        .await
        .unwrap();
    let models = ReadModels::new(world.journal.clone()).with_mypage_in(file);
    for error in [
        all(&models).await.unwrap_err(),
        models.timeline(domain::BookId(1)).await.unwrap_err(),
        models
            .wait("mypage", 0, &Tokio, std::time::Duration::ZERO)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::File(_)), "{error}");
        assert!(error.is_transient());
    }
    assert!(!models.mypage_is_ready());
    // The other read models are not in it.
    assert_eq!(models.points(domain::UserId(1)).await.unwrap(), 100);
    let stop = CancellationToken::new();
    let keeping = keeper.run(Arc::new(Tokio), stop.clone());
    let asking = async {
        eventually("it never answers", async || models.mypage_is_ready()).await;
        assert_eq!(all(&models).await.unwrap(), 2);
        stop.cancel();
    };
    tokio::join!(keeping, asking);
}

#[tokio::test]
async fn rows_of_an_older_fold_are_read_while_new_ones_are_made() {
    let (world, shelf) = told().await;
    let old = world.journal.head().await.unwrap();
    play(&world, 3, &REGISTERED).await;
    world.follow_to_the_end().await;
    for (number, sql) in [
        (2, "update generations set version = 0"),
        (3, "update generations set version = 99"),
    ] {
        mark_of(&shelf, number - 1).await;
        shelf.run_sql(sql).await;
        let (file, keeper) = MypageFile::open(&shelf.path(), &world.journal)
            .await
            .unwrap();
        let models = ReadModels::new(world.journal.clone()).with_mypage_in(file.clone());
        // Nobody fills it yet; the old rows are answered with the position that they are of.
        let (rows, _) = everything(&models).await;
        assert!(rows.iter().all(|row| row.amount == 7));
        assert!(!models.mypage_is_ready());
        if number == 2 {
            let fresh = models.wait("mypage", i64::MAX, &Tokio, std::time::Duration::ZERO);
            let fresh = fresh.await.unwrap();
            assert_eq!((fresh.position, fresh.lag_events), (old, 6));
        }
        drop((file, keeper, models));
        // Left alone then, it goes on with what it began.
        is_right(&world, &shelf).await;
        let left = "select group_concat(name, ' ') from (select name from sqlite_schema where type = 'table' and name like 'mypages%')";
        assert_eq!(shelf.text(left).await, format!("mypages_{number}"));
    }
}

async fn mark_of(shelf: &Shelf, generation: i64) {
    let sql = format!("update mypages_{generation} set amount = 7");
    shelf.run_sql(&sql).await;
}

#[tokio::test]
async fn rows_without_todays_columns_are_not_shown() {
    let (world, shelf) = told().await;
    shelf.run_sql("drop view mypages").await;
    shelf
        .run_sql("alter table mypages_1 drop column attention")
        .await;
    let (file, keeper) = MypageFile::open(&shelf.path(), &world.journal)
        .await
        .unwrap();
    let models = ReadModels::new(world.journal.clone()).with_mypage_in(file.clone());
    assert!(matches!(all(&models).await, Err(StoreError::File(_))));
    drop((file, keeper, models));
    is_right(&world, &shelf).await;
}

#[tokio::test]
async fn killed_at_any_moment_it_goes_on() {
    let (world, shelf) = (World::new().await, Shelf::new());
    bookings(&world, 450).await;
    world.follow_to_the_end().await;
    let (mut killed, mut pause) = (0, std::time::Duration::from_millis(5));
    loop {
        let (file, keeper) = MypageFile::open(&shelf.path(), &world.journal)
            .await
            .unwrap();
        let keeping = keeper.run(Arc::new(Tokio), CancellationToken::new());
        // Later each time, so that it comes to its end on a slow machine, too.
        pause += pause / 2;
        tokio::select! {
            biased;
            () = Tokio.sleep(pause) => killed += 1,
            () = keeping => unreachable!("it is not told to stop"),
            () = eventually("it never caught up", async || file.is_ready()) => break,
        }
    }
    assert!(killed > 2, "{killed}");
    is_right(&world, &shelf).await;
}

#[tokio::test]
async fn a_poison_event_parks_its_booking_until_it_can_be_taken() {
    let (world, shelf) = (World::new().await, Shelf::new());
    play(&world, 1, &[Step::Place]).await;
    // Nothing was ever booked under 2.
    play(&world, 2, &[Step::Register, Step::Prepare]).await;
    play(&world, 1, &[Step::Approve]).await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    let parked =
        "select group_concat(key || ' ' || event_type || ' ' || coalesce(reason, '-'), ', ')
                  from (select * from parked order by position)";
    assert_eq!(
        shelf.text(parked).await,
        "2 Registered there is no row 2 in mypages, 2 PreparationStarted -"
    );
    play(&world, 2, &[Step::Ready]).await;
    play(&world, 1, &[Step::Register]).await;
    kept.caught_up(&world).await;
    assert_eq!(shelf.text("select count(*) || '' from parked").await, "3");
    let mypage = kept.models.find::<MypageRow>(domain::BookId(1)).await;
    assert_eq!(mypage.unwrap().unwrap().phase, domain::Phase::Registered);
    // It is tried again by itself, and waits longer each time.
    eventually("it is not tried again", async || {
        shelf.text("select tries || '' from parked_keys").await == "1"
    })
    .await;
    let wait = "select (due_at - cast(unixepoch('subsec') * 1000000 as integer) > 1000000) || '' from parked_keys";
    assert_eq!(shelf.text(wait).await, "1");
    // The cause is mended: there is a row.
    shelf
        .run_sql(
            "insert into mypages_1 select 2, 2, userid, spacename, null, null, status, phase, amount, currency,
                 starts_at, ends_at, 0, 0, null, 0, created_at, updated_at from mypages_1 where id = 1",
        )
        .await;
    shelf.run_sql("update parked_keys set due_at = 0").await;
    eventually("it is not freed", async || {
        shelf.text("select count(*) || '' from parked").await == "0"
    })
    .await;
    let story = kept.models.timeline(domain::BookId(2)).await.unwrap();
    let told: Vec<_> = story.iter().map(|line| line.event.as_str()).collect();
    assert_eq!(told, ["Registered", "PreparationStarted", "Prepared"]);
    assert_eq!(
        shelf.text("select count(*) || '' from parked_keys").await,
        "0"
    );
    kept.stop().await;
}

#[tokio::test]
async fn what_people_discard_in_postgres_is_not_waited_for_in_the_file() {
    let (world, shelf) = (World::new().await, Shelf::new());
    play(&world, 2, &[Step::Register, Step::Prepare]).await;
    world.follow_to_the_end().await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    let parked = "select count(*) || '' from parked";
    assert_eq!(shelf.text(parked).await, "2");
    let at = ParkedAt {
        name: "mypage".into(),
        generation: 1,
        key: "2".into(),
    };
    let decision = Decision {
        by: "ann",
        reason: "no such booking",
    };
    world
        .journal
        .discard_parked(&at, true, &decision)
        .await
        .unwrap();
    shelf.run_sql("update parked_keys set due_at = 0").await;
    eventually("it is still waited for", async || {
        shelf.text(parked).await == "0"
            && shelf.text("select count(*) || '' from parked_keys").await == "0"
    })
    .await;
    kept.stop().await;
}

#[tokio::test]
async fn it_holds_at_a_hole_and_writes_nothing_to_the_database() {
    let (world, shelf) = (World::new().await, Shelf::new());
    play(&world, 1, &[Step::Place]).await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    let before = world.journal.head().await.unwrap();
    let mut writer = world.owner().await;
    let mut open = writer.begin().await.unwrap();
    open.execute(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('Book', '99', 1, 'Booked', '1', '{}', '{}')",
    )
    .await
    .unwrap();
    play(&world, 1, &[Step::Approve]).await;
    // Nothing of what is behind it is shown, however often it is looked for.
    let head = world.journal.head().await.unwrap();
    let waited = std::time::Duration::from_millis(300);
    let fresh = kept.models.wait("mypage", head, &Tokio, waited).await;
    assert_eq!(fresh.unwrap().position, before);
    open.rollback().await.unwrap();
    kept.caught_up(&world).await;
    let written =
        "select (select coalesce(sum(position), 0) from followers) || ' ' || (select count(*) from open_holes) || ' '
                   || (select count(*) from dead_spans) || ' ' || (select count(*) from parked)";
    assert_eq!(world.text(written).await, "0 0 0 0");
    kept.stop().await;
    world.follow_to_the_end().await;
    is_right(&world, &shelf).await;
}

#[tokio::test]
async fn a_journal_that_became_another_one_is_noticed_while_it_is_followed() {
    let (world, shelf) = told().await;
    mark(&shelf).await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    world.run_sql("update journal set epoch = epoch + 1").await;
    eventually("nobody noticed", async || {
        let found = kept.models.find::<MypageRow>(domain::BookId(1)).await;
        found.is_ok_and(|row| row.is_some_and(|row| row.amount != 7))
    })
    .await;
    kept.stop().await;
    is_right(&world, &shelf).await;
}

#[tokio::test]
async fn questions_find_an_index() {
    let (_world, shelf) = told().await;
    let mut file = connect(&shelf.path()).await;
    for (condition, index) in [
        ("userid = 1", "(userid=?)"),
        ("id = 1", "(rowid=?)"),
        (
            "spacename in (select value from json_each('[\"x\"]'))",
            "(spacename=?)",
        ),
        (
            "phase in (select value from json_each('[\"x\"]'))",
            "(phase=?)",
        ),
    ] {
        let sql = format!("explain query plan select * from mypages where {condition} order by id");
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(&sql).fetch_all(&mut file).await.unwrap();
        assert!(
            plan.iter().any(|(.., step)| step.contains(index)),
            "{plan:?}"
        );
    }
}
