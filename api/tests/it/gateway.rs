//! The gateway role before roles that other processes play.

use api::{App, Role};

use crate::app::{TestApp, listen, order};
use crate::client::Answer;
use crate::till::{Till, approved};

/// A gateway that asks the book role at `book_url`, and plays the others itself.
async fn gateway(app: &TestApp, book_url: &str) -> String {
    let mut elsewhere: App = app.app.clone();
    elsewhere.settings.book_url = Some(book_url.to_owned());
    listen(api::router(Role::Gateway, elsewhere), &app.stop).await
}

async fn send(app: &TestApp, address: &str, method: &str, path: &str, body: &str) -> Answer {
    let call = app
        .call_at(address, Role::Gateway, method, path)
        .header("x-correlation-id", "journey-1");
    call.json(body).send().await
}

#[tokio::test]
async fn what_the_role_answers_passes_unchanged() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let address = gateway(&app, &format!("http://{}", app.address(Role::Book))).await;
    let booked = send(&app, &address, "POST", "/books", &order("numberone")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    // Links carry the host that the client used, not the one that the gateway asked.
    assert_eq!(
        booked.header("location"),
        Some("http://localhost:8088/books/1")
    );
    assert_eq!(booked.header("x-correlation-id"), Some("journey-1"));
    assert_eq!(
        app.count("events where metadata->>'correlation_id' = 'journey-1'")
            .await,
        2
    );
    let page = send(
        &app,
        &address,
        "GET",
        "/books?page=0&size=1&min_position=2",
        "",
    )
    .await;
    assert_eq!(page.json()["_embedded"]["books"][0]["bookid"], 1);
    let missing = send(&app, &address, "GET", "/books/99", "").await;
    assert_eq!((missing.status, missing.body.as_str()), (404, ""));
    let refused = send(&app, &address, "DELETE", "/books", "").await;
    refused.is_problem(405, "method-not-allowed");
    assert_eq!(refused.header("allow"), Some("GET,HEAD,POST,OPTIONS"));
    assert_eq!(
        send(&app, &address, "GET", "/mypages", "").await.status,
        200
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_reached_is_a_problem_and_the_others_go_on() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for url in ["http://127.0.0.1:1", "https://127.0.0.1:1", "nonsense"] {
        let address = gateway(&app, url).await;
        let answer = send(&app, &address, "POST", "/books", &order("numberone")).await;
        let problem = answer.is_problem(503, "upstream-unavailable");
        assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(
            send(&app, &address, "GET", "/payments", "").await.status,
            200
        );
    }
}

#[tokio::test]
async fn a_body_is_bounded_before_it_is_handed_on() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let address = gateway(&app, &format!("http://{}", app.address(Role::Book))).await;
    let large = " ".repeat(64 * 1024 + 1);
    send(&app, &address, "POST", "/books", &large)
        .await
        .is_problem(413, "body-too-large");
}
