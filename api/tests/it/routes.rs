//! What is not there, and what is not done: always a problem, and empty only where the seed's clients expect it.

use api::Role;
use async_trait::async_trait;
use domain::ports::{PaymentDue, TakePayment, Taken};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{ROLES, TestApp, listen, order};
use crate::till::{Till, approved};

async fn app() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

#[tokio::test]
async fn a_path_takes_the_methods_that_it_says_and_read_models_are_read_only() {
    let app = app().await;
    for (role, path, allow) in [
        (Role::Mypage, "/mypages", "GET,HEAD,OPTIONS"),
        (Role::Mypage, "/mypages/1", "GET,HEAD,OPTIONS"),
        (Role::Mypage, "/mypages/1/trace", "GET,HEAD,OPTIONS"),
        (Role::Mypage, "/points/1", "GET,HEAD,OPTIONS"),
        (Role::Space, "/spaces", "GET,HEAD,OPTIONS"),
        (Role::Space, "/spaces/1", "GET,HEAD,OPTIONS"),
        (Role::Payment, "/payments", "GET,HEAD,POST,OPTIONS"),
        (Role::Payment, "/payments/1", "GET,HEAD,OPTIONS"),
        (Role::Book, "/books", "GET,HEAD,POST,OPTIONS"),
        (Role::Book, "/books/1", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS"),
        (Role::Gateway, "/mypages", "GET,HEAD,OPTIONS"),
        (Role::Book, "/books/search", "GET,HEAD,OPTIONS"),
        (Role::Book, "/books/search/findByBookid", "GET,HEAD,OPTIONS"),
        (
            Role::Space,
            "/spaces/search/findByUserid",
            "GET,HEAD,OPTIONS",
        ),
        (Role::Space, "/", "GET,HEAD,OPTIONS"),
        (Role::Gateway, "/profile", "GET,HEAD,OPTIONS"),
        (Role::Gateway, "/profile/books", "GET,HEAD,OPTIONS"),
        (Role::Gateway, "/livez", "GET,HEAD,OPTIONS"),
        (Role::Gateway, "/metrics", "GET,HEAD,OPTIONS"),
    ] {
        let options = app.call(role, "OPTIONS", path).send().await;
        assert_eq!((options.status, options.body.as_str()), (200, ""));
        assert_eq!(options.header("allow"), Some(allow), "OPTIONS {path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "BREW"] {
            if allow.split(',').any(|allowed| allowed == method) {
                continue;
            }
            let answer = app.call(role, method, path).json("{}").send().await;
            answer.is_problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
    }
    assert_eq!(app.count("events").await, 0);
}

#[tokio::test]
async fn an_item_that_is_not_there_is_an_empty_404() {
    let app = app().await;
    for (role, method, path) in [
        (Role::Book, "GET", "/books/99"),
        (Role::Book, "PATCH", "/books/99"),
        (Role::Book, "PUT", "/books/99"),
        (Role::Book, "DELETE", "/books/99"),
        (Role::Book, "GET", "/books/0"),
        (Role::Book, "GET", "/books/-1"),
        (Role::Book, "GET", "/books/x"),
        (Role::Book, "GET", "/books/99999999999999999999"),
        (Role::Payment, "GET", "/payments/99"),
        (Role::Space, "GET", "/spaces/99"),
        (Role::Mypage, "GET", "/mypages/99"),
    ] {
        let answer = app
            .call(role, method, path)
            .json(r#"{"status":"cancel-booking"}"#)
            .send()
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, ""),
            "{method} {path}"
        );
        assert!(answer.header("x-correlation-id").is_some());
    }
}

#[tokio::test]
async fn what_no_route_knows_is_a_problem() {
    let app = app().await;
    for role in ROLES {
        app.get(role, "/nothing").await.is_problem(404, "not-found");
    }
    app.get(Role::Mypage, "/mypages/99/trace")
        .await
        .is_problem(404, "not-found");
    // A role answers for its own resource only.
    app.get(Role::Book, "/payments")
        .await
        .is_problem(404, "not-found");
    app.get(Role::Space, "/stub/ledger")
        .await
        .is_problem(404, "not-found");
}

#[tokio::test]
async fn every_role_answers_for_its_own_resource_and_the_gateway_for_all() {
    let app = app().await;
    for (role, path) in [
        (Role::Book, "/books"),
        (Role::Space, "/spaces"),
        (Role::Payment, "/payments"),
        (Role::Mypage, "/mypages"),
        (Role::Mypage, "/points/1"),
    ] {
        assert_eq!(app.get(role, path).await.status, 200, "{path}");
        assert_eq!(app.get(Role::Gateway, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_body_is_at_most_64_kib_whether_it_says_so_or_not() {
    let app = app().await;
    let large = vec![b' '; 64 * 1024 + 1];
    let answer = app
        .call(Role::Book, "POST", "/books")
        .body(large.clone())
        .send()
        .await;
    answer.is_problem(413, "body-too-large");
    // Without an announced length: one chunk, larger than a body may be.
    let head =
        "POST /books HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n";
    let mut connection = TcpStream::connect(app.address(Role::Book)).await.unwrap();
    connection
        .write_all(&[head.as_bytes(), &large].concat())
        .await
        .unwrap();
    let mut answer = vec![0; 16 * 1024];
    let read = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let mut body = order("numberone").into_bytes();
    body.resize(64 * 1024, b' ');
    assert_eq!(
        app.call(Role::Book, "POST", "/books")
            .body(body)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn links_carry_the_host_of_the_client_or_the_public_address() {
    let app = app().await;
    let answer = app
        .call(Role::Gateway, "POST", "/books")
        .json(&order("numberone"))
        .send()
        .await;
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:8088/books/1")
    );
    let mut public = app.app.clone();
    public.settings.public_url = Some("https://spacerent.example/api/".to_owned());
    let address = listen(api::router(Role::Book, public), &app.stop).await;
    let answer = app
        .call_at(&address, Role::Book, "GET", "/books?min_position=2")
        .send()
        .await;
    let links = answer.json()["_embedded"]["books"][0]["_links"].clone();
    assert_eq!(
        links["self"]["href"],
        "https://spacerent.example/api/books/1"
    );
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_request_only() {
    struct Broken;
    #[async_trait]
    impl TakePayment for Broken {
        async fn take(&self, _: PaymentDue) -> Taken {
            panic!("on purpose");
        }
    }
    let app = TestApp::paid_by(std::sync::Arc::new(Broken)).await;
    let problem = app.book("numberone").await.is_problem(500, "internal");
    assert!(!problem.to_string().contains("on purpose"), "{problem}");
    assert_eq!(app.get(Role::Book, "/livez").await.status, 200);
}
