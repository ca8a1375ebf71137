//! Two processes with the same roles on one database: one is killed or stopped, the other goes on; and how many
//! connections each of them holds.

use std::time::Duration;

use local_postgres::testing::timeout;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::load::Answer;
use crate::process::Process;
use crate::roles::House;
use crate::server::{followers, moment, spacerent};

pub(crate) const EVERYTHING: &str = "book,mypage,payment,processes,projections";
/// What a lease lasts, and what it may take to notice its end: a look every 250 ms, on a machine that is busy.
pub(crate) const LEASE_MS: i64 = 5_000;
pub(crate) const NOTICED_MS: i64 = 2_000;
/// Within this time whatever is waited for has happened.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const BOOKINGS: usize = 5;

/// Writes down who took which follower over from whom, by the database's clock: when, and when the lease of the one
/// before ended.
pub(crate) const WATCH: &str = "
    create table take_overs (name text, slice int, before uuid, lease_until timestamptz, at timestamptz);
    create function note_take_over() returns trigger language plpgsql security definer as $$
    begin
        insert into public.take_overs values (new.name, new.slice, old.owner, old.lease_until, clock_timestamp());
        return new;
    end $$;
    create trigger note_take_over after update on followers for each row
        when (old.owner is not null and new.owner is distinct from old.owner and new.owner is not null)
        execute function note_take_over();";

pub(crate) async fn until(what: &str, house: &House, query: &str, wanted: usize) {
    let seen = async {
        while house.count(query).await != wanted {
            moment().await;
        }
    };
    if timeout(SOON, seen).await.is_err() {
        panic!("{what}: {}", house.count(query).await);
    }
}

