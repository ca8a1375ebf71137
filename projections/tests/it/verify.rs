//! What a rebuild does about rows that are not as they should be.

use projections::rebuild::{Goal, ReplayError};
use projections::{BookingFilter, SpaceRow};

use crate::story::{CANCELLED, REGISTERED, play};
use crate::world::World;

/// Lets somebody into the tables of a generation as soon as they are made: a row that is written is changed.
async fn tamper_with(world: &World, schema: &str, table: &str, change: &str) {
    world
        .run_sql(&format!(
            "create function tamper() returns trigger language plpgsql as $$
             begin {change}; return new; end $$;
             create function let_in() returns event_trigger language plpgsql as $$
             begin
                 if exists (
                     select from pg_event_trigger_ddl_commands() c
                     where c.object_identity = '{schema}.{table}' and c.command_tag = 'CREATE TABLE'
                 ) then
                     create trigger tamper before insert or update on {schema}.{table}
                     for each row execute function public.tamper();
                 end if;
             end $$;
             create event trigger let_in on ddl_command_end when tag in ('CREATE TABLE')
             execute function let_in();"
        ))
        .await;
}

#[tokio::test]
async fn a_damaged_live_row_is_listed_and_healed() {
    let world = World::new().await;
    for id in 1..=3 {
        play(&world, id, &REGISTERED).await;
    }
    world.follow_to_the_end().await;
    let sound = world.rows("mypage").await;
    world
        .run_sql(
            "update mypage_1.mypages set status = 'booking', spaceid = null where id = 2;
             delete from mypage_1.mypages where id = 3;
             insert into mypage_1.timeline
             select 9, position, event, at, actor_type, actor_id, correlation_id, status, phase, note
             from mypage_1.timeline where bookid = 1 limit 1;",
        )
        .await;
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert!(report.verified && report.switched);
    let found: Vec<_> = report
        .differences
        .iter()
        .map(|row| {
            (
                row.table.as_str(),
                row.key.as_str(),
                row.live.is_null(),
                row.rebuilt.is_null(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("mypages", "2", false, false),
            ("mypages", "3", true, false),
            ("timeline", "9/1", false, true)
        ]
    );
    let [damaged, ..] = &report.differences[..] else {
        panic!("no difference")
    };
    assert_eq!(damaged.live["status"], "booking");
    assert_eq!(damaged.rebuilt["status"], "Registered");
    assert_eq!(world.rows("mypage").await, sound);
}

#[tokio::test]
async fn a_comparison_lists_the_damage_and_leaves_everything() {
    let world = World::new().await;
    for id in 1..=120 {
        play(&world, id, &REGISTERED[..1]).await;
    }
    world.follow_to_the_end().await;
    world
        .run_sql("update books_1.books set amount = amount + 1")
        .await;
    let damaged = world.rows("books").await;
    let report = world.replay("books", Goal::Compare).await.unwrap();
    assert!(report.verified && !report.switched);
    assert_eq!(
        (report.differences_total, report.differences.len()),
        (120, 100)
    );
    assert_eq!(
        (
            world.live("books").await.as_str(),
            world.rows("books").await
        ),
        ("1", damaged)
    );
    let left = "select string_agg(nspname, ' ') from pg_namespace where nspname like 'books\\__'";
    assert_eq!(world.text(left).await, "books_1");
}

#[tokio::test]
async fn rows_that_are_not_what_was_folded_are_never_switched_to() {
    for (table, change) in [
        ("mypages", "new.amount := 0"),
        ("timeline", "new.note := 'nothing'"),
    ] {
        let world = World::new().await;
        play(&world, 1, &REGISTERED).await;
        world.follow_to_the_end().await;
        let before = world.rows("mypage").await;
        tamper_with(&world, "mypage_2", table, change).await;
        let error = world.replay("mypage", Goal::Switch).await.unwrap_err();
        assert!(
            matches!(error, ReplayError::Damaged { table: found, .. } if found == table),
            "{error}"
        );
        assert_eq!(world.live("mypage").await, "1");
        assert_eq!(world.rows("mypage").await, before);
        // Nothing is left of it, and the next one succeeds.
        world.replay("mypage", Goal::Switch).await.unwrap();
        assert_eq!(world.live("mypage").await, "3");
    }
}

#[tokio::test]
async fn what_comes_after_the_verification_is_read_back_too() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    // The live generation stands still here; the rebuild is verified, and then goes on alone.
    play(&world, 1, &CANCELLED).await;
    tamper_with(
        &world,
        "mypage_2",
        "mypages",
        "if new.status = 'cancel-register' then new.amount := 0; end if",
    )
    .await;
    let error = world.replay("mypage", Goal::Switch).await.unwrap_err();
    assert!(
        matches!(
            error,
            ReplayError::Damaged {
                table: "mypages",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(world.live("mypage").await, "1");
}

#[tokio::test]
async fn a_read_model_of_an_older_version_stands_still_until_it_is_rebuilt() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world
        .run_sql(
            "update projections set version = 0 where name = 'spaces';
             drop view spaces.spaces;
             alter table spaces_1.spaces drop column phase, add column colour text;
             create view spaces.spaces as select spaceid, bookid, colour from spaces_1.spaces;
             grant select on spaces.spaces to spacerent_runtime",
        )
        .await;
    let followers = world.follow();
    let head = world.journal.head().await.unwrap();
    for name in ["books", "payments", "mypage", "points", "calendar"] {
        let fresh = world
            .models
            .wait(name, head, &journal::runtime::Tokio, crate::world::SOON)
            .await;
        assert_eq!(fresh.unwrap().position, head);
    }
    let position = "select position::text from followers where name = 'spaces' and generation = 1";
    assert_eq!(world.text(position).await, "0");
    // Its rows mean something else, so they are not compared; its view gets today's columns.
    let report = world.replay("spaces", Goal::Switch).await.unwrap();
    assert!(
        report.switched && !report.compared && report.differences.is_empty(),
        "{report:?}"
    );
    play(&world, 2, &REGISTERED).await;
    world.caught_up().await;
    let spaces = world
        .models
        .list::<SpaceRow>(&BookingFilter::default(), &Default::default())
        .await
        .unwrap();
    assert_eq!(spaces.total, 2);
    followers.stop().await;
}
