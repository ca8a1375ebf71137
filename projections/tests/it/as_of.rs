//! Read models as they were.

use projections::rebuild::{Goal, Moment, ReplayError};
use projections::{NAMES, by_name};
use serde_json::json;
use sqlx::{Connection, Executor};

use crate::story::{CANCELLED, REGISTERED, Step, play};
use crate::world::World;

const AT_7: Moment = Moment::Position(7);

/// Every row of every table of a schema.
async fn rows(world: &World, name: &str, schema: &str) -> String {
    let mut all = String::new();
    for table in by_name(name).unwrap().tables {
        let key = table.key.join(", ");
        let sql = format!(
            "select coalesce(jsonb_agg(to_jsonb(t) order by {key}), '[]')::text from {schema}.{} t",
            table.name
        );
        all.push_str(&world.text(&sql).await);
        all.push('\n');
    }
    all
}

#[tokio::test]
async fn at_every_position_it_is_what_the_live_one_was() {
    let world = World::new().await;
    let mut were = vec![];
    for (played, steps) in [&REGISTERED[..2], &REGISTERED[2..], &CANCELLED]
        .into_iter()
        .enumerate()
    {
        play(&world, 1, steps).await;
        if played == 0 {
            play(&world, 2, &[Step::Register]).await;
        }
        world.follow_to_the_end().await;
        let head = world.journal.head().await.unwrap();
        for name in NAMES {
            were.push((name, head, world.rows(name).await));
        }
    }
    let live: Vec<_> = NAMES.map(|name| (name, world.rows(name))).into();
    let mut now = vec![];
    for (name, rows) in live {
        now.push((name, rows.await));
    }
    for (name, position, was) in were {
        let moment = Moment::Position(position);
        let report = world.rebuilder().replay_as_of(name, moment).await.unwrap();
        assert!(report.verified && !report.switched, "{report:?}");
        assert_eq!(
            (report.to_position, report.projection.as_str()),
            (position, name)
        );
        let schema = format!("{name}_at_{position}");
        assert_eq!(report.schema.as_deref(), Some(schema.as_str()));
        assert_eq!(rows(&world, name, &schema).await, was, "{schema}");
    }
    for (name, rows) in now {
        assert_eq!(world.rows(name).await, rows);
        assert_eq!(world.live(name).await, "1");
    }
}

#[tokio::test]
async fn it_is_listed_can_be_read_is_replaced_and_dropped() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    let rebuilder = world.rebuilder();
    for _ in 0..2 {
        rebuilder.replay_as_of("mypage", AT_7).await.unwrap();
        let status = world.journal.status().await.unwrap();
        let listed: Vec<_> = status
            .as_of
            .iter()
            .map(|one| (one.schema.as_str(), one.position))
            .collect();
        assert_eq!(listed, [("mypage_at_7", 7)]);
        // Nobody follows it, so nobody is behind.
        assert_eq!(status.generations, []);
    }
    let status: String = sqlx::query_scalar("select status from mypage_at_7.mypages")
        .fetch_one(world.journal.pool())
        .await
        .unwrap();
    assert_eq!(status, "cancel-booking");
    // A rebuild of the live one has nothing to do with it.
    world.replay("mypage", Goal::Switch).await.unwrap();
    assert_eq!(world.journal.status().await.unwrap().as_of.len(), 1);

    let dropped = rebuilder.drop_as_of("mypage", AT_7).await.unwrap();
    assert_eq!(dropped.dropped, "mypage_at_7");
    assert_eq!(world.journal.status().await.unwrap().as_of, []);
    let left = "select count(*)::text from pg_namespace where nspname like 'mypage_at%'";
    assert_eq!(world.text(left).await, "0");
    let error = rebuilder.drop_as_of("mypage", AT_7).await.unwrap_err();
    assert!(
        error.to_string().contains("no mypage_at_7 to drop"),
        "{error}"
    );
}

