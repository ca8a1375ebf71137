//! Media types, preconditions, and the three ways to write a patch.

use api::Role;
use domain::{BookId, Command, Money, payment};
use serde_json::json;

use crate::app::{Setup, TestApp, order};
use crate::client::Answer;
use crate::till::{Till, approved};

async fn app() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

async fn read(app: &TestApp, path: &str, header: (&str, &str)) -> Answer {
    let call = app.call(Role::Gateway, "GET", path);
    call.header(header.0, header.1).send().await
}

#[tokio::test]
async fn what_cannot_be_written_is_406_and_nothing_is_done_for_it() {
    let app = app().await;
    for path in [
        "/books",
        "/mypages/1",
        "/",
        "/profile",
        "/books/search",
        "/points/1",
    ] {
        for accept in ["text/html", "application/json;q=0, text/*", "*/*;q=0"] {
            read(&app, path, ("accept", accept))
                .await
                .is_problem(406, "not-acceptable");
        }
    }
    let post = app.call(Role::Book, "POST", "/books");
    let post = post.header("accept", "text/html").body(order("x").into());
    post.send().await.is_problem(406, "not-acceptable");
    assert_eq!(app.count("events").await, 0);
    let profile = read(&app, "/profile/books", ("accept", "text/html")).await;
    profile.is_problem(406, "not-acceptable");
    // What has no choice is not asked.
    for path in ["/livez", "/readyz", "/metrics", "/actuator/health"] {
        let answer = read(&app, path, ("accept", "text/plain")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    for (accept, expected) in [
        ("application/json", "application/json;charset=UTF-8"),
        ("application/*", "application/hal+json;charset=UTF-8"),
        ("text/html, */*;q=0.1", "application/hal+json;charset=UTF-8"),
        (
            "application/hal+json;q=0, application/json",
            "application/json;charset=UTF-8",
        ),
    ] {
        let answer = read(&app, "/books", ("accept", accept)).await;
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept"), "{accept}");
    }
}

#[tokio::test]
async fn a_problem_is_a_problem_whatever_was_accepted() {
    let app = app().await;
    let answer = read(&app, "/nothing", ("accept", "application/json")).await;
    answer.is_problem(404, "not-found");
    let answer = read(
        &app,
        "/books?min_position=x",
        ("accept", "application/hal+json"),
    )
    .await;
    answer.is_problem(400, "malformed-request");
}

#[tokio::test]
async fn a_body_of_another_media_type_is_415_and_says_which_are_read() {
    let app = app().await;
    let send = async |method: &str, path: &str, media: &str, body: &str| {
        let call = app.call(Role::Gateway, method, path);
        let call = call.header("content-type", media);
        call.body(body.as_bytes().to_vec()).send().await
    };
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
    ] {
        let answer = send("POST", "/books", media, &order("x")).await;
        answer.is_problem(415, "unsupported-media-type");
        let types = answer.header("accept-post");
        assert_eq!(types, Some("application/json,application/hal+json"));
    }
    assert_eq!(app.count("events").await, 0);
    for media in [
        "application/json;charset=UTF-8",
        "application/json; charset=euc-kr",
        "application/hal+json",
        "APPLICATION/JSON",
    ] {
        let answer = send("POST", "/books", media, &order("numberone")).await;
        assert_eq!(answer.status, 201, "{media}: {answer:?}");
    }
    for media in ["application/xml", "application/hal+json"] {
        let answer = send("PATCH", "/books/1", media, "{}").await;
        answer.is_problem(415, "unsupported-media-type");
        let types = "application/merge-patch+json,application/json-patch+json,application/json";
        assert_eq!(answer.header("accept-patch"), Some(types));
        let options = app.call(Role::Gateway, "OPTIONS", "/books/1").send().await;
        assert_eq!(options.header("accept-patch"), Some(types));
    }
    let put = send("PUT", "/books/1", "application/json-patch+json", "[]").await;
    put.is_problem(415, "unsupported-media-type");
    // The seed's own clients do not always say what they send.
    let call = app.call(Role::Book, "POST", "/books");
    let answer = call.body(order("numberone").into()).send().await;
    assert_eq!(answer.status, 201);
}

async fn patch(app: &TestApp, bookid: i64, media: &str, body: &serde_json::Value) -> Answer {
    let call = app.call(Role::Book, "PATCH", &format!("/books/{bookid}"));
    let call = call.header("content-type", media);
    call.body(body.to_string().into()).send().await
}

#[tokio::test]
async fn a_patch_comes_in_three_media_types() {
    let app = app().await;
    let fields = json!({"status": "cancel-booking"});
    let operations = json!([
        {"op": "test", "path": "/status", "value": "booking"},
        {"op": "replace", "path": "/status", "value": "cancel-booking"},
    ]);
    for (bookid, media, body) in [
        (1, "application/json", &fields),
        (2, "application/merge-patch+json", &fields),
        (3, "application/json-patch+json", &operations),
    ] {
        app.book("numberone").await;
        let answer = patch(&app, bookid, media, body).await;
        assert_eq!(answer.status, 200, "{media}: {answer:?}");
        assert_eq!(answer.json()["status"], "cancel-booking", "{media}");
        assert_eq!(answer.header("etag"), Some("\"2\""), "{media}");
        assert_eq!(
            app.events("Book", bookid).await,
            ["Booked", "Bookcancelled"]
        );
    }
}

#[tokio::test]
async fn a_json_patch_that_cannot_be_done_says_why_and_does_nothing() {
    let app = app().await;
    app.book("numberone").await;
    let cancel = json!({"op": "replace", "path": "/status", "value": "cancel-booking"});
    for (body, status, slug) in [
        (
            json!({"status": "cancel-booking"}),
            400,
            "malformed-request",
        ),
        (
            json!([{"op": "burn", "path": "/status"}]),
            400,
            "malformed-request",
        ),
        (json!([]), 422, "validation-failed"),
        (
            json!([{"op": "replace", "path": "/status", "value": "success-register"}]),
            422,
            "validation-failed",
        ),
        (
            json!([cancel, {"op": "replace", "path": "/amount", "value": 0}]),
            422,
            "validation-failed",
        ),
        (
            json!([{"op": "remove", "path": "/status"}]),
            422,
            "validation-failed",
        ),
        (
            json!([{"op": "test", "path": "/userid", "value": 2}, cancel]),
            409,
            "patch-does-not-fit",
        ),
        (
            json!([{"op": "test", "path": "/moon", "value": 2}, cancel]),
            409,
            "patch-does-not-fit",
        ),
    ] {
        let answer = patch(&app, 1, "application/json-patch+json", &body).await;
        answer.is_problem(status, slug);
    }
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
    let gone = patch(&app, 99, "application/json-patch+json", &json!([cancel])).await;
    assert_eq!((gone.status, gone.body.as_str()), (404, ""));
}

#[tokio::test]
async fn a_client_is_not_sent_what_it_has() {
    let app = TestApp::start().await;
    app.book("numberone").await;
    app.settled(1, "BookConfirmed").await;
    for path in ["/books/1", "/payments/1", "/spaces/1", "/mypages/1"] {
        let first = app.get(Role::Gateway, path).await;
        let tag = first.header("etag").unwrap_or_else(|| panic!("{first:?}"));
        let again = read(&app, path, ("if-none-match", tag)).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(tag));
        for known in ["*", &format!("\"x\", W/{tag}")] {
            let again = read(&app, path, ("if-none-match", known)).await;
            assert_eq!(again.status, 304, "{path} {known}");
        }
        for known in ["\"0\"", "x", ""] {
            let again = read(&app, path, ("if-none-match", known)).await;
            assert_eq!(
                (again.status, &again.body),
                (200, &first.body),
                "{path} {known}"
            );
        }
        let head = app
            .call(Role::Gateway, "HEAD", path)
            .header("if-none-match", tag);
        assert_eq!(head.send().await.status, 304, "{path}");
        // The same in another media type is not the same.
        let plain = app.call(Role::Gateway, "GET", path);
        let plain = plain
            .header("accept", "application/json")
            .header("if-none-match", tag);
        assert_eq!(plain.send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_another_stream_changed_is_sent_though_the_version_is_the_same() {
    let app = app().await;
    let booked = app.book("numberone").await;
    let head = app.journal.head().await.unwrap();
    let first = app.get_at(head, Role::Book, "/books/1").await;
    assert_eq!(first.json()["phase"], "placed");
    // The payment is approved: the Book stream stays at its version, what is shown of it does not.
    let approve = payment::Command::RecordApproval {
        charge_no: 1,
        captured: Money::krw(10_000),
        gateway_ref: "stub-1".to_owned(),
    };
    app.execute(Command::Payment(BookId(1), approve)).await;
    let head = app.journal.head().await.unwrap();
    app.get_at(head, Role::Book, "/books/1").await;
    let call = app.call(Role::Book, "GET", "/books/1");
    let again = call.header("if-none-match", first.header("etag").unwrap());
    let again = again.send().await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json()["phase"], "paid");
    assert_eq!(booked.header("etag"), Some("\"1\""));
}

#[tokio::test]
async fn a_change_that_expects_another_version_is_412_with_the_one_there_is() {
    let app = app().await;
    app.book("numberone").await;
    let change = r#"{"status":"cancel-booking"}"#;
    let call = |method: &str, expected: &str| {
        let call = app.call(Role::Book, method, "/books/1").json(change);
        call.header("if-match", expected).send()
    };
    for method in ["PATCH", "PUT", "DELETE"] {
        for expected in ["\"2\"", "W/\"1\"", "\"moon\"", "1", "\"0\", \"7\""] {
            let answer = call(method, expected).await;
            answer.is_problem(412, "version-mismatch");
            assert_eq!(answer.header("etag"), Some("\"1\""), "{method} {expected}");
            assert_eq!(answer.header("x-event-position"), None);
        }
    }
    assert_eq!(app.events("Book", 1).await, ["Booked"]);
    let position = app.journal.head().await.unwrap();
    let shown = app.get_at(position, Role::Book, "/books/1").await;
    let changed = call("PATCH", shown.header("etag").unwrap()).await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, Some("\"2\""))
    );
    call("PATCH", "\"1\"")
        .await
        .is_problem(412, "version-mismatch");
    assert_eq!(call("DELETE", "*").await.status, 204);
    let gone = app.call(Role::Book, "DELETE", "/books/99");
    let gone = gone.header("if-match", "\"1\"").send().await;
    assert_eq!((gone.status, gone.body.as_str()), (404, ""));
}

