//! A frozen read model is told of when it begins and when it ends: a row, a metric, a line of the log each.

use std::time::Duration;

use journal::incidents::Incident;
use projections::Watch;

use crate::heard::Heard;
use crate::story::{REGISTERED, play};
use crate::world::World;

const METRIC: &str = "projection_standstills_total{projection=\"mypage\"}";
const GAUGE: &str = "projection_standstill_seconds{projection=\"mypage\"}";

async fn standstill(world: &World) -> Option<Incident> {
    let incidents = world.journal.incidents(20).await.unwrap();
    let of_mypage = |i: &Incident| i.class == "standstill" && i.subject == "mypage";
    incidents.into_iter().find(of_mypage)
}

#[tokio::test]
async fn a_standstill_is_told_of_when_it_begins_and_when_it_ends() {
    let (world, heard) = (World::new().await, Heard::new());
    let mut watch = Watch::new(world.models.clone(), Duration::from_secs(1));
    let followers = world.follow();
    play(&world, 1, &REGISTERED).await;
    world.caught_up().await;
    watch.look().await.unwrap();
    assert_eq!((heard.metric(METRIC), standstill(&world).await), (0, None));
    followers.stop().await;
    play(&world, 2, &REGISTERED).await;
    let hour = Duration::from_secs(3_600);
    Watch::new(world.models.clone(), hour).look().await.unwrap();
    assert_eq!(heard.metric(METRIC), 0, "not before the bound");
    let waited = async {
        while standstill(&world).await.is_none() {
            watch.look().await.unwrap();
        }
    };
    local_postgres::testing::timeout(crate::world::SOON, waited)
        .await
        .unwrap();
    watch.look().await.unwrap();
    let row = standstill(&world).await.unwrap();
    assert_eq!((row.times, row.ended_at), (1, None));
    assert!(row.reason.contains("nobody follows"), "{row:?}");
    assert_eq!(heard.metric(METRIC), 1);
    assert!(heard.metric(GAUGE) >= 1);
    let why = [
        "a read model stands still",
        "projection=\"mypage\"",
        "nobody follows",
    ];
    assert_eq!(heard.lines(&why), 1, "once: {}", heard.log());

    let followers = world.follow();
    world.caught_up().await;
    watch.look().await.unwrap();
    watch.look().await.unwrap();
    assert!(standstill(&world).await.unwrap().ended_at.is_some());
    assert_eq!((heard.metric(METRIC), heard.metric(GAUGE)), (1, 0));
    let over = ["stood still moves again", "projection=\"mypage\""];
    assert_eq!(heard.lines(&over), 1, "once: {}", heard.log());
    followers.stop().await;
}
