//! The table of the seed's surface, line by line and for each resource: one golden file a request. A file is named
//! by method, resource and what is asked of it: `seed-GET-books-page`.

use api::Role;

use crate::app::{TestApp, order};
use crate::client::{Answer, raw, seed_host};
use crate::golden::assert_golden;

/// A resource: where it is, and which methods change it.
struct Surface {
    role: Role,
    name: &'static str,
    commands: &'static [&'static str],
}

const RESOURCES: [Surface; 4] = [
    Surface {
        role: Role::Book,
        name: "books",
        commands: &["PUT", "PATCH", "DELETE"],
    },
    Surface {
        role: Role::Payment,
        name: "payments",
        commands: &[],
    },
    Surface {
        role: Role::Space,
        name: "spaces",
        commands: &[],
    },
    Surface {
        role: Role::Mypage,
        name: "mypages",
        commands: &[],
    },
];

/// Three registered bookings, shown by every projection.
async fn registered() -> TestApp {
    let app = TestApp::start().await;
    for (bookid, spacename) in [(1, "numberone"), (2, "numberfour"), (3, "numberfive")] {
        assert_eq!(app.book(spacename).await.status, 201);
        app.settled(bookid, "BookConfirmed").await;
    }
    app
}

#[tokio::test]
async fn reads_of_each_resource() {
    let app = registered().await;
    for Surface { role, name, .. } in RESOURCES {
        for (method, path, what) in [
            ("GET", format!("/{name}"), "collection"),
            ("GET", format!("/{name}?page=0&size=1"), "page"),
            ("HEAD", format!("/{name}"), "collection"),
            ("HEAD", format!("/{name}?page=1&size=1"), "page"),
            ("OPTIONS", format!("/{name}"), "collection"),
            ("GET", format!("/{name}/1"), "item"),
            ("GET", format!("/{name}/99"), "item-that-is-not-there"),
            ("HEAD", format!("/{name}/1"), "item"),
            ("HEAD", format!("/{name}/99"), "item-that-is-not-there"),
            ("OPTIONS", format!("/{name}/1"), "item"),
            ("GET", format!("/{name}/search"), "search"),
            ("HEAD", format!("/{name}/search"), "search"),
            (
                "GET",
                format!("/{name}/search/findByBookid?bookid=2"),
                "findByBookid",
            ),
            (
                "GET",
                format!("/{name}/search/findByBookid?bookid=99"),
                "findByBookid-that-is-not-there",
            ),
            (
                "GET",
                format!("/{name}/search/findByBookid"),
                "findByBookid-of-none",
            ),
            (
                "GET",
                format!("/{name}/search/findByUserid?userid=1&size=2"),
                "findByUserid",
            ),
            (
                "GET",
                format!("/{name}/search/findByUserid?userid=99"),
                "findByUserid-of-nobody",
            ),
            ("GET", "/".to_owned(), "root"),
            ("GET", "/profile".to_owned(), "profiles"),
            ("GET", format!("/profile/{name}"), "profile"),
        ] {
            let answer = app.call(role, method, &path).send().await;
            assert_golden(&format!("seed-{method}-{name}-{what}"), &answer);
        }
        let schema = app
            .call(role, "GET", &format!("/profile/{name}"))
            .header("accept", "application/schema+json");
        assert_golden(&format!("seed-GET-{name}-schema"), &schema.send().await);
    }
    for (path, what) in [("/", "root"), ("/profile", "profiles")] {
        let answer = app.get(Role::Gateway, path).await;
        assert_golden(&format!("seed-GET-gateway-{what}"), &answer);
    }
}

