//! Rebuilding: what comes out, and what keeps a rebuild from starting.

use journal::schema::hold_alone;
use projections::NAMES;
use projections::rebuild::{Goal, ReplayError};
use proptest::prelude::{Strategy, prop};
use proptest::test_runner::{Config, TestRunner};
use sqlx::Connection;

use crate::story::{self, CANCELLED, REGISTERED, STEPS, Step, play};
use crate::world::World;

#[tokio::test]
async fn every_read_model_comes_out_as_it_was() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    play(&world, 2, &[Step::Place, Step::Decline, Step::Reject]).await;
    play(&world, 4, &[Step::Register]).await;
    world.follow_to_the_end().await;
    let head = world.journal.head().await.unwrap();
    for name in NAMES {
        let before = world.rows(name).await;
        let report = world.replay(name, Goal::Switch).await.unwrap();
        assert!(
            report.verified && report.switched && report.compared,
            "{report:?}"
        );
        assert_eq!(
            (report.differences_total, report.differences.len()),
            (0, 0),
            "{report:?}"
        );
        assert_eq!(
            (report.to_position, report.projection.as_str()),
            (head, name)
        );
        assert_eq!(report.events, 17);
        assert_eq!(world.live(name).await, "2");
        assert_eq!(world.rows(name).await, before);
    }
    let parked = "select count(distinct generation)::text from parked where name = 'books'";
    assert_eq!(world.text(parked).await, "2");
}

#[tokio::test]
async fn the_report_is_the_promised_json() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    world.run_sql("update books_1.books set amount = 7").await;
    let report = world.replay("books", Goal::Switch).await.unwrap();
    let mut json = serde_json::to_value(report).unwrap();
    assert!(json["seconds"].is_number() && json["events_per_second"].is_u64());
    let row = &mut json["differences"][0];
    assert_eq!(
        (&row["live"]["amount"], &row["rebuilt"]["amount"]),
        (&7.into(), &10_000.into())
    );
    row["live"].take();
    row["rebuilt"].take();
    json["seconds"].take();
    assert!(json["switch_lock_seconds"].take().as_f64().unwrap() > 0.0);
    json["events_per_second"].take();
    insta::assert_json_snapshot!(json, @r#"
    {
      "compared": true,
      "differences": [
        {
          "key": "1",
          "live": null,
          "rebuilt": null,
          "table": "books"
        }
      ],
      "differences_total": 1,
      "events": 6,
      "events_per_second": null,
      "parked": 0,
      "projection": "books",
      "resumed_from": null,
      "rows": 1,
      "schema": null,
      "seconds": null,
      "switch_lock_seconds": null,
      "switched": true,
      "to_position": 6,
      "verified": true
    }
    "#);
}

#[tokio::test]
async fn the_new_generation_goes_on_exactly_where_the_rebuild_ended() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    let report = world.replay("points", Goal::Switch).await.unwrap();
    let position = "select position::text from followers where name = 'points' and generation = 2";
    assert_eq!(world.text(position).await, report.to_position.to_string());
    play(&world, 2, &REGISTERED).await;
    world.follow_to_the_end().await;
    // An event folded twice, or not at all, would show in the balance.
    let points = world.models.points(domain::UserId(1)).await.unwrap();
    assert_eq!(points, 200);
    let lines = "select count(*)::text from points_2.ledger";
    assert_eq!(world.text(lines).await, "2");
}

#[tokio::test]
async fn a_rebuild_needs_no_live_follower() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    // Nothing was ever followed: the live generation is empty.
    let report = world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!(report.to_position, world.journal.head().await.unwrap());
    assert_eq!(report.differences_total, 0);
    assert_eq!(
        world
            .models
            .timeline(domain::BookId(1))
            .await
            .unwrap()
            .len(),
        6
    );
}

