//! `kill -9` between the effect and the keeping of its answer: the key is then answered from the booking as it is.

use local_postgres::testing::timeout;
use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::server::{CONVERGE_MAX, Folder, Server, client, moment};

const ORDER: &str = r#"{"userid":"1","spacename":"numberone","status":"booking"}"#;
const CANCEL: &str = r#"{"status":"cancel-booking"}"#;

/// What came back: status, whether it is the first answer again, body.
async fn send(method: Method, url: &str, body: &'static str) -> (u16, bool, Value) {
    let key = method.to_string();
    let request = client().request(method, url);
    let request = request.header("idempotency-key", key);
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let answer = request.send().await.unwrap();
    let again = answer.headers().contains_key("idempotent-replayed");
    let status = answer.status().as_u16();
    (status, again, answer.json().await.unwrap_or(Value::Null))
}

async fn count(owner: &mut PgConnection, from: &str) -> i64 {
    let sql = format!("select count(*) from {from}");
    sqlx::query_scalar(&sql).fetch_one(owner).await.unwrap()
}

async fn becomes(owner: &mut PgConnection, from: &str) {
    let there = async {
        while count(owner, from).await == 0 {
            moment().await;
        }
    };
    timeout(CONVERGE_MAX, there).await.expect(from);
}

/// Sends a command whose answer can never be kept, and kills the server when `effect` is there.
async fn kill_behind_the_effect(
    folder: &Folder,
    server: Server,
    (method, path, body): (Method, &str, &'static str),
    effect: &str,
) -> Server {
    let url = folder.database_url().await;
    let mut owner = PgConnection::connect(&url).await.unwrap();
    // Whoever keeps an answer waits here until it is killed.
    sqlx::raw_sql(
        "create function wait_here() returns trigger language plpgsql as $$
         begin perform pg_sleep(60); return new; end $$;
         create trigger wait_here before update on idempotency_keys for each row
         when (new.status is not null) execute function wait_here()",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let mut asking = JoinSet::new();
    let target = server.url("book", path);
    asking.spawn(async move {
        let key = method.to_string();
        let request = client().request(method, target);
        let request = request.header("idempotency-key", key);
        let request = request.header("content-type", "application/json");
        request.body(body).send().await.is_ok()
    });
    becomes(&mut owner, effect).await;
    let keeping = "pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    becomes(&mut owner, keeping).await;
    server.kill().await;
    assert!(
        !asking.join_next().await.unwrap().unwrap(),
        "it was answered"
    );
    for statement in [
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'",
        "drop function wait_here() cascade",
    ] {
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
    }
    assert_eq!(
        count(&mut owner, "idempotency_keys where status is null").await,
        1
    );
    owner.close().await.unwrap();
    Server::start(folder).await
}

/// While the dead process's lock lives, nobody takes over; time is then made to pass.
async fn until_the_lock_is_over(owner: &mut PgConnection) {
    sqlx::raw_sql(
        "update idempotency_keys set locked_until = clock_timestamp() - interval '1 second'
         where status is null",
    )
    .execute(owner)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_process_that_is_killed_between_effect_and_answer() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let booking = (Method::POST, "/books", ORDER);
    let effect = "events where event_type = 'PointsAccrued'";
    let server = kill_behind_the_effect(&folder, server, booking, effect).await;
    let url = folder.database_url().await;
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let books = server.url("book", "/books");
    let (status, _, problem) = send(Method::POST, &books, ORDER).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &"/problems/idempotency-key-in-progress".into())
    );
    server
        .status_becomes("book", "/books/1", "success-register")
        .await;
    until_the_lock_is_over(&mut owner).await;
    let (status, again, booked) = send(Method::POST, &books, ORDER).await;
    assert_eq!((status, again), (201, false), "{booked}");
    assert_eq!(
        booked["status"], "success-register",
        "as it is by now: {booked}"
    );
    assert_eq!(send(Method::POST, &books, ORDER).await, (201, true, booked));
    assert_eq!(
        count(&mut owner, "events where event_type = 'Booked'").await,
        1
    );
    assert_eq!(count(&mut owner, "stub_gateway.charges").await, 1);

    let cancelling = (Method::PATCH, "/books/1", CANCEL);
    let effect = "events where event_type = 'Bookcancelled'";
    let server = kill_behind_the_effect(&folder, server, cancelling, effect).await;
    let book = server.url("book", "/books/1");
    server
        .status_becomes("book", "/books/1", "cancel-register")
        .await;
    until_the_lock_is_over(&mut owner).await;
    let (status, again, cancelled) = send(Method::PATCH, &book, CANCEL).await;
    assert_eq!((status, again), (200, false), "{cancelled}");
    assert_eq!(
        cancelled["status"], "cancel-register",
        "as it is by now: {cancelled}"
    );
    assert_eq!(count(&mut owner, effect).await, 1);
    assert_eq!(count(&mut owner, "stub_gateway.refunds").await, 1);
    assert!(server.stop().await.success());
}