#[tokio::test]
async fn commands_on_books() {
    let app = registered().await;
    let change = r#"{"status":"cancel-booking"}"#;
    for (name, call) in [
        (
            "POST-books",
            app.call(Role::Book, "POST", "/books")
                .json(&order("numberone")),
        ),
        (
            "POST-payments",
            app.call(Role::Payment, "POST", "/payments")
                .json(r#"{"bookid":1}"#),
        ),
        (
            "PUT-books-item",
            app.call(Role::Book, "PUT", "/books/1").json(change),
        ),
        (
            "PATCH-books-item",
            app.call(Role::Book, "PATCH", "/books/2").json(change),
        ),
        (
            "DELETE-books-item",
            app.call(Role::Book, "DELETE", "/books/3"),
        ),
        (
            "PUT-books-item-that-is-not-there",
            app.call(Role::Book, "PUT", "/books/99").json(change),
        ),
        (
            "PATCH-books-item-that-is-not-there",
            app.call(Role::Book, "PATCH", "/books/99").json(change),
        ),
        (
            "DELETE-books-item-that-is-not-there",
            app.call(Role::Book, "DELETE", "/books/99"),
        ),
        (
            "POST-books-malformed",
            app.call(Role::Book, "POST", "/books").json("{"),
        ),
        (
            "POST-payments-without-a-booking",
            app.call(Role::Payment, "POST", "/payments")
                .json(r#"{"bookid":99}"#),
        ),
    ] {
        assert_golden(&format!("seed-{name}"), &call.send().await);
    }
}

#[tokio::test]
async fn what_is_not_taken() {
    let app = TestApp::start().await;
    for Surface {
        role,
        name,
        commands,
    } in RESOURCES
    {
        let item = format!("/{name}/1");
        let collection = format!("/{name}");
        for (method, path, what) in [
            ("DELETE", &collection, "collection"),
            ("PUT", &item, "item"),
            ("PATCH", &item, "item"),
            ("DELETE", &item, "item"),
        ] {
            if what == "item" && commands.contains(&method) {
                continue;
            }
            let answer = app.call(role, method, path).json("{}").send().await;
            assert_golden(&format!("seed-{method}-{name}-{what}-not-taken"), &answer);
        }
    }
}

/// Every link of an answer that is no template, and templates filled in.
fn links(answer: &Answer) -> Vec<String> {
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(href) = fields.get("href").and_then(|href| href.as_str()) {
                    found.push(href.to_owned());
                }
                fields.values().for_each(|value| collect(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&answer.json(), &mut found);
    let (span, days) = (
        "from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z",
        "from=2031-12-01&to=2031-12-02",
    );
    let fill = |href: String| match href.split_once('{') {
        Some((address, "?spacename,from,to,duration}")) => {
            format!("{address}?spacename=numberone&{span}")
        }
        Some((address, "?spacename,from,to}")) => format!("{address}?spacename=numberone&{days}"),
        Some((address, "?from,to,spacename}")) => format!("{address}?{days}"),
        Some((_, rest)) if rest.starts_with("userid}") => href.replace("{userid}", "1"),
        Some((address, "?bookid}")) => format!("{address}?bookid=1"),
        Some((address, "?userid}")) => format!("{address}?userid=1"),
        Some((address, _)) => address.to_owned(),
        None => href,
    };
    found.into_iter().map(fill).collect()
}

#[tokio::test]
async fn every_link_leads_somewhere_on_every_port() {
    let app = registered().await;
    assert_eq!(app.venue(serde_json::json!({})).await.status, 201);
    for Surface { role, name, .. } in RESOURCES {
        for port in [role, Role::Gateway] {
            let host = seed_host(port);
            let mut open = vec![format!("http://{host}/")];
            let mut seen = Vec::new();
            while let Some(address) = open.pop() {
                if seen.contains(&address) {
                    continue;
                }
                let path = address
                    .strip_prefix(&format!("http://{host}"))
                    .unwrap_or_else(|| panic!("{address} leads elsewhere"));
                seen.push(address.clone());
                // What is only told something cannot be looked at.
                if path == "/quotes" {
                    app.get(port, path)
                        .await
                        .is_problem(405, "method-not-allowed");
                    continue;
                }
                let answer = app.get(port, path).await;
                assert_eq!(answer.status, 200, "{address}");
                open.extend(links(&answer));
            }
            for path in [
                format!("/{name}/3"),
                format!("/profile/{name}"),
                format!("/{name}/search/findByBookid?bookid=1"),
                format!("/{name}/search/findByUserid?userid=1"),
            ] {
                let found = seen.iter().any(|address| address.ends_with(&path));
                assert!(found, "nothing leads to {path}: {seen:?}");
            }
            // The port shows whatever can be looked at without knowing of what.
            let routes = seen.iter().filter(|address| !address.contains("/search"));
            let of_managers = routes
                .filter(|address| address.contains("/manager/"))
                .count();
            let is_of_managers = matches!(port, Role::Mypage | Role::Gateway);
            assert_eq!(of_managers >= 7, is_of_managers, "{seen:?}");
        }
    }
}

#[tokio::test]
async fn a_profile_describes_exactly_what_is_written() {
    let app = TestApp::start().await;
    // Of one that has everything: a time, too.
    assert_eq!(app.venue(serde_json::json!({})).await.status, 201);
    let booked = app.book_at("2031-12-01T01:00:00Z", "2031-12-01T02:00:00Z");
    let id = booked.await.bookid();
    app.settled(id, "BookConfirmed").await;
    for Surface { role, name, .. } in RESOURCES {
        let item = app.get(role, &format!("/{name}/{id}")).await.json();
        let item = item.as_object().unwrap();
        let mut written: Vec<_> = item.keys().map(String::as_str).collect();
        written.retain(|field| *field != "_links");

        let profile = app.get(role, &format!("/profile/{name}")).await;
        let alps = profile.json()["alps"]["descriptor"][0]["descriptor"].clone();
        let alps = alps.as_array().unwrap().iter();
        let mut described: Vec<_> = alps.map(|field| field["name"].as_str().unwrap()).collect();
        described.sort_unstable();
        assert_eq!(described, written, "{name}");

        let path = format!("/profile/{name}");
        let schema = app.call(role, "GET", &path);
        let schema = schema.header("accept", "application/schema+json");
        let schema = schema.send().await.json()["properties"].clone();
        let schema = schema.as_object().unwrap();
        assert_eq!(schema.keys().collect::<Vec<_>>(), written, "{name}");
        for (field, property) in schema {
            let kind = match &item[field] {
                serde_json::Value::Number(number) if number.is_i64() => "integer",
                serde_json::Value::String(_) => "string",
                serde_json::Value::Null => "null",
                other => panic!("{field} is {other}"),
            };
            let kinds = &property["type"];
            let fits = kinds == kind
                || kinds
                    .as_array()
                    .is_some_and(|kinds| kinds.contains(&kind.into()));
            assert!(fits, "{name}.{field}: {kind} is none of {kinds}");
        }
    }
}

#[tokio::test]
async fn a_search_waits_and_pages_as_a_collection_does() {
    let app = TestApp::start().await;
    for bookid in 1..=3 {
        let position = app.book("numberone").await.position();
        for name in ["books", "payments", "mypages"] {
            let path = format!("/{name}/search/findByBookid?bookid={bookid}");
            let found = app.get_at(position, Role::Gateway, &path).await;
            assert_eq!(found.json()["bookid"], bookid, "{path}");
        }
        let path = "/books/search/findByUserid?userid=1";
        let found = app.get_at(position, Role::Book, path).await.json();
        assert_eq!(found["page"]["totalElements"], bookid);
    }
    let search = "/books/search/findByUserid?userid=1&size=1&page=1&sort=bookid,desc";
    let page = app.get(Role::Book, search).await.json();
    assert_eq!(page["_embedded"]["books"][0]["bookid"], 2);
    let next = page["_links"]["next"]["href"].as_str().unwrap();
    let next = next.strip_prefix("http://localhost:8081").unwrap();
    let next = app.get(Role::Book, next).await.json();
    assert_eq!(next["_embedded"]["books"][0]["bookid"], 1);
    for query in [
        "findByBookid",
        "findByBookid?bookid=",
        "findByBookid?bookid=x",
        "findByBookid?bookid=1.5",
        "findByUserid",
        "findByUserid?userid=one",
        "findByUserid?userid=1&min_position=x",
        "findByUserid?userid=99999999999999999999",
    ] {
        for name in ["books", "payments", "spaces", "mypages"] {
            let answer = app
                .get(Role::Gateway, &format!("/{name}/search/{query}"))
                .await;
            answer.is_problem(400, "malformed-request");
        }
    }
    let unknown = app.get(Role::Book, "/books/search/findByMoon").await;
    unknown.is_problem(404, "not-found");
}

#[tokio::test]
async fn sizes_and_pages_fall_back_as_in_the_seed() {
    let app = TestApp::start().await;
    for (query, size, number) in [
        ("size=0", 20, 0),
        ("size=5000", 1_000, 0),
        ("size=x", 20, 0),
        ("size=-1", 20, 0),
        ("page=-1", 20, 0),
        ("page=x", 20, 0),
        ("page=99", 20, 99),
        ("sort=moon,desc&size=1", 1, 0),
    ] {
        for name in ["books", "payments", "spaces", "mypages"] {
            let answer = app
                .get(Role::Gateway, &format!("/{name}?{query}"))
                .await
                .json();
            let page = (&answer["page"]["size"], &answer["page"]["number"]);
            assert_eq!(page, (&size.into(), &number.into()), "{name}?{query}");
        }
    }
}

#[tokio::test]
async fn a_client_that_accepts_nothing_in_particular_gets_no_body_of_a_command() {
    let app = registered().await;
    let change = r#"{"status":"cancel-booking"}"#;
    // Clients of the usual kind always say what they accept.
    let silent = async |line: &str, body: &str| {
        let host = "host: localhost:8081";
        raw(app.address(Role::Book), &[line, host], body).await
    };
    let placed = silent("POST /books HTTP/1.1", &order("numberone")).await;
    assert_eq!((placed.status, placed.body.as_str()), (201, ""));
    assert_eq!(placed.header("content-type"), None);
    assert_eq!(placed.bookid(), 4);
    let put = silent("PUT /books/1 HTTP/1.1", change).await;
    assert_eq!((put.status, put.body.as_str()), (204, ""));
    assert_eq!((put.bookid(), put.header("etag")), (1, Some("\"3\"")));
    let patch = silent("PATCH /books/2 HTTP/1.1", change).await;
    assert_eq!((patch.status, patch.body.as_str()), (204, ""));
    assert_eq!(patch.header("location"), None);
    // Reads have their body all the same.
    let read = silent("GET /books/1 HTTP/1.1", "").await;
    assert_eq!(read.json()["bookid"], 1);
}
