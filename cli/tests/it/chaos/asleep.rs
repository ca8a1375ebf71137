//! A process that is stopped with a charge in hand for longer than a charge is waited for, while its booking is
//! cancelled: what it takes when it wakes up comes to light and goes back.

use local_postgres::testing::stopwatch;
use rustix::process::Signal;

use super::load::{Answered, book, cancel};
use super::verdict;
use super::world::{SETTLED_MAX, World};
use crate::server::moment;

/// Short waits, calls and times to settle: a charge counts as not made 3 s after its booking was cancelled.
const SHORTEST: [(&str, &str); 4] = [
    ("PAYMENT_TIMEOUT_MS", "1000"),
    ("PAYMENT_CALL_MAX_MS", "1000"),
    ("PAYMENT_SETTLE_MS", "1000"),
    ("DATABASE_CONNECTIONS_MAX", "16"),
];
/// What the process had sent arrives when it wakes up: whether anything goes out before its call ends is chance.
const ARRIVES: &str = "
    insert into stub_gateway.charges (key, reference, bookid, charge_no, amount, currency)
    values ('charge:1:1', gen_random_uuid(), 1, 1, 10000, 'KRW')";

/// Waits until there is one of something.
async fn until(what: &str, world: &World, query: &str) {
    let began = stopwatch();
    while world.count(query).await != 1 {
        assert!(began.elapsed() < SETTLED_MAX, "{what}");
        moment().await;
    }
}

#[tokio::test]
async fn a_call_that_slept_gives_back_what_it_takes() {
    let world = World::shared().await;
    let [asleep, awake] = [world.node(&SHORTEST).await, world.node(&SHORTEST).await];
    world.arm("charge-due", "stop");
    let url = asleep.url("/books");
    let booking = book(&world.http, &url, "numberone", None);
    let meanwhile = async {
        assert!(world.taken().await, "nobody sends a charge");
        while !asleep.stands_still() {
            moment().await;
        }
        let url = awake.url("/books/1");
        assert!((200..300).contains(&cancel(&world.http, &url, None).await.0));
        let closed = "select count(*) from events where event_type = 'BookClosed'";
        until("it is never closed", &world, closed).await;
        sqlx::raw_sql(ARRIVES).execute(&world.pool).await.unwrap();
        asleep.signal(Signal::CONT);
    };
    tokio::join!(booking, meanwhile);
    let back = "select count(*) from events where event_type = 'SurplusRefunded'";
    until("it does not go back", &world, back).await;
    let answered = Answered {
        cancelled: vec![1],
        ..Answered::default()
    };
    let verdict = verdict::of(&world, &answered, SETTLED_MAX).await;
    assert!(verdict.is_well(), "{verdict:#?}");
    let story: Vec<String> = sqlx::query_scalar(
        "select event_type from events where aggregate_type = 'Payment' order by position",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let after_all = ["LateApproval", "RefundRequested", "SurplusRefunded"];
    assert_eq!(story[story.len() - 3..], after_all, "{story:?}");
}