/// A sample of a process's metrics, all labels together.
async fn metric(house: &House, role: &Process, name: &str) -> f64 {
    let asked = house.http.get(role.url("/metrics")).send().await.unwrap();
    let text = asked.text().await.unwrap();
    let of_it = text.lines().filter(|line| line.starts_with(name));
    of_it
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

pub(crate) async fn metric_rises(house: &House, role: &Process, name: &str, over: f64) {
    let rises = async {
        while metric(house, role, name).await <= over {
            moment().await;
        }
    };
    timeout(SOON, rises)
        .await
        .unwrap_or_else(|_| panic!("{name} never rises over {over}"));
}

/// Nodes that share the followers, and those that the first of them has.
async fn two_nodes(house: &House) -> (Process, Process) {
    let all = followers().len();
    let one = house
        .role_set(EVERYTHING, Some("book"), &[("PGAPPNAME", "one")])
        .await;
    let owned = "select count(*) from followers where lease_until > clock_timestamp()";
    until("one node has every lease", house, owned, all).await;
    sqlx::raw_sql("create table of_one as select name, owner from followers")
        .execute(&house.pool)
        .await
        .unwrap();
    let other = house
        .role_set(EVERYTHING, Some("book"), &[("PGAPPNAME", "other")])
        .await;
    shared(house).await;
    sqlx::raw_sql(WATCH).execute(&house.pool).await.unwrap();
    (one, other)
}

/// Whose the followers are, as the first node's and the other's.
const OF_ONE: &str = "select count(*) from followers join of_one using (name, owner)";
const OF_OTHER: &str = "select count(*) from followers f join of_one o using (name)
                        where f.owner <> o.owner and f.lease_until > clock_timestamp()";

/// Waits until each of the two has its half.
async fn shared(house: &House) {
    let all = followers().len();
    let halves = async {
        loop {
            let (one, other) = (house.count(OF_ONE).await, house.count(OF_OTHER).await);
            if one + other == all && one.abs_diff(other) <= 1 {
                return;
            }
            moment().await;
        }
    };
    if timeout(SOON, halves).await.is_err() {
        let (one, other) = (house.count(OF_ONE).await, house.count(OF_OTHER).await);
        panic!("of {all} followers one node has {one} and the other {other}");
    }
}

pub(crate) async fn book(house: &House, role: &Process, bookings: usize) {
    for _ in 0..bookings {
        let answer: Answer = house.book(role).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

/// So many followers were taken over, each once: never while its lease lived, and soon after it ended.
async fn taken_over_in_time(house: &House, wanted: usize) {
    until(
        "all of them are the other's",
        house,
        OF_OTHER,
        followers().len(),
    )
    .await;
    let in_time = format!(
        "select count(distinct name) from take_overs
         where at >= lease_until and at <= lease_until + interval '{NOTICED_MS} milliseconds'"
    );
    assert_eq!(house.count(&in_time).await, wanted, "too early or too late");
    assert_eq!(house.count("select count(*) from take_overs").await, wanted);
}

#[tokio::test]
async fn a_killed_node_is_replaced_within_its_lease() {
    let house = House::build().await;
    let (mut one, other) = two_nodes(&house).await;
    tokio::join!(book(&house, &one, BOOKINGS), book(&house, &other, BOOKINGS));
    let its = house.count(OF_ONE).await;
    one.kill().await;
    let killed: f64 = sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    book(&house, &other, BOOKINGS).await;
    taken_over_in_time(&house, its).await;
    let late = format!(
        "select count(*) from take_overs
         where extract(epoch from at) > {killed} + {} / 1000.0",
        LEASE_MS + NOTICED_MS
    );
    assert_eq!(house.count(&late).await, 0);
    house.converges(3 * BOOKINGS).await;
}

/// Stops the node that is called `one` between two steps of its followers: in the middle of a transaction it is another
/// story.
pub(crate) async fn stop_between_steps(house: &House, node: &Process) {
    let at_work = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'one' and xact_start is not null";
    let stopped = async {
        loop {
            node.signal(Signal::STOP);
            if house.count(at_work).await == 0 {
                return;
            }
            node.signal(Signal::CONT);
            moment().await;
        }
    };
    timeout(SOON, stopped)
        .await
        .expect("it is never between two steps");
}

#[tokio::test]
async fn a_stopped_node_that_wakes_up_does_nothing_twice() {
    let house = House::build().await;
    let (one, other) = two_nodes(&house).await;
    book(&house, &one, BOOKINGS).await;
    house.converges(BOOKINGS).await;
    stop_between_steps(&house, &one).await;
    let its = house.count(OF_ONE).await;
    book(&house, &other, BOOKINGS).await;
    taken_over_in_time(&house, its).await;
    one.signal(Signal::CONT);
    // It finds the door shut, says so, and gets its share again when the other one gives it back.
    metric_rises(&house, &one, "follower_leases_lost_total", 0.0).await;
    tokio::join!(book(&house, &one, BOOKINGS), book(&house, &other, BOOKINGS));
    shared(&house).await;
    house.converges(4 * BOOKINGS).await;
    assert_eq!(house.count("select count(*) from take_overs").await, its);
    for name in projections::NAMES {
        let mut compare = spacerent(&["replay", name, "--verify", "--json"]);
        compare.env("DATABASE_URL", house.database.url());
        let compared = timeout(SOON, compare.output())
            .await
            .expect("it hangs")
            .unwrap();
        let said: Value = serde_json::from_slice(&compared.stdout).unwrap();
        assert!(compared.status.success(), "{said}");
    }
}

/// Its charge takes the stub 2.5 s.
const SLOW_SPACE: &str = "braker";

/// A worker is stopped with a charge in hand and its claim runs out; it wakes up when its successor is so far.
async fn a_worker_wakes_up_when(so_far: &str) {
    let house = House::build().await;
    let nobody = [("PAYMENT_URL", "http://127.0.0.1:1")];
    let desk = house
        .role_set("book,projections", Some("book"), &nobody)
        .await;
    let body = serde_json::json!({ "userid": 4, "spacename": SLOW_SPACE });
    let asked = house.http.post(desk.url("/books")).json(&body).send().await;
    assert_eq!(asked.unwrap().status(), 202);

    let one = house
        .role_set("mypage,processes", Some("mypage"), &[])
        .await;
    let claimed = "select count(*) from jobs where fence = 1";
    until("it is at work", &house, claimed, 1).await;
    one.signal(Signal::STOP);
    let charges = "select count(*) from stub_gateway.charges";
    assert_eq!(house.count(charges).await, 0);
    sqlx::raw_sql("update jobs set claimed_until = clock_timestamp() - interval '1 second'")
        .execute(&house.pool)
        .await
        .unwrap();
    let _other = house.role_set("processes", None, &[]).await;
    until("another one has the job", &house, so_far, 1).await;
    let left = async || -> String {
        sqlx::query_scalar("select fence || ' ' || attempts || ' ' || finished_at from jobs")
            .fetch_one(&house.pool)
            .await
            .map(Option::unwrap_or_default)
            .unwrap()
    };
    let before = left().await;

    one.signal(Signal::CONT);
    metric_rises(&house, &one, "jobs_fence_shut_total", 0.0).await;
    if !before.is_empty() {
        assert_eq!(
            left().await,
            before,
            "it changed what somebody else had finished"
        );
    }
    house.converges(1).await;
    let by_the_other = "select count(*) from jobs where state = 'done' and fence >= 2";
    assert_eq!(house.count(by_the_other).await, 1);
}

#[tokio::test]
async fn a_worker_that_wakes_up_while_another_one_has_its_job_finishes_nothing() {
    a_worker_wakes_up_when("select count(*) from jobs where state = 'open' and fence = 2").await;
}

#[tokio::test]
async fn a_worker_that_wakes_up_when_its_job_is_done_changes_nothing() {
    a_worker_wakes_up_when("select count(*) from jobs where state = 'done' and fence = 2").await;
}

/// The lowest that may be set, so that a load meets it.
const CONNECTIONS_MAX: usize = 12;
const CLIENTS: usize = 24;
/// Of `replay`: one for each of 16 slices and one more, its owner's, and one that compares.
const OF_A_REBUILD: usize = 16 + 1 + 2;

#[tokio::test]
async fn a_process_holds_no_more_connections_than_is_said() {
    let house = House::build().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mypage.sqlite");
    let max = CONNECTIONS_MAX.to_string();
    let settings = [
        ("PGAPPNAME", "bounded"),
        ("DATABASE_CONNECTIONS_MAX", max.as_str()),
        ("MYPAGE_STORE", "sqlite"),
        ("MYPAGE_SQLITE_FILE", file.to_str().unwrap()),
    ];
    let node = house.role_set(EVERYTHING, Some("book"), &settings).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (http, url) = (house.http.clone(), node.url("/books"));
        clients.spawn(async move {
            let body = serde_json::json!({ "userid": 4, "spacename": "numberfour" });
            loop {
                let asked = http.post(&url).json(&body).send().await;
                drop(asked.unwrap().bytes().await);
            }
        });
    }
    let most = async |name: &str, looks: usize| {
        let held = format!(
            "select count(*) from pg_stat_activity where datname = current_database() and application_name = '{name}'"
        );
        let mut most = 0;
        for _ in 0..looks {
            most = most.max(house.count(&held).await);
            moment().await;
        }
        most
    };
    let rebuilding = async {
        let mut rebuild = spacerent(&["replay", "books", "--slices", "16"]);
        rebuild
            .env("DATABASE_URL", house.database.url())
            .env("PGAPPNAME", "rebuild");
        timeout(SOON, rebuild.output())
            .await
            .expect("it hangs")
            .unwrap()
    };
    let (rebuilt, of_node, of_rebuild) =
        tokio::join!(rebuilding, most("bounded", 100), most("rebuild", 100));
    clients.shutdown().await;
    assert!(
        rebuilt.status.success(),
        "{}",
        String::from_utf8_lossy(&rebuilt.stderr)
    );
    // All of them, and the listener.
    assert_eq!(of_node, CONNECTIONS_MAX + 1);
    assert!((3..=OF_A_REBUILD).contains(&of_rebuild), "{of_rebuild}");
}
