//! Commands and the queries behind them, very many, several clients at once: not one stale answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use api::Role;
use local_postgres::testing::stopwatch;
use serde_json::Value;

use crate::app::{Setup, TestApp};
use crate::client::Answer;
use crate::till::{Till, approved};

/// How many pairs; `SPACERENT_PAIRS` says another number (`.ci/full` runs 10,000).
const PAIRS: usize = 1_000;
/// Who asks at the same time.
const CLIENTS: usize = 8;

/// What all clients count together.
#[derive(Default)]
struct Counts {
    pairs: AtomicUsize,
    /// Answers that said themselves that they are behind.
    behind: AtomicUsize,
    /// Requests that a machine with more to do than it can do did not answer in time, and said so.
    unanswered: AtomicUsize,
}

/// Asks until there is an answer. A 503 is none, and says so: nothing stale is in it.
async fn answered<F: Future<Output = Answer>>(counts: &Counts, ask: impl Fn() -> F) -> Answer {
    let began = stopwatch();
    loop {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(began.elapsed() < crate::app::WITHIN, "{answer:?}");
        counts.unanswered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks until the answer says nothing of being behind. What it shows is then held against the command.
async fn fresh(app: &TestApp, counts: &Counts, role: Role, path: &str, position: i64) -> Answer {
    let mark = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{mark}min_position={position}");
    let began = stopwatch();
    loop {
        let answer = answered(counts, || app.get(role, &path)).await;
        match answer.header("x-projection-lag") {
            None => {
                counts.pairs.fetch_add(1, Ordering::Relaxed);
                return answer;
            }
            Some(lag) => {
                // A busy machine: it gave up, and said so.
                assert!(lag.parse::<i64>().unwrap() > 0, "{answer:?}");
                counts.behind.fetch_add(1, Ordering::Relaxed);
            }
        }
        assert!(began.elapsed() < crate::app::WITHIN, "{path}: {answer:?}");
    }
}

/// Books, looks, cancels, looks, each time elsewhere, until there are enough pairs.
async fn client(app: &TestApp, counts: &Counts, pairs: usize, number: usize) {
    let mut turn = number;
    while counts.pairs.load(Ordering::Relaxed) < pairs {
        let booked = answered(counts, || app.book("numberone")).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let (id, position) = (booked.bookid(), booked.position());
        let (role, path, shows): (_, _, fn(&Value) -> bool) = match turn % 4 {
            0 => (Role::Mypage, format!("/mypages/{id}"), |page| {
                page["points"] == 100
            }),
            1 => (Role::Book, format!("/books/{id}"), |book| {
                book["phase"] != "placed"
            }),
            2 => (Role::Payment, format!("/payments/{id}"), |payment| {
                payment["captured"] == 10_000
            }),
            _ => (Role::Gateway, format!("/mypages/{id}/trace"), |trace| {
                let events = trace["events"].as_array().unwrap();
                events.iter().any(|event| event["event"] == "PointsAccrued")
            }),
        };
        let shown = fresh(app, counts, role, &path, position).await;
        assert_eq!(shown.status, 200, "stale: {shown:?} after {booked:?}");
        assert!(shows(&shown.json()), "stale: {shown:?} after {booked:?}");

        let cancelled = answered(counts, || app.cancel(id)).await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let (role, path) = match turn % 2 {
            0 => (Role::Book, format!("/books/{id}")),
            _ => (Role::Mypage, format!("/mypages?bookid={id}")),
        };
        let shown = fresh(app, counts, role, &path, cancelled.position()).await;
        let json = shown.json();
        let row = match turn % 2 {
            0 => &json,
            _ => &json["_embedded"]["mypages"][0],
        };
        let phase = row["phase"].as_str().unwrap_or_default();
        let after = ["cancelling", "refunding", "cancelled"];
        assert!(
            after.contains(&phase),
            "stale: {shown:?} after {cancelled:?}"
        );
        turn += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_did_is_in_what_it_asks_for_next() {
    let pairs = std::env::var("SPACERENT_PAIRS").map_or(PAIRS, |pairs| pairs.parse().unwrap());
    let (app, counts, began) = (TestApp::start().await, Counts::default(), stopwatch());
    let clients = (0..CLIENTS).map(|number| client(&app, &counts, pairs, number));
    futures::future::join_all(clients).await;
    let (pairs, behind) = (counts.pairs.into_inner(), counts.behind.into_inner());
    println!(
        "{pairs} pairs in {:?}, none stale; {behind} answers said that they were behind, {} requests were not answered",
        began.elapsed(),
        counts.unanswered.into_inner()
    );
}

#[tokio::test]
async fn an_answer_behind_a_held_feed_says_so() {
    let setup = Setup {
        payment: Some(Till::answering(approved())),
        ..Setup::default()
    };
    let app = TestApp::with(setup).await;
    let booked = app.book("numberone").await;
    assert_eq!(booked.bookid(), 1);
    app.get_at(2, Role::Book, "/books/1").await;
    let held = app.hold_the_feed().await;
    assert_eq!(app.book("numbertwo").await.bookid(), 2);
    for (status, path) in [
        (404, "/books/2?min_position=5"),
        (200, "/books?min_position=5"),
        (200, "/books/1?min_position=5"),
        (404, "/books/search/findByBookid?bookid=2&min_position=5"),
        (200, "/books/search/findByUserid?userid=1&min_position=5"),
    ] {
        // Positions 4 and 5 are there, and cannot be shown.
        let answer = app.get(Role::Book, path).await;
        assert_eq!(
            (answer.status, answer.header("x-projection-lag")),
            (status, Some("2")),
            "{answer:?}"
        );
    }
    let answer = app
        .get(Role::Mypage, "/mypages/2/trace?min_position=5")
        .await;
    answer.is_problem(404, "not-found");
    assert_eq!(answer.header("x-projection-lag"), Some("2"));
    held.end().await;
    let shown = app.get_at(5, Role::Book, "/books/2").await;
    assert_eq!(shown.json()["bookid"], 2);
}