#[tokio::test]
async fn a_key_is_free_again_after_a_version_that_did_not_match() {
    let app = app().await;
    app.book("numberone").await;
    let call = |expected: &str| {
        let call = app.call(Role::Book, "DELETE", "/books/1");
        let call = call.header("idempotency-key", "k");
        call.header("if-match", expected).send()
    };
    call("\"9\"").await.is_problem(412, "version-mismatch");
    assert_eq!(call("\"1\"").await.status, 204);
    let replayed = call("\"1\"").await;
    assert_eq!(
        (replayed.status, replayed.header("idempotent-replayed")),
        (204, Some("true"))
    );
    assert_eq!(app.events("Book", 1).await, ["Booked", "Bookcancelled"]);
}

#[tokio::test]
async fn of_changes_at_once_that_expect_one_version_one_is_made() {
    let setup = Setup {
        payment: Some(Till::answering(approved())),
        ..Setup::default()
    };
    let app = TestApp::with(setup).await;
    app.book("numberone").await;
    let calls = (0..16).map(|_| {
        let call = app.call(Role::Book, "DELETE", "/books/1");
        call.header("if-match", "\"1\"").send()
    });
    let answers = futures::future::join_all(calls).await;
    let made = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(made, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.is_problem(412, "version-mismatch");
        assert_eq!(answer.header("etag"), Some("\"2\""));
    }
}

#[tokio::test]
async fn of_json_patches_at_once_that_test_the_same_one_is_made() {
    let app = app().await;
    app.book("numberone").await;
    let operations = json!([
        {"op": "test", "path": "/status", "value": "booking"},
        {"op": "replace", "path": "/status", "value": "cancel-booking"},
    ]);
    let patches = (0..16).map(|_| patch(&app, 1, "application/json-patch+json", &operations));
    let answers = futures::future::join_all(patches).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1, "{answers:?}");
    // The others found it cancelled, or were overtaken while they tried.
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.status, 409, "{answer:?}");
    }
}
