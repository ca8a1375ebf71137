//! Pages, filters, and reading one's own writes.

use api::Role;
use serde_json::{Value, json};

use crate::app::{Setup, TestApp};
use crate::client::Answer;
use crate::golden::assert_golden;
use crate::till::{Till, approved};

/// Three bookings, shown by every projection.
async fn three() -> TestApp {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for (userid, spacename) in [(1, "numberone"), (2, "numbertwo"), (1, "numberthree")] {
        let body = json!({"userid": userid, "spacename": spacename}).to_string();
        assert_eq!(
            app.call(Role::Book, "POST", "/books")
                .json(&body)
                .send()
                .await
                .status,
            201
        );
    }
    assert_eq!(app.cancel(3).await.status, 200);
    for (role, path) in [(Role::Book, "/books"), (Role::Mypage, "/mypages")] {
        let head = app.journal.head().await.unwrap();
        let answer = app.get(role, &format!("{path}?min_position={head}")).await;
        assert_eq!(answer.header("x-projection-lag"), None);
    }
    app
}

/// The ids of a collection's items.
fn ids(answer: &Answer, collection: &str, id: &str) -> Vec<Value> {
    let items = &answer.json()["_embedded"][collection];
    items
        .as_array()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .iter()
        .map(|item| item[id].clone())
        .collect()
}

#[tokio::test]
async fn pages_of_a_collection() {
    let app = three().await;
    for (name, path) in [
        ("50-books-page-0", "/books?page=0&size=1"),
        ("51-books-page-1", "/books?page=1&size=1"),
        ("52-books-page-2", "/books?page=2&size=1"),
        ("53-books-page-99", "/books?page=99&size=2"),
        ("54-books-page-x", "/books?page=x&size=0"),
    ] {
        assert_golden(name, &app.get(Role::Book, path).await);
    }
    assert_golden(
        "55-mypages-page-0",
        &app.get(Role::Mypage, "/mypages?page=0&size=2").await,
    );
}

#[tokio::test]
async fn the_order_is_by_id_unless_asked_otherwise() {
    let app = three().await;
    let books = async |path: &str| ids(&app.get(Role::Book, path).await, "books", "bookid");
    assert_eq!(books("/books").await, [1, 2, 3]);
    assert_eq!(books("/books?sort=bookid,desc").await, [3, 2, 1]);
    assert_eq!(
        books("/books?sort=userid&sort=bookid,desc").await,
        [3, 1, 2]
    );
    assert_eq!(books("/books?sort=nonsense,desc").await, [1, 2, 3]);
    assert_eq!(books("/books?size=2&page=1&sort=bookid,desc").await, [1]);
}

#[tokio::test]
async fn my_pages_are_found_by_what_people_ask_for() {
    let app = three().await;
    for (query, expected) in [
        ("userid=1", json!([1, 3])),
        ("bookid=2", json!([2])),
        ("spacename=numbertwo", json!([2])),
        ("status=cancel-booking", json!([3])),
        ("status=booking", json!([1, 2])),
        ("phase=cancelling", json!([3])),
        ("phase=placed&userid=1", json!([1])),
        ("userid=", json!([1, 2, 3])),
        ("userid=7", json!([])),
        ("spacename=%27%20or%201=1", json!([])),
    ] {
        let answer = app.get(Role::Mypage, &format!("/mypages?{query}")).await;
        assert_eq!(json!(ids(&answer, "mypages", "id")), expected, "{query}");
    }
    let answer = app.get(Role::Mypage, "/mypages?userid=1&size=1").await;
    assert_eq!(answer.json()["page"]["totalElements"], 2);
    let next = answer.json()["_links"]["next"]["href"].clone();
    assert_eq!(next, "http://localhost:8084/mypages?page=1&size=1&userid=1");
    for query in ["userid=one", "bookid=1.5"] {
        app.get(Role::Mypage, &format!("/mypages?{query}"))
            .await
            .is_problem(400, "malformed-request");
    }
}

#[tokio::test]
async fn a_read_waits_for_what_its_client_wrote() {
    let app = TestApp::start().await;
    for bookid in 1..=20 {
        let booked = app.book("numberone").await;
        let position = booked.position();
        for (role, path) in [
            (Role::Book, format!("/books/{bookid}")),
            (Role::Payment, format!("/payments/{bookid}")),
            (Role::Mypage, format!("/mypages/{bookid}")),
            (Role::Mypage, format!("/mypages/{bookid}/trace")),
        ] {
            let answer = app
                .get(role, &format!("{path}?min_position={position}"))
                .await;
            assert_eq!(
                (answer.status, answer.header("x-projection-lag")),
                (200, None),
                "{answer:?}"
            );
        }
        let points = app
            .get(Role::Mypage, &format!("/points/1?min_position={position}"))
            .await;
        assert_eq!(points.json()["points"], 100 * bookid);
    }
}

#[tokio::test]
async fn a_read_that_waited_in_vain_says_how_far_behind_it_is() {
    let till = Till::answering(approved());
    let setup = Setup {
        payment: Some(till),
        without_projections: true,
        ..Setup::default()
    };
    let app = TestApp::with(setup).await;
    app.book("numberone").await;
    let began = local_postgres::testing::stopwatch();
    let answer = app.get(Role::Book, "/books?min_position=2").await;
    assert_eq!(
        (answer.status, answer.header("x-projection-lag")),
        (200, Some("2")),
        "{answer:?}"
    );
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
    let answer = app.get(Role::Book, "/books/1?min_position=2").await;
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    // Who does not ask does not wait, and is told nothing.
    assert_eq!(
        app.get(Role::Book, "/books")
            .await
            .header("x-projection-lag"),
        None
    );
}

#[tokio::test]
async fn a_position_that_is_none_is_400() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for position in ["x", "1.5", "-", "99999999999999999999"] {
        for path in [
            "/books",
            "/books/1",
            "/mypages/1/trace",
            "/points/1",
            "/spaces",
            "/payments/1",
        ] {
            let answer = app
                .get(Role::Gateway, &format!("{path}?min_position={position}"))
                .await;
            answer.is_problem(400, "malformed-request");
        }
    }
}

#[tokio::test]
async fn rows_of_an_older_program_are_503_until_they_are_rebuilt_and_bookings_go_on() {
    let app = TestApp::start().await;
    let bookid = app.book("numberone").await.bookid();
    app.settled(bookid, "BookConfirmed").await;
    app.as_owner("alter view books.books rename column starts_at to begins_at")
        .await;
    let refused = app.get(Role::Book, &format!("/books/{bookid}")).await;
    refused.is_problem(503, "read-model-outdated");
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(app.book("numberone").await.status, 201);
}
