//! Poison in every read model: one booking stands still, all others go on at no lag, and when the cause is gone the
//! rows are what a rebuild would write.

use projections::rebuild::Goal;

use crate::story::{CANCELLED, REGISTERED, play};
use crate::world::World;

/// Bookings of a test.
const BOOKINGS: i64 = 8;

/// Lets the tables of every read model refuse what is written for a value, without saying whose, until an event
/// is parked for it.
async fn stumble(world: &World) {
    let mut statements = String::new();
    for projection in projections::PROJECTIONS {
        let name = projection.name;
        statements += &format!(
            "create function {name}_refuse() returns trigger language plpgsql as $$
             begin
                 if not exists (select from parked where name = '{name}') then
                     raise exception 'out of range' using errcode = '22003';
                 end if;
                 return null;
             end $$;"
        );
        for table in projection.tables {
            statements += &format!(
                "create trigger refuse before insert or update on {name}_1.{} for each statement
                 execute function {name}_refuse();",
                table.name
            );
        }
    }
    world.run_sql(&statements).await;
}

async fn mend(world: &World) {
    for name in projections::NAMES {
        world
            .run_sql(&format!("drop function {name}_refuse() cascade"))
            .await;
    }
}

async fn parked(world: &World, name: &str) -> String {
    world
        .text(&format!(
            "select count(distinct key)::text from parked where name = '{name}'"
        ))
        .await
}

#[tokio::test]
async fn in_every_read_model_one_booking_waits_and_is_mended_by_itself() {
    let world = World::new().await;
    for id in 1..=BOOKINGS {
        play(&world, id, &REGISTERED).await;
    }
    stumble(&world).await;
    let followers = world.follow();
    world.caught_up().await;
    for name in projections::NAMES {
        assert_eq!(parked(&world, name).await, "1", "{name}");
    }
    // What comes is taken, or parked behind: nobody else waits.
    for id in 1..=BOOKINGS {
        play(&world, id, &CANCELLED).await;
    }
    world.caught_up().await;
    let status = world.journal.status().await.unwrap();
    // Nobody runs the saga here.
    for follower in status.followers.iter().filter(|f| f.name != "orders") {
        assert_eq!(follower.lag_events, 0, "{follower:?}");
        assert!(follower.parked > 1, "with what is behind: {follower:?}");
    }
    for name in projections::NAMES {
        let report = world.replay(name, Goal::Compare).await.unwrap();
        assert!(report.differences_total > 0, "the harm, before: {name}");
    }
    mend(&world).await;
    world
        .run_sql("update parked_tries set next_at = clock_timestamp()")
        .await;
    world.until("select count(*)::text from parked", "0").await;
    world
        .until("select count(*)::text from parked_tries", "0")
        .await;
    for name in projections::NAMES {
        let report = world.replay(name, Goal::Compare).await.unwrap();
        assert!(report.verified && report.compared, "{report:?}");
        assert_eq!(report.differences_total, 0, "{name}: {report:?}");
    }
    followers.stop().await;
}
