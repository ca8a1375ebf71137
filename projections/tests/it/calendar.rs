//! The calendar: days of spaces.

use serde_json::{Value, json};

use crate::story::{self, CANCELLED, REGISTERED, Step, play};
use crate::world::World;

/// The rows that readers see, in the order of their keys.
async fn days(world: &World) -> Value {
    let rows = "select coalesce(jsonb_agg(to_jsonb(d) - 'day' order by spacename, day), '[]')::text from calendar.days d";
    serde_json::from_str(&world.text(rows).await).unwrap()
}

fn day(spacename: &str, bookings: i64, cancelled: i64, krw: i64) -> Value {
    json!({
        "spacename": spacename, "bookings": bookings, "cancelled": cancelled,
        "revenue_krw": krw, "revenue_usd": 0, "revenue_eur": 0, "revenue_jpy": 0
    })
}

#[tokio::test]
async fn a_space_has_a_row_a_day() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 2, &REGISTERED).await;
    play(&world, 2, &CANCELLED).await;
    play(&world, 3, &[Step::Place, Step::Decline]).await;
    story::place(&world, 4, 1, "numberfour").await;
    world.follow_to_the_end().await;
    let expected = json!([day("numberfour", 1, 0, 0), day("numberone", 3, 1, 10_000),]);
    assert_eq!(days(&world).await, expected);
    let today = "select (day = to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD'))::text from calendar.days limit 1";
    assert_eq!(world.text(today).await, "true");
}

#[tokio::test]
async fn days_end_at_midnight_utc_and_count_what_happened_on_them() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    // The same story under another number, its last event before midnight, and its cancellation after.
    world
        .run_sql(
            r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select aggregate_type, '2', sequence, event_type, event_version, payload || '{"bookid": 2}',
                      metadata || '{"occurred_at": "2026-04-30T23:59:59.999999Z"}'
               from events where aggregate_type = 'Book' and aggregate_id = '1' order by position;
               insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select 'Book', '2', 9, 'Bookcancelled', '1',
                      '{"type": "Bookcancelled", "bookid": 2, "userid": null, "spacename": "numberone",
                        "status": "cancel-booking", "amount": 0, "currency": "KRW", "reason": null}',
                      metadata || '{"occurred_at": "2026-05-01T00:00:00Z"}'
               from events where position = 1"#,
        )
        .await;
    world.follow_to_the_end().await;
    let days = "select string_agg(concat_ws(' ', day, bookings, cancelled), ', ' order by day) from calendar.days
                where day < '2026-06-01'";
    assert_eq!(world.text(days).await, "2026-04-30 1 0, 2026-05-01 0 1");
}

#[tokio::test]
async fn a_name_that_no_index_could_hold_is_cut_and_still_itself() {
    let world = World::new().await;
    let long = |end: &str| "é".repeat(5_000) + end;
    story::place(&world, 1, 1, &long("a")).await;
    story::place(&world, 2, 1, &long("b")).await;
    story::place(&world, 3, 1, &long("b")).await;
    world.follow_to_the_end().await;
    let found = "select string_agg(bookings || ' ' || (length(spacename) < 300), ', ' order by bookings) from calendar.days";
    assert_eq!(world.text(found).await, "1 true, 2 true");
}
