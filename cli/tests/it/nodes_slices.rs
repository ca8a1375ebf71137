//! Two processes that share the saga in slices: one is killed, or stopped and woken up, or sleeps through a cut.

use std::time::Duration;

use local_postgres::testing::timeout;
use rustix::process::Signal;
use serde_json::Value;

use crate::nodes::{
    BOOKINGS, EVERYTHING, LEASE_MS, NOTICED_MS, SOON, WATCH, book, metric_rises,
    stop_between_steps, until,
};
use crate::process::Process;
use crate::roles::House;
use crate::server::{moment, spacerent};

/// Slices whose lease the first node has, or the other.
const OF_ONE: &str = "select count(*) from followers join of_one using (name, slice, owner)
                      where name = 'orders' and lease_until > clock_timestamp()";
const OF_OTHER: &str = "select count(*) from followers f join of_one o using (name, slice)
                        where name = 'orders' and f.owner <> o.owner and f.lease_until > clock_timestamp()";

/// Status and document of `spacerent slices`.
async fn slices(house: &House, arguments: &[&str]) -> (bool, Value) {
    let mut command = spacerent(&[&["slices"], arguments, &["--json"]].concat());
    command.env("DATABASE_URL", house.database.url());
    let output = timeout(SOON, command.output())
        .await
        .expect("it hangs")
        .unwrap();
    (
        output.status.success(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

/// Nodes that have two each of the saga's four slices.
async fn two_nodes(house: &House) -> (Process, Process) {
    let node = async |name| {
        house
            .role_set(EVERYTHING, Some("book"), &[("PGAPPNAME", name)])
            .await
    };
    let one = node("one").await;
    let (done, cut) = slices(house, &["orders", "4"]).await;
    assert!(done && cut["before"] == 1 && cut["slices"] == 4, "{cut}");
    let owned = "select count(*) from followers where name = 'orders' and slice > 0 and lease_until > clock_timestamp()";
    until("one node has every slice", house, owned, 4).await;
    sqlx::raw_sql(
        "create table of_one as select name, slice, owner from followers where name = 'orders'",
    )
    .execute(&house.pool)
    .await
    .unwrap();
    let other = node("other").await;
    until("one of them keeps two", house, OF_ONE, 2).await;
    until("the other one gets two", house, OF_OTHER, 2).await;
    sqlx::raw_sql(WATCH).execute(&house.pool).await.unwrap();
    (one, other)
}

/// Both slices were taken over, each once: never while its lease lived, and soon after it ended.
async fn taken_over_in_time(house: &House) {
    until("all slices are the other's", house, OF_OTHER, 4).await;
    let in_time = format!(
        "select count(distinct slice) from take_overs
         where name = 'orders' and at >= lease_until and at <= lease_until + interval '{NOTICED_MS} milliseconds'"
    );
    assert_eq!(house.count(&in_time).await, 2, "too early or too late");
    let all = "select count(*) from take_overs where name = 'orders'";
    assert_eq!(house.count(all).await, 2);
}

#[tokio::test]
async fn the_slices_of_a_killed_node_are_anothers_within_the_lease() {
    let house = House::build().await;
    let (mut one, other) = two_nodes(&house).await;
    tokio::join!(book(&house, &one, BOOKINGS), book(&house, &other, BOOKINGS));
    one.kill().await;
    let killed: f64 = sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    book(&house, &other, BOOKINGS).await;
    taken_over_in_time(&house).await;
    let late = format!(
        "select count(*) from take_overs where name = 'orders' and extract(epoch from at) > {killed} + {} / 1000.0",
        LEASE_MS + NOTICED_MS
    );
    assert_eq!(house.count(&late).await, 0);
    house.converges(3 * BOOKINGS).await;
}

#[tokio::test]
async fn a_stopped_node_that_wakes_up_moves_no_slice_of_anothers() {
    let house = House::build().await;
    let (one, other) = two_nodes(&house).await;
    book(&house, &one, BOOKINGS).await;
    house.converges(BOOKINGS).await;
    stop_between_steps(&house, &one).await;
    book(&house, &other, BOOKINGS).await;
    taken_over_in_time(&house).await;
    one.signal(Signal::CONT);
    metric_rises(&house, &one, "follower_leases_lost_total", 0.0).await;
    tokio::join!(book(&house, &one, BOOKINGS), book(&house, &other, BOOKINGS));
    until("it gets its two back", &house, OF_ONE, 2).await;
    house.converges(4 * BOOKINGS).await;
}

#[tokio::test]
async fn a_node_that_slept_through_a_cut_takes_part_in_the_new_one() {
    let house = House::build().await;
    let (one, other) = two_nodes(&house).await;
    book(&house, &one, BOOKINGS).await;
    stop_between_steps(&house, &one).await;
    let (done, cut) = slices(&house, &["orders", "3"]).await;
    assert!(done && cut["before"] == 4 && cut["slices"] == 3, "{cut}");
    // Nothing is left of the leases that it had: nobody waits for their end.
    let owned =
        "select count(*) from followers where name = 'orders' and lease_until > clock_timestamp()";
    let at_once = async {
        while house.count(owned).await < 2 {
            moment().await;
        }
    };
    timeout(Duration::from_secs(10), at_once)
        .await
        .expect("the new slices are nobody's");
    book(&house, &other, BOOKINGS).await;
    one.signal(Signal::CONT);
    tokio::join!(book(&house, &one, BOOKINGS), book(&house, &other, BOOKINGS));
    house.converges(4 * BOOKINGS).await;
    let (_, list) = slices(&house, &[]).await;
    let parts = list["followers"][0]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3, "{list}");

    let (done, refused) = slices(&house, &["mypage", "2"]).await;
    assert!(
        !done && refused["error"].as_str().unwrap().contains("read model"),
        "{refused}"
    );
    let (done, refused) = slices(&house, &["nobody", "2"]).await;
    assert!(
        !done && refused["error"].as_str().unwrap().contains("only `orders`"),
        "{refused}"
    );
}