#[tokio::test]
async fn only_the_last_generation_is_kept_and_can_be_switched_back_to() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let followers = world.follow();
    world.caught_up().await;
    let states = "select string_agg(generation || state, ' ' order by generation) from projections where name = 'mypage'";
    for expected in [
        "1kept 2live",
        "1gone 2kept 3live",
        "1gone 2gone 3kept 4live",
    ] {
        world.replay("mypage", Goal::Switch).await.unwrap();
        assert_eq!(world.text(states).await, expected);
    }
    let schemas = "select string_agg(nspname, ' ' order by nspname) from pg_namespace where nspname like 'mypage%'";
    assert_eq!(world.text(schemas).await, "mypage mypage_3 mypage_4");

    // What happens meanwhile reaches the kept generation before it is switched to.
    play(&world, 1, &CANCELLED).await;
    world.caught_up().await;
    let before = world.rows("mypage").await;
    let report = world.rebuilder().roll_back("mypage").await.unwrap();
    assert!(report.switched && !report.verified, "{report:?}");
    assert_eq!(
        (report.differences_total, report.rows),
        (0, 13),
        "{report:?}"
    );
    assert_eq!(world.text(states).await, "1gone 2gone 3live 4kept");
    assert_eq!(world.rows("mypage").await, before);
    play(&world, 2, &REGISTERED).await;
    world.caught_up().await;
    assert_eq!(
        world
            .models
            .timeline(domain::BookId(2))
            .await
            .unwrap()
            .len(),
        6
    );
    followers.stop().await;
}

#[tokio::test]
async fn there_must_be_something_to_switch_back_to() {
    let world = World::new().await;
    let error = world.rebuilder().roll_back("mypage").await.unwrap_err();
    assert!(
        matches!(error, ReplayError::NothingKept("mypage")),
        "{error}"
    );
    let error = world.replay("moods", Goal::Switch).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("books, payments, spaces, mypage, points"),
        "{error}"
    );
}

#[tokio::test]
async fn two_rebuilds_of_one_read_model_do_not_meet() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let mut other = world.owner().await;
    assert!(hold_alone(&mut other, "rebuild of books").await.unwrap());
    let error = world.replay("books", Goal::Switch).await.unwrap_err();
    assert!(matches!(error, ReplayError::Running("books")), "{error}");
    // Another read model is nobody else's business.
    world.replay("spaces", Goal::Switch).await.unwrap();
    other.close().await.unwrap();
}

/// What all days of the calendar brought.
const EARNED: &str = "select coalesce(sum(revenue_krw), 0)::text from calendar.days";
/// What the payments hold.
const HELD: &str = "select coalesce(sum(captured - refunded), 0)::text from payments_1.payments";

/// Whatever happens to bookings, in whatever order: what is rebuilt equals what was followed.
#[test]
fn rebuilt_equals_live_whatever_happened() {
    let config = Config {
        cases: 5,
        failure_persistence: None,
        ..Config::default()
    };
    let step = (1..=3_i64, prop::sample::select(&STEPS[..]));
    // Every booking is placed, mostly before anything else happens to it.
    let stories = prop::collection::vec(step, 20..80)
        .prop_map(|steps| [vec![(1, Step::Place), (2, Step::Place)], steps].concat());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    TestRunner::new(config)
        .run(&stories, |steps| {
            runtime.block_on(async {
                let world = World::new().await;
                let followers = world.follow();
                let mut stored = 0;
                for (id, step) in steps {
                    // Refusals are part of life.
                    stored += i32::from(story::ask(&world, id, step).await.is_ok());
                }
                assert!(stored >= 2);
                world.caught_up().await;
                followers.stop().await;
                assert_eq!(world.text(EARNED).await, world.text(HELD).await);
                for name in NAMES {
                    let before = world.rows(name).await;
                    let report = world.replay(name, Goal::Switch).await.unwrap();
                    assert_eq!(report.differences, []);
                    assert_eq!(world.rows(name).await, before);
                }
            });
            Ok(())
        })
        .unwrap();
}
