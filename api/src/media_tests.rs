use axum::http::HeaderValue;

use super::*;

fn accept(values: &[&str]) -> Accept {
    let header = |value: &&str| (ACCEPT, HeaderValue::from_str(value).unwrap());
    Accept::of(&values.iter().map(header).collect())
}

#[test]
fn the_seeds_clients_get_the_media_type_that_they_ask_for() {
    for (given, expected) in [
        ("*/*", Media::Hal),
        ("application/json", Media::Json),
        ("application/json, */*;q=0.5", Media::Json),
        ("application/json, text/plain, */*", Media::Json),
        ("application/hal+json", Media::Hal),
        ("application/hal+json, application/json", Media::Hal),
        (
            "application/json;q=0.9, application/hal+json;q=0.8",
            Media::Json,
        ),
        ("application/json;q=0.2, */*", Media::Hal),
        ("application/json;q=0, application/hal+json", Media::Hal),
        ("application/hal+json;q=0, */*", Media::Json),
        ("application/*", Media::Hal),
        ("APPLICATION/JSON;Q=1.0", Media::Json),
        ("application/json;charset=UTF-8", Media::Json),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Media::Hal,
        ),
        ("text/html, application/json;q=0.001", Media::Json),
    ] {
        assert_eq!(accept(&[given]).choose(RESOURCE), Ok(expected), "{given}");
    }
    assert_eq!(accept(&[]).choose(RESOURCE), Ok(Media::Hal));
    let twice = accept(&["text/html", "application/json"]);
    assert_eq!(twice.choose(RESOURCE), Ok(Media::Json));
}

#[test]
fn what_cannot_be_offered_is_said_with_what_can() {
    for given in [
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
        "*/*;q=0",
        "application/*;q=0.0, application/json;q=0",
        "application/hal+json;q=0, application/json;q=0.000, */*",
        "application/alps+json",
        "json",
    ] {
        let offers = "application/hal+json, application/json".to_owned();
        assert_eq!(
            accept(&[given]).choose(RESOURCE),
            Err(Problem::NotAcceptable { offers }),
            "{given}"
        );
    }
}

#[test]
fn a_profile_is_alps_unless_its_schema_is_asked_for() {
    for (given, expected) in [
        ("*/*", Media::Alps),
        ("application/alps+json", Media::Alps),
        ("application/schema+json", Media::Schema),
        ("application/schema+json, */*;q=0.1", Media::Schema),
        ("application/json", Media::Json),
        ("application/hal+json", Media::Hal),
    ] {
        assert_eq!(accept(&[given]).choose(PROFILE), Ok(expected), "{given}");
    }
    assert_eq!(accept(&[]).choose(PROFILE), Ok(Media::Alps));
}

#[test]
fn whether_a_client_says_what_it_wants() {
    assert!(accept(&["*/*"]).is_given());
    assert!(!accept(&[]).is_given());
    assert!(!accept(&[" "]).is_given());
}

#[test]
fn a_body_is_json_unless_it_says_otherwise() {
    let read = |method: &Method, given: &[u8]| {
        let header = (CONTENT_TYPE, HeaderValue::from_bytes(given).unwrap());
        written(method, &[header].into_iter().collect())
    };
    for (method, given, expected) in [
        (Method::POST, "application/json", Written::Fields),
        (
            Method::POST,
            "application/json;charset=UTF-8",
            Written::Fields,
        ),
        (
            Method::PUT,
            "Application/JSON ; charset=\"iso-8859-1\"",
            Written::Fields,
        ),
        (Method::POST, "application/hal+json", Written::Fields),
        (Method::PATCH, "application/json", Written::Fields),
        (
            Method::PATCH,
            "application/merge-patch+json; charset=utf-8",
            Written::Fields,
        ),
        (
            Method::PATCH,
            "application/json-patch+json",
            Written::JsonPatch,
        ),
        (Method::DELETE, "text/plain", Written::Fields),
    ] {
        assert_eq!(read(&method, given.as_bytes()), Ok(expected), "{given}");
    }
    for (method, given) in [
        (Method::POST, "text/plain"),
        (Method::POST, "application/x-www-form-urlencoded"),
        (Method::POST, "application/merge-patch+json"),
        (Method::PUT, "application/json-patch+json"),
        (Method::PATCH, "application/hal+json"),
        (Method::PATCH, "application/xml"),
        (Method::POST, ""),
        (Method::POST, "json"),
        (Method::POST, "application/json, text/plain"),
        (Method::POST, "\u{ff}"),
    ] {
        let patch = method == Method::PATCH;
        assert_eq!(
            read(&method, given.as_bytes()),
            Err(Problem::UnsupportedMediaType { patch }),
            "{given}"
        );
    }
    for method in [Method::POST, Method::PATCH] {
        assert_eq!(written(&method, &HeaderMap::new()), Ok(Written::Fields));
    }
}