#[tokio::test]
async fn a_time_is_the_last_event_recorded_by_then() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let then =
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let then = Moment::Time(world.text(then).await.parse().unwrap());
    play(&world, 1, &CANCELLED).await;
    let rebuilder = world.rebuilder();
    let report = rebuilder.replay_as_of("books", then).await.unwrap();
    assert_eq!(report.to_position, 6);
    let booking = rebuilder.booking_as_of("books", 1, then).await.unwrap();
    assert_eq!(booking.rows["books"][0]["status"], "success-register");
    let before = "select to_char(min(recorded_at) at time zone 'UTC' - interval '1 microsecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from events";
    for (time, wanted) in [
        (world.text(before).await, "the first event is of"),
        ("2999-01-01T00:00:00Z".to_owned(), "is not over yet"),
    ] {
        let moment = Moment::Time(time.parse().unwrap());
        let error = rebuilder.replay_as_of("books", moment).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn positions_that_are_none_are_refused() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let rebuilder = world.rebuilder();
    for asked in [i64::MIN, -1, 0, 7, i64::MAX] {
        let moment = Moment::Position(asked);
        let error = rebuilder.replay_as_of("books", moment).await.unwrap_err();
        assert!(
            matches!(error, ReplayError::NoPosition { head: 6, .. }),
            "{error}"
        );
    }
    // A position that another transaction may still fill is not past yet.
    let mut writer = world.owner().await;
    let mut open = writer.begin().await.unwrap();
    open.execute(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('Book', '99', 1, 'Booked', '1', '{}', '{}')",
    )
    .await
    .unwrap();
    play(&world, 2, &REGISTERED).await;
    let error = rebuilder
        .replay_as_of("books", Moment::Position(8))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::Held { first: 7, last: 8 }),
        "{error}"
    );
    open.rollback().await.unwrap();
    world.follow_to_the_end().await;
    // Its number is dead now; as of it, things are as they were before.
    let report = rebuilder
        .replay_as_of("books", Moment::Position(7))
        .await
        .unwrap();
    assert_eq!((report.to_position, report.events, report.rows), (7, 6, 1));
}

#[tokio::test]
async fn one_booking_is_folded_in_memory() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    play(&world, 2, &REGISTERED).await;
    world.follow_to_the_end().await;
    let rebuilder = world.rebuilder();
    let before = rebuilder.booking_as_of("mypage", 1, AT_7).await.unwrap();
    assert_eq!((before.events, before.to_position), (7, 7));
    assert_eq!(before.rows["mypages"][0]["status"], "cancel-booking");
    assert_eq!(before.rows["timeline"].as_array().unwrap().len(), 7);
    // To the end it is what readers see.
    let head = Moment::Position(world.journal.head().await.unwrap());
    let now = rebuilder.booking_as_of("mypage", 1, head).await.unwrap();
    let live = world.models.mypage(domain::BookId(1)).await.unwrap();
    assert_eq!(now.rows["mypages"], json!([live.unwrap()]));
    let live = world.models.timeline(domain::BookId(1)).await.unwrap();
    assert_eq!(now.rows["timeline"], json!(live));

    let error = rebuilder
        .booking_as_of("mypage", 2, AT_7)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ReplayError::NoBooking {
                booking: 2,
                position: 7
            }
        ),
        "{error}"
    );
    let error = rebuilder
        .booking_as_of("points", 1, AT_7)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReplayError::NotByBooking("points")),
        "{error}"
    );
}

#[tokio::test]
async fn a_parked_booking_stands_still_also_in_memory() {
    let world = World::new().await;
    play(&world, 2, &[Step::Register, Step::Prepare]).await;
    let moment = Moment::Position(world.journal.head().await.unwrap());
    let found = world
        .rebuilder()
        .booking_as_of("mypage", 2, moment)
        .await
        .unwrap();
    let parked = found.parked.unwrap();
    assert_eq!((parked.position, found.events), (1, 2));
    assert_eq!(parked.reason, "there is no row 2 in mypages");
    assert_eq!(found.rows["mypages"], json!([]));
}
