//! Processes that are stopped with a charge in hand for longer than a charge is waited for, while its booking is
//! cancelled: what they take when they wake up comes to light and goes back.

use local_postgres::testing::stopwatch;
use rustix::process::Signal;

use super::load::{Answered, book, cancel};
use super::verdict;
use super::world::{Node, SETTLED_MAX, World};
use crate::server::moment;

/// Short waits, calls and times to settle: a charge counts as not made 3 s after its booking was cancelled.
const SHORTEST: [(&str, &str); 4] = [
    ("PAYMENT_TIMEOUT_MS", "1000"),
    ("PAYMENT_CALL_MAX_MS", "1000"),
    ("PAYMENT_SETTLE_MS", "1000"),
    ("DATABASE_CONNECTIONS_MAX", "16"),
];
const CHARGES: &str = "select count(*) from stub_gateway.charges";

/// Waits until something is in the journal, once.
async fn until(world: &World, event_type: &str) {
    let times = format!("select count(*) from events where event_type = '{event_type}'");
    let began = stopwatch();
    while world.count(&times).await == 0 {
        assert!(began.elapsed() < SETTLED_MAX, "{event_type} never happens");
        moment().await;
    }
    assert_eq!(world.count(&times).await, 1, "{event_type}");
}

/// One of the processes is at the gateway with the charge of booking 1, stopped; the booking is cancelled by the other, and
/// all of it is over before the first one wakes up.
async fn wakes_up_when_all_is_over(world: &World, nodes: &[Node]) {
    assert!(world.taken().await, "nobody sends a charge");
    let (asleep, awake): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.stands_still());
    assert_eq!((asleep.len(), awake.len()), (1, 1));
    let url = awake[0].url("/books/1");
    assert!((200..300).contains(&cancel(&world.http, &url, None).await.0));
    until(world, "BookClosed").await;
    assert_eq!(world.count(CHARGES).await, 0);

    asleep[0].signal(Signal::CONT);
    until(world, "SurplusRefunded").await;
    let answered = Answered {
        cancelled: vec![1],
        ..Answered::default()
    };
    let verdict = verdict::of(world, &answered, SETTLED_MAX).await;
    assert!(verdict.is_well(), "{verdict:#?}");
    let story: Vec<String> = sqlx::query_scalar(
        "select event_type from events where aggregate_type = 'Payment' order by position",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let after_all = ["LateApproval", "RefundRequested", "SurplusRefunded"];
    assert_eq!(story[story.len() - 3..], after_all, "{story:?}");
    assert_eq!(world.count(CHARGES).await, 1);
}

#[tokio::test]
async fn a_customers_call_that_slept_gives_back_what_it_takes() {
    let world = World::shared().await;
    let nodes = [world.node(&SHORTEST).await, world.node(&SHORTEST).await];
    world.arm("charge-due", "stop");
    let url = nodes[0].url("/books");
    let booking = book(&world.http, &url, "numberone", None);
    tokio::join!(booking, wakes_up_when_all_is_over(&world, &nodes));
}

#[tokio::test]
async fn a_workers_call_that_slept_gives_back_what_it_takes() {
    let world = World::shared().await;
    let mut node = world.node(&SHORTEST).await;
    world.arm("charge-due", "kill");
    let url = node.url("/books");
    assert_eq!(book(&world.http, &url, "numberone", None).await.0, 0);
    node.ended().await;
    world.arm("charge-due", "stop");
    let nodes = [world.node(&SHORTEST).await, world.node(&SHORTEST).await];
    wakes_up_when_all_is_over(&world, &nodes).await;
}
