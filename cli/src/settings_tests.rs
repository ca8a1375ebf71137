//! What is taken, what is refused, and that the page in docs/operations.md says the same.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::from_variables(&variables)
}

#[test]
fn everything_has_a_default() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.listen_port_gateway, 8088);
    assert!(settings.database_url.is_none());
}

#[test]
fn a_malformed_value_is_named() {
    let error = read(&[("PAYMENT_TIMEOUT_MS", "two")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PAYMENT_TIMEOUT_MS: \"two\" is not a whole number of at most 18446744073709551615"
    );
    let error = read(&[("PAYMENT_TIMEOUT_MS", "0")]).unwrap_err();
    assert_eq!(error.to_string(), "PAYMENT_TIMEOUT_MS: must be 1 or more");
    let error = read(&[("GATEWAY", "paypal")]).unwrap_err();
    assert!(
        error.to_string().starts_with("GATEWAY: \"paypal\""),
        "{error}"
    );
}

#[test]
fn a_misspelt_name_is_refused_and_a_foreign_one_is_not() {
    assert_eq!(
        read(&[("CB_MIN_CALL", "1")]).unwrap_err(),
        Error::Unknown("CB_MIN_CALL".into())
    );
    assert!(
        read(&[
            ("PAYMENT_PORT", "tcp://10.0.0.1:8080"),
            ("PAYMENT_SERVICE_HOST", "x")
        ])
        .is_ok()
    );
}

#[test]
fn what_was_meant_to_be_a_setting_does_not_pass_in_silence() {
    for name in [
        "DEFAULT_PRISE",
        "POINT_CURRENCY",
        "PAYMENT_TIMEOUT",
        "DATABASE_CONNECTION_MAX",
        "DATABASE_URI",
        "PUBLIC_URI",
        "LISTEN_HOSTS",
        "LISTEN_PORT",
        "READINESS_LAG",
        "REQUIRE_IFMATCH",
        "MYPAGE_STOR",
        "SPACERENT_FOO",
    ] {
        assert_eq!(
            read(&[(name, "1")]).unwrap_err(),
            Error::Unknown(name.into())
        );
    }
}

#[test]
fn what_is_other_peoples_is_left_alone() {
    // Of shells, systemd, Kubernetes (services book, payment, spacerent), Postgres, proxies and clouds.
    for name in [
        "PATH",
        "HOME",
        "HOST",
        "PORT",
        "AUTH0",
        "AUTH_TOKEN",
        "DATABASE",
        "DATABASE_NAME",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "BOOK_PORT",
        "BOOK_SERVICE_PORT",
        "PAYMENT_SERVICE_HOST",
        "PAYMENT_PORT_8083_TCP_ADDR",
        "SPACERENT_SERVICE_HOST",
        "SPACERENT_PORT",
        "SPACERENT_PORT_8081_TCP",
        "PGHOST",
        "PUBLIC_KEY",
        "HTTPS_PROXY",
        "RUST_LOG",
    ] {
        assert!(read(&[(name, "1")]).is_ok(), "{name}");
    }
}

#[test]
fn a_misspelt_name_of_the_local_server_is_refused_too() {
    assert_eq!(
        read(&[("SPACERENT_PG_FECTH", "0")]).unwrap_err(),
        Error::Unknown("SPACERENT_PG_FECTH".into())
    );
    let known = [("SPACERENT_PG_FETCH", "0"), ("SPACERENT_PG_BIN", "/x")];
    let injected = [
        ("SPACERENT_PG_SERVICE_HOST", "10.0.0.1"),
        ("SPACERENT_PG_PORT", "tcp://10.0.0.1:5432"),
        ("SPACERENT_PG_PORT_5432_TCP", "tcp://10.0.0.1:5432"),
    ];
    assert!(read(&[&known[..], &injected[..]].concat()).is_ok());
    let page = include_str!("../../docs/operations.md");
    for name in local_postgres::VARIABLES {
        let row = format!("| `{name}` |");
        assert!(page.contains(&row), "docs/operations.md lacks {name}");
    }
}

#[test]
fn mypage_may_be_kept_in_a_file() {
    let settings = read(&[
        ("MYPAGE_STORE", "sqlite"),
        ("MYPAGE_SQLITE_FILE", "/x/m.db"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.mypage_store, Store::Sqlite);
    assert_eq!(settings.shown()["MYPAGE_SQLITE_FILE"], "/x/m.db");
    assert_eq!(
        read(&[("MYPAGE_SQLITE_FIEL", "/x/m.db")]).unwrap_err(),
        Error::Unknown("MYPAGE_SQLITE_FIEL".into())
    );
    assert!(read(&[("MYPAGE_SERVICE_HOST", "10.0.0.1")]).is_ok());
}

#[test]
fn the_seeds_key_is_taken() {
    let settings = read(&[("payment-url", "http://payment:8080")]).unwrap();
    assert_eq!(settings.payment_url.as_deref(), Some("http://payment:8080"));
}

#[test]
fn roles_talk_to_each_other_without_tls() {
    let error = read(&[("MYPAGE_URL", "https://mypage")]).unwrap_err();
    assert!(
        error.to_string().starts_with("MYPAGE_URL: must be http://"),
        "{error}"
    );
    assert!(read(&[("PUBLIC_URL", "https://spacerent.example")]).is_ok());
}

#[test]
fn proxies_are_trusted_by_network() {
    let settings = read(&[("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,::1")]).unwrap();
    assert_eq!(
        settings.trusted_proxies.shown(),
        "10.0.0.0/8,127.0.0.1/32,::1/128"
    );
    assert!(read(&[]).unwrap().trusted_proxies.0.is_empty());
    for malformed in ["10.0.0.0/33", "gateway", "10.0.0.0/8,x", "10.0.0.1/8"] {
        let error = read(&[("TRUSTED_PROXIES", malformed)]).unwrap_err();
        assert!(
            error.to_string().starts_with("TRUSTED_PROXIES: "),
            "{error}"
        );
    }
}

#[test]
fn pages_that_may_call_are_named_and_not_everybodys_with_credentials() {
    assert_eq!(read(&[]).unwrap().cors_origins.to_string(), "loopback");
    let error = read(&[("CORS_ORIGINS", "https://a.example/")]).unwrap_err();
    assert!(error.to_string().starts_with("CORS_ORIGINS: "), "{error}");
    let exact = ("CORS_ORIGINS", "https://a.example,loopback");
    assert!(read(&[exact, ("CORS_ALLOW_CREDENTIALS", "1")]).is_ok());
    let everybody = ("CORS_ORIGINS", "loopback,*");
    assert!(read(&[everybody]).is_ok());
    let error = read(&[everybody, ("CORS_ALLOW_CREDENTIALS", "1")]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("CORS_ALLOW_CREDENTIALS: must be 0"),
        "{error}"
    );
    assert_eq!(
        read(&[("CORS_ORIGIN", "*")]).unwrap_err(),
        Error::Unknown("CORS_ORIGIN".into())
    );
}

#[test]
fn the_public_address_can_stand_in_a_link() {
    assert!(read(&[("PUBLIC_URL", "https://a.example/api/")]).is_ok());
    for malformed in ["https://", "https://user@a.example", "http://a.example/?q"] {
        let error = read(&[("PUBLIC_URL", malformed)]).unwrap_err();
        assert!(error.to_string().starts_with("PUBLIC_URL: "), "{error}");
    }
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "postgresql://app:hunter2@db/spacerent\n").unwrap();
    let settings = read(&[("DATABASE_URL_FILE", path.to_str().unwrap())]).unwrap();
    let url = settings.database_url.as_ref().map(Secret::reveal);
    assert_eq!(url, Some("postgresql://app:hunter2@db/spacerent"));
    assert!(!format!("{settings:?} {:?}", settings.shown()).contains("hunter2"));
    let both = [("DATABASE_URL_FILE", "x"), ("DATABASE_URL", "y")];
    assert_eq!(
        read(&both).unwrap_err(),
        Error::Twice("DATABASE_URL".into())
    );
}

#[test]
fn an_open_door_to_the_network_is_refused() {
    assert!(matches!(
        read(&[("LISTEN_HOST", "0.0.0.0")]),
        Err(Error::OpenToAll(_))
    ));
    assert!(read(&[("LISTEN_HOST", "0.0.0.0"), ("AUTH_ALLOW_OPEN", "1")]).is_ok());
    assert!(read(&[("LISTEN_HOST", "::1")]).is_ok());
}

#[test]
fn what_is_not_built_says_so() {
    for (name, value) in [("AUTH", "jwt"), ("GATEWAY", "toss")] {
        assert!(
            matches!(read(&[(name, value)]), Err(Error::NotBuilt(_))),
            "{name}={value}"
        );
    }
}

#[test]
fn the_documentation_lists_every_setting() {
    let page = include_str!("../../docs/operations.md");
    for line in Settings::documentation() {
        let default = if line.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", line.default)
        };
        let row = format!("| `{}` | {default} | {} |", line.name, line.doc);
        assert!(
            page.contains(&row),
            "docs/operations.md lacks this row:\n{row}"
        );
    }
}
