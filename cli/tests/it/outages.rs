//! Postgres away, or worse: there and silent. What is answered meanwhile, and that everything goes on afterwards
//! by itself, without a restart of the server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use local_postgres::testing::stopwatch;
use local_postgres::testing::timeout;
use local_postgres::{Options, Profile, testing};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::crashes::{everything_answered_is_there_and_converges, no_job_is_left};
use crate::load::{Answer, Load, acknowledged};
use crate::server::{Folder, Server, moment};

/// Within this time every request is answered, whatever the database does.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Within this time bookings are taken again after the database is back.
const BACK_MAX: Duration = Duration::from_secs(5);
/// Within this time every booking of the load has come to its end.
const CONVERGED_MAX: Duration = Duration::from_secs(30);
/// What must be well, and how it is looked at beside the bookings.
const READS: [(&str, &str); 7] = [
    ("book", "/books/1"),
    ("book", "/books"),
    ("gateway", "/mypages/1"),
    ("gateway", "/mypages?min_position=1000000"),
    ("book", "/readyz"),
    ("gateway", "/actuator/health"),
    ("book", "/livez"),
];

/// A frozen Postgres, which is thawed at the end of a failed test, too.
struct Frozen(PathBuf);

impl Frozen {
    fn of(folder: &Folder) -> Self {
        testing::freeze(folder.path()).unwrap();
        Self(folder.path().to_owned())
    }

    fn thaw(self) -> Instant {
        drop(self);
        stopwatch()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = testing::thaw(&self.0);
    }
}

