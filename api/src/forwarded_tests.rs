use super::*;

const PROXY: &str = "10.0.0.1";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("inside:8081"));
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(*name, value);
    }
    headers
}

/// What links begin with when these headers come from a proxy in 10.0.0.0/8.
fn told(pairs: &[(&'static str, &str)]) -> String {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    PublicAddress::told(&headers(pairs), PROXY.parse().unwrap(), &trusted).base()
}

#[test]
fn links_carry_a_host_that_can_be_one() {
    for (given, expected) in [
        ("localhost:8081", "http://localhost:8081"),
        ("spacerent.example", "http://spacerent.example"),
        ("spacerent.example:80", "http://spacerent.example"),
        ("[::1]:8088", "http://[::1]:8088"),
        ("127.0.0.1:1", "http://127.0.0.1:1"),
        ("user@host", "http://localhost"),
        ("a b", "http://localhost"),
        ("host/path", "http://localhost"),
        ("host:", "http://localhost"),
        ("host:99999", "http://localhost"),
        ("host:080", "http://localhost"),
        ("[nonsense]", "http://localhost"),
        ("a'b", "http://localhost"),
        ("a%41", "http://localhost"),
        ("a,b", "http://localhost"),
        ("\"><script>", "http://localhost"),
        ("", "http://localhost"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(given).unwrap());
        assert_eq!(PublicAddress::used(&headers).base(), expected, "{given}");
    }
    let none = PublicAddress::used(&HeaderMap::new());
    assert_eq!(none.base(), "http://localhost");
}

#[test]
fn an_operator_names_an_address_with_at_most_a_path() {
    for (given, expected) in [
        ("https://a.example", Some("https://a.example")),
        ("https://a.example/", Some("https://a.example")),
        ("https://a.example:443/api/", Some("https://a.example/api")),
        ("http://[::1]:8088/a/b", Some("http://[::1]:8088/a/b")),
        ("ftp://a.example", None),
        ("https://", None),
        ("https:///api", None),
        ("https://user@a.example", None),
        ("https://a.example/?q", None),
        ("https://a.example//api", None),
        ("a.example", None),
    ] {
        let read = PublicAddress::parse(given);
        let base = read.as_ref().map(PublicAddress::base);
        assert_eq!(base.as_deref(), expected, "{given}");
    }
}

#[test]
fn a_proxy_says_what_the_client_sees() {
    for (given, expected) in [
        (&[][..], "http://inside:8081"),
        (&[("x-forwarded-host", "a.example")], "http://a.example"),
        (
            &[
                ("x-forwarded-host", "a.example"),
                ("x-forwarded-proto", "HTTPS"),
            ],
            "https://a.example",
        ),
        (
            &[
                ("x-forwarded-host", "a.example:8443"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-prefix", "/api/"),
            ],
            "https://a.example:8443/api",
        ),
        (
            &[
                ("x-forwarded-host", "a.example:1"),
                ("x-forwarded-port", "8443"),
            ],
            "http://a.example:8443",
        ),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-port", "443")],
            "https://inside",
        ),
        // What the client wrote stands before what the proxy wrote.
        (
            &[("x-forwarded-host", "evil.example, a.example")],
            "http://a.example",
        ),
        (
            &[
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-host", "a.example"),
            ],
            "http://a.example",
        ),
        (
            &[(
                "forwarded",
                "for=192.0.2.1;host=a.example;proto=https;by=_x",
            )],
            "https://a.example",
        ),
        (
            &[("forwarded", "For=\"[2001:db8::1]:4711\"; Host=\"[::1]:8\"")],
            "http://[::1]:8",
        ),
        // The standard counts before the custom, the prefix has no other way.
        (
            &[
                ("forwarded", "host=a.example"),
                ("x-forwarded-host", "b.example"),
                ("x-forwarded-prefix", "/api"),
            ],
            "http://a.example/api",
        ),
    ] {
        assert_eq!(told(given), expected, "{given:?}");
    }
}

#[test]
fn elements_count_as_far_back_as_their_authors_are_trusted() {
    for (given, expected) in [
        // Our peer was sent it by 10.0.0.2, which is trusted: what that one says is nearer to the client.
        (
            &["for=192.0.2.1;host=a.example;proto=https, for=10.0.0.2;host=b.example"][..],
            "https://a.example",
        ),
        (
            &[
                "for=192.0.2.1;host=a.example",
                "for=\"10.0.0.2:81\";host=b.example;proto=https",
            ],
            "https://a.example",
        ),
        // Our peer was sent it by a stranger, who wrote the rest.
        (
            &["for=10.0.0.2;host=evil.example, for=192.0.2.1;host=b.example"],
            "http://b.example",
        ),
        (
            &["host=evil.example, for=unknown;host=b.example"],
            "http://b.example",
        ),
        (&["host=evil.example, for=_hidden"], "http://inside:8081"),
        (
            &["host=\"evil.example, host=a.example\""],
            "http://inside:8081",
        ),
    ] {
        let given: Vec<_> = given.iter().map(|value| ("forwarded", *value)).collect();
        assert_eq!(told(&given), expected, "{given:?}");
    }
}

#[test]
fn what_cannot_be_read_is_ignored() {
    let long = format!("/{}", "a".repeat(PREFIX_BYTES_MAX));
    for given in [
        ("x-forwarded-host", "a b"),
        ("x-forwarded-host", "user@a.example"),
        ("x-forwarded-host", "a.example/path"),
        ("x-forwarded-host", "a\".example"),
        ("x-forwarded-host", ""),
        ("x-forwarded-host", "a.example,"),
        ("x-forwarded-host", "여정"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-port", "0"),
        ("x-forwarded-port", "99999"),
        ("x-forwarded-port", "x"),
        ("x-forwarded-prefix", "api"),
        ("x-forwarded-prefix", "//evil.example"),
        ("x-forwarded-prefix", "/a/../b"),
        ("x-forwarded-prefix", "/a?b"),
        ("x-forwarded-prefix", "/\"><script>"),
        ("x-forwarded-prefix", "/"),
        ("x-forwarded-prefix", &long),
        ("forwarded", "host"),
        ("forwarded", "host=a b"),
        ("forwarded", "host=\"a.example"),
        ("forwarded", ";;,,="),
    ] {
        assert_eq!(told(&[given]), "http://inside:8081", "{given:?}");
    }
}

#[test]
fn what_was_found_is_handed_on_in_place_of_what_came() {
    let mut headers = headers(&[
        ("forwarded", "host=evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "evil"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
    ]);
    let found = PublicAddress::parse("https://a.example:8443/api").unwrap();
    found.write(&mut headers);
    assert!(!format!("{headers:?}").contains("evil"));
    assert_eq!(headers.len(), 4);
    let trusted = ["10.0.0.1/32".parse().unwrap()];
    let told = PublicAddress::told(&headers, PROXY.parse().unwrap(), &trusted);
    assert_eq!(told, found);
}

#[test]
fn the_journey_is_believed_from_trusted_proxies_only() {
    let headers = headers(&[
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "10.0.0.2"),
    ]);
    let peer = Some(PROXY.parse().unwrap());
    assert_eq!(hops(&headers, peer, true), "192.0.2.1, 10.0.0.2, 10.0.0.1");
    assert_eq!(hops(&headers, peer, false), "10.0.0.1");
    assert_eq!(hops(&headers, None, false), "");
}
