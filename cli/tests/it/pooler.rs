//! Two nodes behind a PgBouncer that lends a session for a transaction at a time, and what is said where it is in
//! the way.

use std::process::Output;
use std::time::Duration;

use local_postgres::testing::timeout;
use serde_json::Value;

use crate::pgbouncer::{PgBouncer, SESSIONS};
use crate::roles::House;
use crate::server::spacerent;

/// Bookings on each node.
const BOOKINGS: usize = 10;
/// So many of them are cancelled.
const CANCELLED: usize = 4;
/// Within this time a command has ended.
const SOON: Duration = Duration::from_secs(60);
pub const EVERYTHING: &str = "book,mypage,payment,processes,projections";

/// A command of the program on a database.
pub async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = spacerent(arguments);
    command.envs(settings.iter().copied());
    timeout(SOON, command.output())
        .await
        .expect("it hangs")
        .unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything goes through the pooler but what wants a session of its own.
pub fn through<'a>(pooler: &'a PgBouncer, house: &'a House) -> [(&'static str, &'a str); 3] {
    [
        ("DATABASE_URL", pooler.url()),
        ("DATABASE_POOLER", "transaction"),
        ("MIGRATION_DATABASE_URL", house.database.url()),
    ]
}

#[tokio::test]
async fn two_nodes_do_everything_behind_a_pooler_of_transactions() {
    let house = House::build().await;
    let test = "two_nodes_do_everything_behind_a_pooler_of_transactions";
    let Some(pooler) = PgBouncer::before(test, house.database.url(), &[]).await else {
        return;
    };
    let settings = through(&pooler, &house);
    let one = house.role_set(EVERYTHING, Some("book"), &settings).await;
    let other = house.role_set(EVERYTHING, Some("book"), &settings).await;
    let book = async |node| {
        let mut bookings = Vec::new();
        for _ in 0..BOOKINGS {
            let answer = house.book(node).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            bookings.push(answer.bookid.unwrap());
        }
        bookings
    };
    let (booked, _) = tokio::join!(book(&one), book(&other));
    house.converges(2 * BOOKINGS).await;

    // Cancelled on the node that did not take them.
    for bookid in &booked[..CANCELLED] {
        let request = house.http.patch(other.url(&format!("/books/{bookid}")));
        let body = serde_json::json!({ "status": "cancel-booking" });
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    house.closed(CANCELLED).await;
    let refunds = "select count(*) from stub_gateway.refunds";
    assert_eq!(house.count(refunds).await, CANCELLED);

    // Rebuilt beside the live one, which is followed through the pooler all the time.
    for name in projections::NAMES {
        let rebuilt = json(&run(&["replay", name, "--json"], &settings).await);
        assert_eq!(rebuilt["differences"], serde_json::json!([]), "{rebuilt}");
        assert_eq!(rebuilt["switched"], true, "{rebuilt}");
    }
    let status = json(&run(&["status", "--json"], &settings).await);
    let followers = status["followers"].as_array().unwrap();
    assert_eq!(followers.len(), projections::NAMES.len() + 1, "{status}");
    assert!(followers.iter().all(|one| one["parked"] == 0), "{status}");
    let tail = run(&["events", "tail", "--from", "0"], &settings).await;
    let lines = String::from_utf8(tail.stdout).unwrap().lines().count();
    assert_eq!(lines, house.count("select count(*) from events").await);

    // All of it on the few sessions that there were to lend.
    let sessions = "select count(*) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid() and client_addr is null
                      and application_name = 'spacerent'";
    let lent = house.count(sessions).await;
    assert!((1..=SESSIONS).contains(&lent), "{lent}");
}

#[tokio::test]
async fn a_pooler_that_nobody_spoke_of_is_found_out() {
    let house = House::build().await;
    let test = "a_pooler_that_nobody_spoke_of_is_found_out";
    // As it comes it refuses what it does not know; most people tell it not to.
    let quiet = [("ignore_startup_parameters", "extra_float_digits,options")];
    for more in [&[][..], &quiet[..]] {
        let Some(pooler) = PgBouncer::before(test, house.database.url(), more).await else {
            return;
        };
        let through = [("DATABASE_URL", pooler.url())];
        let served = run(&["serve"], &through).await;
        assert!(!served.status.success());
        let said = stderr(&served);
        assert!(said.contains("DATABASE_POOLER=transaction"), "{said}");
        let migrated = run(&["migrate"], &through).await;
        assert!(!migrated.status.success());
        let said = stderr(&migrated);
        assert!(said.contains("MIGRATION_DATABASE_URL"), "{said}");
    }
}
