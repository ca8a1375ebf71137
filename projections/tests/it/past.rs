//! Read models of a journal with a past: as if it had been written today, and rebuilt as they were.
//!
//! The table is the worked example of docs/changing-events.md; rows of older days are written by SQL.

use domain::version::{Lineage, Step, Stream, TODAY, Table, shape};
use domain::{BookId, UserId};
use journal::recover::ParkedAt;
use journal::status::FollowerStatus;
use projections::rebuild::{Goal, Moment};
use projections::{MypageRow, NAMES};
use serde_json::{Value, json};

use crate::story::{REGISTERED, play};
use crate::world::World;

#[allow(
    dead_code,
    missing_docs,
    reason = "it is shown in the docs as it stands"
)]
#[path = "../../../domain/tests/versions/example.rs"]
mod example;

/// Writes rows of booking `key`: aggregate, name, version and what each says.
async fn write(world: &World, key: i64, rows: &[(&str, &str, &str, Value)]) {
    let mut owner = world.owner().await;
    for (aggregate_type, event_type, event_version, payload) in rows {
        sqlx::query(
            r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select $1, $2, 1 + count(*), $3, $4, $5,
                      '{"occurred_at": "2026-05-01T08:40:01Z", "actor_type": "customer", "correlation_id": "journey"}'
               from events where aggregate_type = $1 and aggregate_id = $2"#,
        )
        .bind(aggregate_type)
        .bind(key.to_string())
        .bind(event_type)
        .bind(event_version)
        .bind(payload)
        .execute(&mut owner)
        .await
        .unwrap();
    }
}

/// A visit that was paid, as it was once written. Booking 7's row that means nothing is its last.
fn old(key: i64) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        (
            "Book",
            "Booked",
            "1",
            json!({"type": "Booked", "bookid": key, "userid": 1, "room": "numberone", "status": "booking", "price": 10_000}),
        ),
        (
            "Payment",
            "Paid",
            "1",
            json!({"type": "Paid", "payid": key, "bookid": key, "userid": 1, "status": "success-pay", "spacename": "numberone",
                   "amount": 10_000, "currency": "KRW", "charge_no": 1, "gateway_ref": "pi", "points": 100}),
        ),
        (
            "Space",
            "Visited",
            "1",
            json!({"type": "Visited", "spaceid": key, "userid": 1, "spacename": "numberone", "overtime_minutes": 15}),
        ),
        (
            "Book",
            "BookingViewed",
            "1",
            json!({"type": "BookingViewed", "bookid": key, "by": "Kim"}),
        ),
    ]
}

/// The same, as it is written today.
fn today(key: i64) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        (
            "Book",
            "Booked",
            "3",
            json!({"type": "Booked", "bookid": key, "userid": 1, "spacename": "numberone", "status": "booking",
                   "amount": 10_000, "currency": "KRW"}),
        ),
        (
            "Payment",
            "Approved",
            "1",
            json!({"type": "Approved", "payid": key, "bookid": key, "userid": 1, "status": "success-pay", "spacename": "numberone",
                   "amount": 10_000, "currency": "KRW", "charge_no": 1, "gateway_ref": "pi"}),
        ),
        (
            "Payment",
            "PointsAccrued",
            "1",
            json!({"type": "PointsAccrued", "payid": key, "userid": 1, "points": 100}),
        ),
        (
            "Space",
            "Registered",
            "1",
            json!({"type": "Registered", "spaceid": key, "bookid": key, "payid": key, "userid": 1, "spacename": "numberone",
                   "status": "success-register"}),
        ),
        (
            "Space",
            "CheckedOut",
            "1",
            json!({"type": "CheckedOut", "spaceid": key, "status": "completed", "overtime_minutes": 15}),
        ),
    ]
}

async fn with_a_past() -> World {
    let mut world = World::new().await;
    world.journal = world.journal.clone().with_events(example::EXAMPLE);
    world
}

/// Everything but where in the journal it comes from.
async fn shown(world: &World, name: &str) -> Vec<Value> {
    let tables = world.rows(name).await;
    let mut tables: Vec<Value> = tables
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for row in tables
        .iter_mut()
        .flat_map(|table| table.as_array_mut().unwrap())
    {
        let row = row.as_object_mut().unwrap();
        row.remove("position");
        row.remove("version");
    }
    tables
}

#[tokio::test]
async fn old_rows_show_what_todays_would() {
    let (past, present) = (with_a_past().await, with_a_past().await);
    for key in [7, 8] {
        write(&past, key, &old(key)).await;
        write(&present, key, &today(key)).await;
    }
    past.follow_to_the_end().await;
    present.follow_to_the_end().await;
    for name in NAMES {
        let (mut was, mut is) = (shown(&past, name).await, shown(&present, name).await);
        if name == "mypage" {
            // Told as one line for what was written as one row.
            assert_eq!(was[1].as_array().unwrap().len(), 6);
            was.truncate(1);
            is.truncate(1);
        }
        assert_eq!(was, is, "{name}");
    }
    let story = past.models.timeline(BookId(7)).await.unwrap();
    let story: Vec<_> = story
        .iter()
        .map(|line| (line.position, line.event.as_str(), line.status.as_str()))
        .collect();
    assert_eq!(
        story,
        [
            (1, "Booked", "booking"),
            (2, "Approved, PointsAccrued", "success-pay"),
            (3, "Registered, CheckedOut", "completed")
        ]
    );
    assert_eq!(past.models.points(UserId(1)).await.unwrap(), 200);
}

