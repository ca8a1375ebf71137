//! Links behind proxies: whose word counts, and what a role behind the gateway makes of it.

use api::{App, Role};

use crate::app::{TestApp, listen, order};
use crate::client::{Answer, raw};
use crate::till::{Till, approved};

const THIS_MACHINE: [&str; 2] = ["127.0.0.0/8", "::1/128"];

async fn app() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

/// A port that trusts proxies in these networks.
async fn port(app: &TestApp, role: Role, trusted: &[&str], adapt: impl FnOnce(&mut App)) -> String {
    let mut port = app.app.clone();
    port.settings.trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    adapt(&mut port);
    listen(api::router(role, port), &app.stop).await
}

/// Where the root's profile link leads.
async fn base(address: &str, headers: &[&str]) -> String {
    let lines = [&["GET / HTTP/1.1"][..], headers].concat();
    let answer = raw(address, &lines, "").await;
    let link = answer.json()["_links"]["profile"]["href"].clone();
    let base = link.as_str().unwrap().strip_suffix("/profile");
    base.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

const PUBLIC: [&str; 4] = [
    "host: inside:8081",
    "x-forwarded-host: spacerent.example",
    "x-forwarded-proto: https",
    "x-forwarded-prefix: /api",
];
const STANDARD: [&str; 2] = [
    "host: inside:8081",
    "forwarded: for=192.0.2.1;host=spacerent.example;proto=https",
];

#[tokio::test]
async fn only_a_trusted_peer_says_what_the_client_sees() {
    let app = app().await;
    let stranger = port(&app, Role::Book, &["10.0.0.0/8", "192.0.2.1/32"], |_| {}).await;
    let nobody = app.address(Role::Book);
    for address in [stranger.as_str(), nobody] {
        assert_eq!(base(address, &PUBLIC).await, "http://inside:8081");
        assert_eq!(base(address, &STANDARD).await, "http://inside:8081");
    }
    let trusting = port(&app, Role::Book, &THIS_MACHINE, |_| {}).await;
    assert_eq!(
        base(&trusting, &PUBLIC).await,
        "https://spacerent.example/api"
    );
    assert_eq!(
        base(&trusting, &STANDARD).await,
        "https://spacerent.example"
    );
    let malformed = ["host: inside:8081", "x-forwarded-host: <script>"];
    assert_eq!(base(&trusting, &malformed).await, "http://inside:8081");
}

#[tokio::test]
async fn the_operators_word_counts_before_everybody_elses() {
    let app = app().await;
    let address = port(&app, Role::Book, &THIS_MACHINE, |port| {
        port.settings.public_url = Some("https://public.example".to_owned());
    });
    assert_eq!(
        base(&address.await, &PUBLIC).await,
        "https://public.example"
    );
}

#[tokio::test]
async fn a_request_says_one_host() {
    let app = app().await;
    for (line, hosts, status) in [
        ("GET / HTTP/1.1", &["host: a"][..], 200),
        ("GET / HTTP/1.1", &["accept: */*"], 400),
        ("GET / HTTP/1.1", &["host: a", "host: a"], 400),
        ("GET / HTTP/1.1", &["host: a", "host: b"], 400),
        ("GET /livez HTTP/1.1", &["accept: */*"], 400),
        ("GET http://a/ HTTP/1.1", &["accept: */*"], 400),
        ("GET / HTTP/1.0", &["accept: */*"], 200),
        ("GET / HTTP/1.0", &["host: a", "host: b"], 400),
    ] {
        for role in [Role::Book, Role::Gateway] {
            let lines = [&[line], hosts].concat();
            let answer = raw(app.address(role), &lines, "").await;
            assert_eq!(answer.status, status, "{line} {hosts:?}");
            if status == 400 {
                answer.is_problem(400, "malformed-request");
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_is_none_stands_in_no_link() {
    let app = app().await;
    for host in [
        "host: a'b",
        "host: user@evil.example",
        "host: evil.example/path",
        "host: evil.example,other.example",
        "host: <script>",
        "host:",
    ] {
        let lines = ["POST /books HTTP/1.1", host, "accept: */*"];
        let answer = raw(app.address(Role::Book), &lines, &order("numberone")).await;
        let shown = format!("{:?}{}", answer.header("location"), answer.body);
        assert!(
            !shown.contains("evil") && !shown.contains("script"),
            "{shown}"
        );
        if answer.status == 201 {
            let location = answer.header("location").unwrap();
            assert!(
                location.starts_with("http://localhost/books/"),
                "{location}"
            );
        }
    }
}

async fn place(address: &str, headers: &[&str]) -> Answer {
    let lines = [&["POST /books HTTP/1.1", "accept: */*"][..], headers].concat();
    let answer = raw(address, &lines, &order("numberone")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

fn location(answer: &Answer) -> &str {
    let location = answer.header("location").unwrap();
    let link = &answer.json()["_links"]["self"]["href"];
    assert_eq!(link, location);
    location.rsplit_once("/books/").unwrap().0
}

#[tokio::test]
async fn a_role_behind_the_gateway_makes_the_links_of_the_gateways_client() {
    let app = app().await;
    // The role trusts the gateway; the gateway trusts the proxy before it, or nobody.
    let role = port(&app, Role::Book, &THIS_MACHINE, |_| {}).await;
    let through = |port: &mut App| port.settings.book_url = Some(format!("http://{role}"));
    let inner = port(&app, Role::Gateway, &THIS_MACHINE, through).await;
    let edge = port(&app, Role::Gateway, &[], through).await;

    let direct = ["host: gateway.example:8088"];
    assert_eq!(
        location(&place(&edge, &direct).await),
        "http://gateway.example:8088"
    );
    assert_eq!(
        location(&place(&inner, &PUBLIC).await),
        "https://spacerent.example/api"
    );
    assert_eq!(
        location(&place(&inner, &STANDARD).await),
        "https://spacerent.example"
    );
    // What the gateway does not believe, the role behind it never hears.
    for forged in [&PUBLIC[..], &STANDARD] {
        assert_eq!(location(&place(&edge, forged).await), "http://inside:8081");
    }
    let odd = [
        "host: inside:8081",
        "x-forwarded-port: 7",
        "x-forwarded-prefix: /evil",
    ];
    assert_eq!(location(&place(&edge, &odd).await), "http://inside:8081");

    let public = port(&app, Role::Gateway, &[], |port| {
        through(port);
        port.settings.public_url = Some("https://public.example/v1".to_owned());
    });
    assert_eq!(
        location(&place(&public.await, &direct).await),
        "https://public.example/v1"
    );
}

#[tokio::test]
async fn a_role_that_trusts_nobody_still_sees_the_clients_host_through_the_gateway() {
    let app = app().await;
    let url = format!("http://{}", app.address(Role::Book));
    let gateway = port(&app, Role::Gateway, &[], |port| {
        port.settings.book_url = Some(url);
    });
    let answer = place(&gateway.await, &["host: gateway.example"]).await;
    assert_eq!(location(&answer), "http://gateway.example");
}

#[tokio::test]
async fn the_gateway_hands_on_every_path_and_method_and_answers_what_is_its_own() {
    let app = app().await;
    let url = format!("http://{}", app.address(Role::Book));
    let gateway = port(&app, Role::Gateway, &[], |port| {
        port.settings.book_url = Some(url);
    })
    .await;
    place(&gateway, &["host: localhost:8088"]).await;
    let position = app.journal.head().await.unwrap();
    app.get_at(position, Role::Book, "/books/1").await;
    let call = async |method: &str, path: &str| {
        app.call_at(&gateway, Role::Gateway, method, path)
            .send()
            .await
    };
    for path in ["/books/1", "/books/search/findByBookid?bookid=1"] {
        let answer = call("GET", path).await;
        assert_eq!(answer.json()["bookid"], 1, "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        let again = app.call_at(&gateway, Role::Gateway, "GET", path);
        let again = again.header("if-none-match", &tag).send().await;
        assert_eq!(
            (again.status, again.header("etag")),
            (304, Some(tag.as_str()))
        );
    }
    let found = call("GET", "/books/search/findByUserid?userid=1")
        .await
        .json();
    assert_eq!(found["page"]["totalElements"], 1);
    for path in ["/books", "/books/1", "/books/search"] {
        let head = call("HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (204, ""), "{path}");
        let link = head.header("link").unwrap();
        assert!(link.starts_with("<http://localhost:8088/books"), "{link}");
        let direct = app.call(Role::Book, "OPTIONS", path).send().await;
        let options = call("OPTIONS", path).await;
        assert_eq!(options.status, 200);
        for name in ["allow", "accept-patch", "accept-post"] {
            assert_eq!(options.header(name), direct.header(name), "{path}");
        }
    }
    for (method, path) in [
        ("BREW", "/books"),
        ("TRACE", "/books/1"),
        ("PATCH", "/books"),
    ] {
        let refused = call(method, path).await;
        refused.is_problem(405, "method-not-allowed");
        let direct = app.call(Role::Book, method, path).send().await;
        assert_eq!(refused.header("allow"), direct.header("allow"));
    }
    for path in ["/", "/profile", "/profile/books", "/profile/mypages"] {
        let answer = call("GET", path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.body,
            app.get(Role::Gateway, path).await.body,
            "{path}"
        );
    }
}