/// What was answered while the database was not there: `from` the time that all of it was gone `to` its return.
fn answered_meanwhile(answers: &[Answer], from: Instant, to: Instant) {
    for answer in answers {
        assert!(answer.took <= ANSWER_MAX, "too late: {answer:?}");
        assert_ne!(answer.status, 0, "not answered: {answer:?}");
        if answer.path == "/livez" {
            assert_eq!(answer.status, 200, "{answer:?}");
        } else if answer.status >= 400 {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        if answer.at < from || answer.at + answer.took > to {
            continue;
        }
        match answer.path.as_str() {
            "/livez" => {}
            "/readyz" | "/actuator/health" => assert_eq!(answer.status, 503, "{answer:?}"),
            _ => {
                assert_eq!(answer.status, 503, "{answer:?}");
                assert_eq!(
                    answer.problem.as_deref(),
                    Some("storage-unavailable"),
                    "{answer:?}"
                );
                assert!(answer.retry_after, "{answer:?}");
            }
        }
    }
}

async fn at_most(time: Duration) {
    let over = stopwatch() + time;
    while stopwatch() < over {
        moment().await;
    }
}

/// Freezes Postgres under load for a while.
async fn freeze_for(time: Duration) {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let load = Load::on(&server);
    load.under_way().await;
    let reads = Load::reading(&server, &READS);
    reads.until(stopwatch(), 20, BACK_MAX, |_| true).await;
    let frozen = Frozen::of(&folder);
    let froze = stopwatch();
    at_most(time).await;
    let thawing = stopwatch();
    let thawed = frozen.thaw();
    let back = load.until(thawed, 10, BACK_MAX, Answer::is_success).await;
    let well = |answer: &Answer| answer.path == "/readyz" && answer.status == 200;
    reads.until(thawed, 1, BACK_MAX, well).await;
    let (booked, read) = (load.end().await, reads.end().await);
    let all = [booked.clone(), read].concat();
    answered_meanwhile(&all, froze, thawing);
    everything_answered_is_there_and_converges(&server, &acknowledged(&booked)).await;
    no_job_is_left(&folder).await;
    assert!(
        thawed.elapsed() <= CONVERGED_MAX,
        "after {back:?} and {:?}",
        thawed.elapsed()
    );
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_frozen_postgres_is_answered_for_in_time_and_everything_goes_on_when_it_thaws() {
    freeze_for(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn connections_that_hung_too_long_are_replaced() {
    freeze_for(Duration::from_secs(16)).await;
}

#[tokio::test]
async fn a_postgres_that_is_stopped_at_once_and_started_again_is_not_missed_for_long() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let load = Load::on(&server);
    load.under_way().await;
    let reads = Load::reading(&server, &READS);
    reads.until(stopwatch(), 20, BACK_MAX, |_| true).await;
    testing::stop_immediately(folder.path()).await.unwrap();
    let stopped = stopwatch();
    at_most(Duration::from_secs(2)).await;
    let starting = stopwatch();
    let postgres = postgres_again(&folder).await;
    let started = stopwatch();
    let back = load.until(started, 10, BACK_MAX, Answer::is_success).await;
    let (booked, read) = (load.end().await, reads.end().await);
    let all = [booked.clone(), read].concat();
    answered_meanwhile(&all, stopped, starting);
    everything_answered_is_there_and_converges(&server, &acknowledged(&booked)).await;
    no_job_is_left(&folder).await;
    assert!(
        started.elapsed() <= CONVERGED_MAX,
        "after {back:?} and {:?}",
        started.elapsed()
    );
    assert!(server.stop().await.success());
    postgres.stop().await.unwrap();
}

/// Starts the server of a folder as the program would.
async fn postgres_again(folder: &Folder) -> local_postgres::Server {
    let options = Options::new(folder.path(), Profile::Durable);
    local_postgres::Server::start(options).await.unwrap()
}

/// How long a commit is made to take, in microseconds: long enough to be caught in it.
const SLOW_COMMIT: &str = "100000";

#[tokio::test]
async fn a_commit_that_was_frozen_is_found_with_its_idempotency_key() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut owner = PgConnection::connect(&folder.database_url().await)
        .await
        .unwrap();
    for statement in [
        &format!("alter system set commit_delay = {SLOW_COMMIT}"),
        "alter system set commit_siblings = 0",
        "select pg_reload_conf()",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    for round in 0..3 {
        let key = format!("round {round}");
        let mut booking = JoinSet::new();
        booking.spawn({
            let (http, url) = (server.client(), server.url("book", "/books"));
            let key = key.clone();
            async move { Answer::to("/books", ask(&http, &url, &key)).await }
        });
        let frozen = caught_in_a_commit(&folder, &mut owner).await;
        let unanswered = booking.join_next().await.unwrap().unwrap();
        let thawed = frozen.thaw();
        answered_meanwhile(std::slice::from_ref(&unanswered), thawed, thawed);
        assert_eq!(unanswered.status, 503, "{unanswered:?}");

        let (http, url) = (server.client(), server.url("book", "/books"));
        let found = async {
            loop {
                let again = Answer::to("/books", ask(&http, &url, &key)).await;
                if again.is_success() {
                    return again.bookid.unwrap();
                }
                assert!(matches!(again.status, 409 | 503), "{again:?}");
                moment().await;
            }
        };
        let bookid = timeout(BACK_MAX, found)
            .await
            .expect("the outcome is not found");
        server
            .status_becomes("book", &format!("/books/{bookid}"), "success-register")
            .await;
        for (what, query) in [
            (
                "bookings",
                "select count(*) from events where event_type = 'Booked'",
            ),
            ("charges", "select count(*) from stub_gateway.charges"),
        ] {
            let count: i64 = sqlx::query_scalar(query)
                .fetch_one(&mut owner)
                .await
                .unwrap();
            assert_eq!(count, round + 1, "{what}");
        }
    }
    no_job_is_left(&folder).await;
    owner.close().await.unwrap();
    assert!(server.stop().await.success());
}

async fn ask(http: &reqwest::Client, url: &str, key: &str) -> reqwest::Result<reqwest::Response> {
    let body = serde_json::json!({ "userid": 4, "spacename": "numberfour" });
    http.post(url)
        .header("idempotency-key", key)
        .json(&body)
        .send()
        .await
}

/// Freezes Postgres when a booking has been written and is being committed.
async fn caught_in_a_commit(folder: &Folder, owner: &mut PgConnection) -> Frozen {
    let caught = async {
        loop {
            let committing: bool = sqlx::query_scalar(
                "select exists (
                     select from pg_stat_activity
                     where backend_xid is not null and state = 'active' and query like '%journal_append%'
                       and pid <> pg_backend_pid()
                 )",
            )
            .fetch_one(&mut *owner)
            .await
            .unwrap();
            if committing {
                return Frozen::of(folder);
            }
        }
    };
    timeout(BACK_MAX, caught).await.expect("no commit was seen")
}
