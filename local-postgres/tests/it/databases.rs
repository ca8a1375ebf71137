//! A database per test: isolated, prepared once, never half-made, and gone afterwards.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::child::scenario;
use crate::{execute, number, open_folder, shared_server_is_down};
use local_postgres::Error;
use local_postgres::testing::Database;

/// A key no other run has used: the name of a new folder.
fn fresh_key() -> String {
    open_folder().path().display().to_string()
}

/// How many databases of this name the server of `url` has.
async fn count(url: &str, name: &str) -> i64 {
    let of_server = url.replace(name, "postgres");
    number(
        &of_server,
        &format!("select count(*) from pg_database where datname = '{name}'"),
    )
    .await
}

/// The database's name in a URI.
fn name(url: &str) -> &str {
    url.split(['/', '?']).nth(3).unwrap()
}

#[tokio::test]
async fn copies_of_one_template_are_prepared_once_and_isolated() {
    let (key, prepared) = (fresh_key(), AtomicU32::new(0));
    let create = || {
        Database::create(&key, async |url| {
            prepared.fetch_add(1, Ordering::Relaxed);
            execute(
                url,
                "create table note (text text); insert into note values ('prepared')",
            )
            .await;
            Ok(())
        })
    };
    let (one, other, third) = tokio::join!(create(), create(), create());
    let (one, other, third) = (one.unwrap(), other.unwrap(), third.unwrap());
    assert_eq!(prepared.load(Ordering::Relaxed), 1);
    execute(one.url(), "insert into note values ('mine')").await;
    assert_eq!(number(one.url(), "select count(*) from note").await, 2);
    assert_eq!(number(other.url(), "select count(*) from note").await, 1);
    assert_eq!(number(third.url(), "select count(*) from note").await, 1);
}

#[tokio::test]
async fn a_template_is_copied_though_its_maker_left_connections_open() {
    let (key, mut left_open) = (fresh_key(), None);
    let database = Database::create(&key, async |url| {
        let pool = sqlx::PgPool::connect(url).await?;
        left_open = Some(pool);
        Ok(())
    });
    let database = database.await.unwrap();
    assert_eq!(number(database.url(), "select 1::bigint").await, 1);
    assert!(left_open.is_some());
}

#[tokio::test]
async fn a_failed_preparation_is_reported_and_done_again() {
    let key = fresh_key();
    let error = Database::create(&key, async |_| Err("no migrations today".into()))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Prepare(_)) && error.to_string().contains("no migrations today"),
        "{error}"
    );
    let database = Database::create(&key, async |url| {
        execute(url, "create table note (text text)").await;
        Ok(())
    });
    assert_eq!(
        number(database.await.unwrap().url(), "select count(*) from note").await,
        0
    );
}

#[tokio::test]
async fn a_dropped_database_is_gone_whatever_is_open_in_it() {
    let database = Database::create("databases.rs: empty", async |_| Ok(()))
        .await
        .unwrap();
    let _pool = database.pool(2).await.unwrap();
    let url = database.url().to_owned();
    // Two-phase commit, first phase: bound to no session, and named across all databases.
    let prepare = format!(
        "begin; create table note (text text); prepare transaction '{}''s'",
        name(&url)
    );
    execute(&url, &prepare).await;
    assert_eq!(count(&url, name(&url)).await, 1);
    drop(database);
    assert_eq!(count(&url, name(&url)).await, 0);
}

#[tokio::test]
async fn processes_share_a_few_templates_and_clear_away_what_killed_ones_left() {
    // A temporary folder of its own, so that no other test's processes interfere.
    let room = open_folder();
    let run = |name, key: &str| scenario(name, key).env("TMPDIR", room.path()).run();

    let mut half = run("half a template", "key");
    assert_eq!(half.says(), "half-way");
    half.kill();
    let mut first = run("database", "key");
    assert_eq!(first.says(), "prepared");
    let left = first.says();
    assert_eq!(
        number(&left, "select count(*) from note where text = 'prepared'").await,
        1
    );
    first.kill();

    let second = run("database", "key");
    let url = second.says();
    assert_ne!(url, "prepared", "the template was made twice");
    assert_eq!(
        number(&url, "select count(*) from note where text = 'prepared'").await,
        1
    );
    assert_eq!(
        count(&left, name(&left)).await,
        0,
        "what the killed process left is still there"
    );
    assert_eq!(second.finish(), "goodbye");

    // With the template of before these are eleven, of which eight are kept.
    let many = run("many templates", "");
    let counts: Vec<String> = (0..10).map(|_| many.says()).collect();
    assert_eq!(counts, ["2", "3", "4", "5", "6", "7", "8", "8", "8", "8"]);
    assert_eq!(many.finish(), "goodbye");
    shared_server_is_down(room.path()).await;
}
