//! Faults on a real Postgres under load, each in a test of its own, with the same verdict after it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_postgres::Profile;
use local_postgres::testing::Cluster;
use local_postgres::testing::stopwatch;
use rustix::process::Signal;
use sqlx::postgres::PgPoolOptions;

use super::load::{Load, Places};
use super::proxy::{Cut, Proxy};
use super::verdict;
use super::world::{SETTLED_MAX, SHORT, World, migrate};
use crate::process::Process;
use crate::server::moment;

/// Bookings that must be accepted before and after a fault.
const ACCEPTED_MIN: usize = 20;
const ACCEPTED_MAX: Duration = Duration::from_secs(30);
/// How long a lease lasts, and what two looks at it and a busy machine may add.
const TAKEN_OVER_MAX: Duration = Duration::from_millis(journal::follow::LEASE_MS + 2_000);
/// Ends one of the service's sessions, whatever it does.
pub const TERMINATE: &str = "
    select coalesce(count(pg_terminate_backend(pid)), 0) from (
        select pid from pg_stat_activity where application_name = 'spacerent' and datname = current_database() order by random() limit 1) s";

pub fn places(nodes: &[&Process]) -> Places {
    Arc::new(Mutex::new(nodes.iter().map(|node| node.url("")).collect()))
}

fn load(nodes: &[&Process]) -> Load {
    Load::on(&places(nodes), 6, Duration::from_millis(20), 7)
}

/// Waits until so many more bookings were accepted.
async fn accepts(load: &Load, more: usize) {
    let wanted = load.accepted() + more;
    let began = stopwatch();
    while load.accepted() < wanted {
        assert!(began.elapsed() < ACCEPTED_MAX, "bookings are not taken");
        moment().await;
    }
}

async fn is_well(world: &World, load: Load) {
    let answered = load.end().await;
    let verdict = verdict::of(world, &answered, SETTLED_MAX).await;
    assert!(verdict.is_well(), "{verdict:#?}");
}

#[tokio::test]
async fn connections_that_are_ended_at_random_lose_nothing() {
    let world = World::shared().await;
    let node = world.node(&SHORT).await;
    let load = load(&[&node]);
    accepts(&load, ACCEPTED_MIN).await;
    let mut ended = 0;
    for _ in 0..60 {
        ended += world.count(TERMINATE).await;
        moment().await;
    }
    assert!(ended >= 30, "{ended}");
    accepts(&load, ACCEPTED_MIN).await;
    is_well(&world, load).await;
}

/// The owner and epoch of a follower's lease.
async fn lease(world: &World, follower: &str) -> (Option<String>, i64) {
    sqlx::query_as(
        "select owner::text, epoch from followers where name = $1 order by epoch desc limit 1",
    )
    .bind(follower)
    .fetch_one(&world.pool)
    .await
    .unwrap()
}

/// Stops whoever holds a follower's lease at a point inside its transaction; the other takes over within the lease,
/// and the one that wakes up later does nothing twice.
async fn stopped_inside_its_transaction(point: &str, follower: &str) {
    let world = World::shared().await;
    let nodes = [world.node(&SHORT).await, world.node(&SHORT).await];
    let load = load(&[&nodes[0], &nodes[1]]);
    accepts(&load, ACCEPTED_MIN).await;
    world.arm(point, "stop");
    assert!(world.taken().await, "nobody came to {point}");
    let stopped = stopwatch();
    let (owner, epoch) = lease(&world, follower).await;
    while lease(&world, follower).await.1 == epoch {
        assert!(
            stopped.elapsed() < TAKEN_OVER_MAX,
            "nobody took {follower} over from {owner:?}"
        );
        moment().await;
    }
    let still: Vec<_> = nodes.iter().filter(|node| node.stands_still()).collect();
    assert_eq!(still.len(), 1);
    // Long enough that the other one goes on behind it.
    let position = "select coalesce(max(position), 0) from events";
    let head = world.count(position).await;
    let behind =
        format!("select count(*) from followers where name = '{follower}' and position < {head}");
    while world.count(&behind).await > 0 {
        assert!(
            stopped.elapsed() < SETTLED_MAX,
            "the other one does not go on"
        );
        moment().await;
    }
    still[0].signal(Signal::CONT);
    accepts(&load, ACCEPTED_MIN).await;
    is_well(&world, load).await;
}

#[tokio::test]
async fn a_saga_that_is_stopped_inside_its_transaction_is_taken_over_and_acts_once() {
    stopped_inside_its_transaction("batch-written/orders", "orders").await;
}

#[tokio::test]
async fn a_read_model_that_is_stopped_behind_its_checkpoint_is_taken_over_and_counts_once() {
    stopped_inside_its_transaction("checkpoint-moved/points", "points").await;
}

#[tokio::test]
async fn a_postgres_that_is_killed_and_started_again_under_load_has_everything() {
    let mut cluster = Cluster::start(Profile::Durable).await.unwrap();
    let (world, _proxy) = behind_a_proxy(&cluster.url("spacerent"), cluster.server()).await;
    let node = world.node(&SHORT).await;
    let load = load(&[&node]);
    for _ in 0..2 {
        accepts(&load, ACCEPTED_MIN).await;
        cluster.kill().await.unwrap();
        cluster.restart().await.unwrap();
    }
    accepts(&load, ACCEPTED_MIN).await;
    is_well(&world, load).await;
}

/// A migrated database of a server, which processes reach through a proxy.
pub async fn behind_a_proxy(url: &str, server: &local_postgres::Server) -> (World, Proxy) {
    server
        .create_database_if_missing("spacerent")
        .await
        .unwrap();
    migrate(url).await;
    let proxy = Proxy::before(url).await;
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect_lazy(url)
        .unwrap();
    (World::over(proxy.url(), pool, None), proxy)
}

/// Cuts connections in the middle of commits of a shared server's database.
async fn cut_in_the_middle(cut: Cut) {
    let mut world = World::shared().await;
    let proxy = Proxy::before(&world.url).await;
    world.url = proxy.url();
    let node = world.node(&SHORT).await;
    let load = load(&[&node]);
    accepts(&load, ACCEPTED_MIN).await;
    for round in 0..20 {
        assert!(proxy.cut(cut).await, "round {round}: nothing was committed");
    }
    accepts(&load, ACCEPTED_MIN).await;
    is_well(&world, load).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_server_has_the_commit_loses_nothing() {
    cut_in_the_middle(Cut::Before).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_client_knows_of_the_commit_doubles_nothing() {
    cut_in_the_middle(Cut::After).await;
}
