//! A server comes up with nothing set up, as asked, and again on the data it left.

use std::path::Path;
use std::process::Command;

use local_postgres::{Error, Options, Profile, Server};

use crate::child::{give_to_nobody, scenario};
use crate::{ended, execute, number, open_folder, start, stop};

/// What the server says of one of its settings.
async fn setting(server: &Server, name: &str) -> String {
    let mut connection = crate::connect(server).await;
    sqlx::query_scalar("select current_setting($1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_durable_server_committed_is_there_after_a_restart() {
    let folder = open_folder();
    let options = Options::new(folder.path(), Profile::Durable).setting("work_mem", "8MB");
    let server = Server::start(options.clone()).await.unwrap();
    let expected = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("max_connections", "200"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("timezone", "UTC"),
        ("listen_addresses", ""),
        ("work_mem", "8MB"),
    ];
    for (name, value) in expected {
        // The locale of sorting is no setting any more from version 16 on.
        if name == "lc_collate" {
            let locale =
                "select count(*) from pg_database where datname = 'template1' and datcollate = 'C'";
            assert_eq!(number(&server.url("postgres"), locale).await, 1);
            continue;
        }
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    execute(
        &server.url("postgres"),
        "create table note (text text); insert into note values ('kept')",
    )
    .await;
    let first = server.postmaster_pid();
    stop(server).await;
    ended(first).await;

    // The folder is none the worse for a start that fails.
    a_server_that_refuses_to_start_is_quoted(folder.path()).await;
    let server = Server::start(options).await.unwrap();
    assert_ne!(server.postmaster_pid(), first);
    assert_eq!(
        number(
            &server.url("postgres"),
            "select count(*) from note where text = 'kept'"
        )
        .await,
        1
    );
    stop(server).await;
}

#[tokio::test]
async fn a_disposable_server_has_the_settings_of_tests_and_any_database() {
    let folder = open_folder();
    let server = start(folder.path()).await;
    let expected = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("autovacuum", "off"),
        ("max_prepared_transactions", "16"),
        ("max_connections", "300"),
    ];
    for (name, value) in expected {
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    of_four_who_create_a_database_at_once_one_does(&server).await;
    psql_reads_the_same_uri(&server).await;
    stop(server).await;
}

async fn of_four_who_create_a_database_at_once_one_does(server: &Server) {
    let create = || server.create_database_if_missing("shared");
    let (a, b, c, d) = tokio::join!(create(), create(), create(), create());
    let created = [a, b, c, d].map(|created| usize::from(created.unwrap()));
    assert_eq!(created.iter().sum::<usize>(), 1);
    assert_eq!(number(&server.url("shared"), "select 1::bigint").await, 1);
    assert!(!server.create_database_if_missing("shared").await.unwrap());
}

async fn psql_reads_the_same_uri(server: &Server) {
    let name = "of a \"friend\" + 100 %";
    assert!(server.create_database_if_missing(name).await.unwrap());
    let mut psql = Command::new("psql");
    psql.args([
        "-XAt",
        "-c",
        "select current_database() || current_user",
        "-d",
        &server.url(name),
    ]);
    match psql
        .env("PGPORT", "1")
        .env("PGHOST", "/no/such/folder")
        .output()
    {
        Ok(output) => assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{name}spacerent\n")
        ),
        Err(error) => crate::child::say(&format!("skipped: psql cannot be run ({error})")),
    }
}

async fn a_server_that_refuses_to_start_is_quoted(folder: &Path) {
    let options = Options::new(folder, Profile::Durable).setting("max_connections", "many");
    let error = Server::start(options).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Failed {
                program: "postgres",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[tokio::test]
async fn binaries_the_user_names_are_used_or_refused_by_name() {
    let folder = open_folder();
    let words = scenario("fail", folder.path())
        .env("SPACERENT_PG_BIN", "/no/such/folder")
        .run()
        .says();
    assert!(
        words.contains("SPACERENT_PG_BIN=/no/such/folder cannot be used"),
        "{words}"
    );
    let words = scenario("fail", folder.path())
        .env("SPACERENT_PG_BIN", folder.path())
        .run()
        .says();
    assert!(
        words.contains("it holds no working postgres and initdb"),
        "{words}"
    );
}

#[tokio::test]
async fn data_of_an_uninstalled_major_version_is_left_alone() {
    let folder = open_folder();
    let data = folder.path().join("postgres/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "12\n").unwrap();
    if rustix::process::geteuid().is_root() {
        give_to_nobody(&data);
    }
    let error = Server::start(Options::new(folder.path(), Profile::Disposable))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::OtherMajor { wanted: 12, .. }),
        "{error}"
    );
}