#[tokio::test]
async fn a_rebuild_of_old_rows_is_what_was_live_in_batches_of_any_size_and_at_any_position() {
    let world = with_a_past().await;
    for key in 1..=30 {
        write(&world, key, &old(key)).await;
    }
    world.follow_to_the_end().await;
    for name in NAMES {
        let live = world.rows(name).await;
        for batch in [1, 7, 1_000] {
            let rebuilder = world.rebuilder().in_batches_of(batch);
            let report = rebuilder.replay(name, Goal::Compare).await.unwrap();
            assert!(
                report.verified && report.differences_total == 0,
                "{name} in {batch}: {report:?}"
            );
        }
        let report = world.replay(name, Goal::Switch).await.unwrap();
        assert!(report.switched, "{report:?}");
        assert_eq!(world.rows(name).await, live);
        let estimate = world.rebuilder().estimate(name, None).await.unwrap();
        assert_eq!((estimate.events, estimate.sample.events), (120, 120));
    }
    // Positions 9 to 12 are booking 3's.
    let at = |position| {
        let rebuilder = world.rebuilder();
        async move {
            let moment = Moment::Position(position);
            let found = rebuilder.booking_as_of("mypage", 3, moment).await.unwrap();
            assert!(found.parked.is_none());
            let page = found.rows["mypages"][0].clone();
            (found.events, page["phase"].clone(), page["points"].clone())
        }
    };
    assert_eq!(at(10).await, (2, "paid".into(), 100.into()));
    assert_eq!(at(11).await, (3, "completed".into(), 100.into()));
    assert_eq!(at(12).await, (4, "completed".into(), 100.into()));
}

#[tokio::test]
async fn what_waited_for_a_newer_program_comes_out_as_a_rebuild_would_make_it() {
    let mut world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let newer = &old(7)[1..3];
    write(&world, 1, newer).await;
    play(&world, 2, &REGISTERED).await;
    // The old program: booking 1 stands still from there on, for every follower; booking 2 does not.
    world.follow_to_the_end().await;
    let page = |id| {
        let models = world.models.clone();
        async move { models.find::<MypageRow>(BookId(id)).await.unwrap().unwrap() }
    };
    assert_eq!(
        (page(1).await.position, page(2).await.phase.as_str()),
        (6, "registered")
    );
    let status = world.journal.status().await.unwrap();
    let of_read_models = |f: &&FollowerStatus| NAMES.contains(&f.name.as_str());
    let followers: Vec<_> = status.followers.iter().filter(of_read_models).collect();
    assert_eq!(followers.len(), NAMES.len());
    for follower in followers {
        assert_eq!(
            (follower.lag_events, follower.parked),
            (0, 2),
            "{follower:?}"
        );
    }
    // A rebuild by the old program parks it, too.
    let report = world.replay("mypage", Goal::Compare).await.unwrap();
    assert_eq!(report.differences_total, 0, "{report:?}");

    world.journal = world.journal.clone().with_events(that_learnt());
    let followers = world.follow();
    world.until("select count(*)::text from parked", "0").await;
    followers.stop().await;
    assert_eq!(page(1).await.position, 8);
    for name in NAMES {
        let live = world.rows(name).await;
        let report = world.replay(name, Goal::Switch).await.unwrap();
        assert_eq!(report.differences_total, 0, "{name}: {report:?}");
        assert_eq!(world.rows(name).await, live);
    }
}

/// Today's table, which has learnt two names.
fn that_learnt() -> Table {
    let [book, ..] = TODAY.0 else { unreachable!() };
    let [_, payment, space] = example::EXAMPLE.0 else {
        unreachable!()
    };
    // The example has less of a payment than the code.
    Table(Box::leak(Box::new([*book, *payment, *space])))
}

#[tokio::test]
async fn points_that_one_row_moves_twice_are_one_line_that_says_what_it_comes_to() {
    fn both_ways(mut payload: Value) -> Result<Vec<(&'static str, Value)>, String> {
        Ok(vec![
            ("PointsAccrued", payload["accrued"].take()),
            ("PointsClawedBack", payload["clawed_back"].take()),
        ])
    }
    static CORRECTED: &[Step] = &[Step::several(
        "1",
        &[shape("PointsAccrued", "1"), shape("PointsClawedBack", "1")],
        both_ways,
    )];
    static TABLE: Table = Table(&[Stream {
        aggregate_type: "Payment",
        events: &[
            Lineage::first("PointsAccrued"),
            Lineage::first("PointsClawedBack"),
            Lineage::retired("PointsCorrected", CORRECTED),
        ],
    }]);
    let mut world = World::new().await;
    world.journal = world.journal.clone().with_events(TABLE);
    let corrected = |accrued: i64, user: i64| {
        json!({"type": "PointsCorrected",
               "accrued": {"payid": 7, "userid": 1, "points": accrued},
               "clawed_back": {"payid": 7, "userid": user, "points": 30}})
    };
    for (key, payload) in [
        (1, corrected(100, 1)),
        (2, corrected(10, 1)),
        (3, corrected(10, 2)),
    ] {
        write(&world, key, &[("Payment", "PointsCorrected", "1", payload)]).await;
    }
    let schema = projections::by_name("points").unwrap().schema(1);
    assert_eq!(schema, "points_1");
    world.follow_to_the_end().await;
    let ledger = world.models.ledger_after(UserId(1), 0, 100).await.unwrap();
    let lines: Vec<_> = ledger
        .rows
        .iter()
        .map(|line| (line.position, line.kind.as_str(), line.points))
        .collect();
    assert_eq!(lines, [(1, "accrued", 70), (2, "clawed_back", -20)]);
    assert_eq!(world.models.points(UserId(1)).await.unwrap(), 50);
    let at = ParkedAt {
        name: "points".to_owned(),
        generation: 1,
        key: "3".to_owned(),
    };
    let parked = world.journal.parked_events(&at).await.unwrap();
    assert_eq!(parked.len(), 1, "two users in one line");
}
