//! What stands still is told of when it begins and when it ends: a row, a metric, a line of the log each.

use std::time::Duration;

use journal::incidents::Incident;
use journal::runtime::Tokio;
use projections::Watch;

use crate::heard::Heard;
use crate::story::{REGISTERED, play};
use crate::world::World;

const METRIC: &str = "projection_standstills_total{projection=\"mypage\"}";
const GAUGE: &str = "projection_standstill_seconds{projection=\"mypage\"}";

async fn standstill(world: &World) -> Option<Incident> {
    standstill_of(world, "mypage").await
}

async fn standstill_of(world: &World, follower: &str) -> Option<Incident> {
    let incidents = world.journal.incidents(20).await.unwrap();
    let of_it = |i: &Incident| i.class == "standstill" && i.subject == follower;
    incidents.into_iter().find(of_it)
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

/// A sample of a metric of a follower.
fn of(metric: &str, follower: &str) -> String {
    format!("{metric}{{follower=\"{follower}\"}}")
}

/// Looks until it is written down that this follower stands still.
async fn seen(world: &World, watch: &mut Watch, follower: &str) -> Incident {
    let waited = async {
        loop {
            watch.look().await.unwrap();
            let open = |row: &Incident| row.ended_at.is_none();
            if let Some(row) = standstill_of(world, follower).await.filter(open) {
                return row;
            }
        }
    };
    local_postgres::testing::timeout(crate::world::SOON, waited)
        .await
        .unwrap()
}

/// Follower and reason stand in one line, once.
fn told_once(heard: &Heard, follower: &str, reason: &str) {
    let follower = format!("follower=\"{follower}\"");
    let why = ["a follower stands still", &follower, reason];
    assert_eq!(heard.lines(&why), 1, "once: {}", heard.log());
}

/// What the saga would do: it takes everything.
const TAKES_ALL: &str =
    "update followers set position = (select max(position) from events) where name = 'orders'";

#[tokio::test]
async fn a_saga_that_never_ran_and_each_of_its_slices_are_told_of_too() {
    let (world, heard) = (World::new().await, Heard::new());
    let mut watch = Watch::new(world.models.clone(), Duration::from_secs(1));
    watch.look().await.unwrap();
    assert_eq!(
        standstill_of(&world, "orders").await,
        None,
        "there is nothing to do"
    );
    play(&world, 1, &REGISTERED).await;
    let row = seen(&world, &mut watch, "orders").await;
    let reason = "nobody ever did: no process with the role processes runs";
    assert!(row.reason.contains(reason), "{row:?}");
    watch.look().await.unwrap();
    assert_eq!(heard.metric(&of("follower_standstills_total", "orders")), 1);
    assert!(heard.metric(&of("follower_standstill_seconds", "orders")) >= 1);
    assert!(heard.metric(&of("follower_lag_seconds", "orders")) >= 1);
    told_once(&heard, "orders", reason);

    world
        .run_sql("insert into followers (name, generation) values ('orders', 1)")
        .await;
    world.run_sql(TAKES_ALL).await;
    watch.look().await.unwrap();
    watch.look().await.unwrap();
    let row = standstill_of(&world, "orders").await.unwrap();
    assert_eq!((row.times, row.ended_at.is_some()), (1, true));
    let over = [
        "a follower that stood still moves again",
        "follower=\"orders\"",
    ];
    assert_eq!(heard.lines(&over), 1, "once: {}", heard.log());
    for gauge in ["follower_standstill_seconds", "follower_lag_seconds"] {
        assert_eq!(heard.metric(&of(gauge, "orders")), 0, "{gauge}");
    }

    // One slice goes on and the other one does not.
    play(&world, 2, &REGISTERED).await;
    world.run_sql("select follower_cut('orders', 1, 2)").await;
    world.run_sql(&format!("{TAKES_ALL} and slice = 1")).await;
    let row = seen(&world, &mut watch, "orders/2").await;
    assert!(row.reason.contains("nobody follows: no process"), "{row:?}");
    told_once(
        &heard,
        "orders/2",
        "no process with the role processes runs",
    );
    assert_eq!(
        heard.metric(&of("follower_standstills_total", "orders/2")),
        1
    );
    assert_eq!(standstill_of(&world, "orders/1").await, None);
    assert_eq!(heard.metric(&of("follower_lag_seconds", "orders/1")), 0);

    // Slices that are no more stand still no more, for a process that comes later, too.
    let mut later = Watch::new(world.models.clone(), Duration::from_secs(3_600));
    world.run_sql("select follower_cut('orders', 1, 1)").await;
    later.look().await.unwrap();
    assert!(
        standstill_of(&world, "orders/2")
            .await
            .unwrap()
            .ended_at
            .is_some()
    );
    watch.look().await.unwrap();
    for gauge in ["follower_standstill_seconds", "follower_lag_seconds"] {
        assert_eq!(heard.metric(&of(gauge, "orders/2")), 0, "{gauge}");
    }
}

#[tokio::test]
async fn without_a_bound_lags_are_shown_and_nothing_is_told() {
    let (world, heard) = (World::new().await, Heard::new());
    let mut watch = Watch::new(world.models.clone(), Duration::ZERO);
    play(&world, 1, &REGISTERED).await;
    let shown = async {
        while heard.metric(&of("follower_lag_seconds", "orders")) == 0
            || heard.metric(&of("follower_lag_seconds", "mypage")) == 0
        {
            watch.look().await.unwrap();
        }
    };
    local_postgres::testing::timeout(crate::world::SOON, shown)
        .await
        .unwrap();
    assert_eq!(world.journal.incidents(20).await.unwrap(), []);
    assert_eq!(heard.lines(&["stands still"]), 0, "{}", heard.log());
}

/// Whether a read model shows every event.
async fn shows_all(world: &World, name: &str) -> bool {
    let head = world.journal.head().await.unwrap();
    let wait = Duration::from_millis(1);
    let fresh = world.models.wait(name, head, &Tokio, wait).await.unwrap();
    fresh.position >= head
}

#[tokio::test]
async fn a_read_model_of_another_version_is_told_of_and_others_go_on() {
    let (world, heard) = (World::new().await, Heard::new());
    let ours = "select version::text from projections where name = 'spaces'";
    let ours = world.text(ours).await;
    let version = async |version: &str| {
        let sql = format!("update projections set version = {version} where name = 'spaces'");
        world.run_sql(&sql).await;
    };
    version("99").await;
    let followers = world.follow();
    play(&world, 1, &REGISTERED).await;
    let others = async { while !shows_all(&world, "books").await {} };
    local_postgres::testing::timeout(crate::world::SOON, others)
        .await
        .unwrap();
    let metric = "projection_outdated_total{projection=\"spaces\"}";
    assert_eq!(heard.metric(metric), 1);
    let why = [
        "was filled by another version",
        "projection=\"spaces\"",
        "filled_by=99",
        &format!("known={ours}"),
    ];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
    assert_eq!(heard.lines(&why[..1]), 1, "of no other: {}", heard.log());
    assert!(!shows_all(&world, "spaces").await, "nobody follows it");

    version(&ours).await;
    world.caught_up().await;
    assert_eq!(heard.metric(metric), 1);
    followers.stop().await;
}
