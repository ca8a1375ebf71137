//! The saga stands still, in real processes: nobody runs it, or it was killed. The port says so and stays
//! up; so do the table, the metrics and `status`.

use local_postgres::testing::timeout;
use serde_json::Value;

use crate::nodes::{SOON, book, metric_rises, until};
use crate::process::Process;
use crate::roles::House;
use crate::server::{moment, spacerent};

/// How long a follower may stand still here, in seconds.
const BOUND: (&str, &str) = ("READINESS_LAG_MAX_SECONDS", "2");
const GOES_ON: &str =
    "select count(*) from incidents where class = 'standstill' and ended_at is null";

/// What a port says of itself, once it is up and its status is `wanted`.
async fn ready_and(house: &House, role: &Process, wanted: &str) -> Value {
    let said = async {
        loop {
            let answer = house.http.get(role.url("/readyz")).send().await.unwrap();
            let up = answer.status() == 200;
            let said: Value = answer.json().await.unwrap();
            if up && said["status"] == wanted {
                return said;
            }
            moment().await;
        }
    };
    timeout(SOON, said).await.expect(wanted)
}

/// Name and state of the saga as `spacerent status` shows it.
async fn state(house: &House) -> Value {
    let mut command = spacerent(&["status", "--json"]);
    command.env("DATABASE_URL", house.database.url());
    let output = timeout(SOON, command.output()).await.unwrap().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let followers = status["followers"].as_array().unwrap();
    let orders = followers.iter().find(|f| f["name"] == "orders");
    orders.unwrap()["state"].clone()
}

#[tokio::test]
async fn a_saga_that_nobody_runs_or_that_was_killed_is_told_of_and_bookings_stay_up() {
    let house = House::build().await;
    let books = house
        .role_set("book,payment,projections", Some("book"), &[BOUND])
        .await;
    assert_eq!(state(&house).await, "never_ran");
    let quiet = house.http.get(books.url("/readyz")).send().await.unwrap();
    assert_eq!(quiet.json::<Value>().await.unwrap()["status"], "ok");
    book(&house, &books, 3).await;
    let said = ready_and(&house, &books, "degraded").await;
    assert_eq!(said["checks"]["processes"], "failed", "{said}");
    let line = said["reasons"][0].as_str().unwrap();
    assert!(
        line.starts_with("orders stands still at position 0 for ")
            && line.contains("nobody ever did"),
        "{said}"
    );
    let row = format!("{GOES_ON} and subject = 'orders' and reason like '%nobody ever did%'");
    until("it is written down", &house, &row, 1).await;
    for name in [
        "follower_standstills_total{follower=\"orders\"}",
        "follower_standstill_seconds{follower=\"orders\"}",
        "follower_lag_seconds{follower=\"orders\"}",
    ] {
        metric_rises(&house, &books, name, 0.0).await;
    }

    let mut saga = house.role_set("processes", None, &[BOUND]).await;
    ready_and(&house, &books, "ok").await;
    until("it is over", &house, GOES_ON, 0).await;
    house.converges(3).await;
    saga.kill().await;
    book(&house, &books, 1).await;
    let held =
        "select count(*) from followers where name = 'orders' and lease_until > clock_timestamp()";
    until("nobody has its lease", &house, held, 0).await;
    let said = ready_and(&house, &books, "degraded").await;
    assert!(
        said["reasons"][0]
            .as_str()
            .unwrap()
            .contains("nobody follows: no process"),
        "{said}"
    );
    until(
        "it is written down again",
        &house,
        &format!("{GOES_ON} and subject = 'orders'"),
        1,
    )
    .await;
    assert_eq!(state(&house).await, "unowned");
}
