//! Migrations: safe to run twice and at once, and never on a database that is somebody else's.

use std::collections::HashSet;

use journal::schema::{MIGRATOR, SchemaError, check, connect, hold_alone, migrate};
use local_postgres::Profile;
use local_postgres::testing::{Cluster, Database};
use sqlx::PgConnection;

use crate::force::{until_blocked, within};
use crate::sql;
use crate::stage::{Stage, connect as session};

async fn empty() -> Database {
    Database::create("journal: empty", async |_| Ok(()))
        .await
        .unwrap()
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let mut stage = Stage::open().await;
    stage.append(crate::samples::booked(1, 7)).await.unwrap();
    migrate(stage.url()).await.unwrap();
    check(stage.journal.pool()).await.unwrap();
    assert_eq!(stage.events().await, 1);
}

#[tokio::test]
async fn two_who_migrate_at_once_do_not_disturb_each_other() {
    let database = empty().await;
    let url = database.url();
    let (one, other, third) = tokio::join!(migrate(url), migrate(url), migrate(url));
    one.unwrap();
    other.unwrap();
    third.unwrap();
    check(&connect(url, 1).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_database_with_events_of_somebody_else_is_left_alone() {
    let database = empty().await;
    let mut owner = session(database.url()).await;
    sql::run(
        &mut owner,
        "create table events (n int); insert into events values (1)",
    )
    .await;
    let error = migrate(database.url()).await.unwrap_err();
    assert!(matches!(error, SchemaError::NotOurs), "{error}");
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(sql::number(&mut owner, tables).await, 1);
}

#[tokio::test]
async fn a_database_of_a_later_version_is_left_alone() {
    let mut stage = Stage::open().await;
    let later =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (99999, 'from the future', true, '', 0)";
    sql::run(&mut stage.owner, later).await;
    let error = migrate(stage.url()).await.unwrap_err();
    assert!(matches!(error, SchemaError::Foreign(_)), "{error}");
    let error = check(stage.journal.pool()).await.unwrap_err();
    assert!(
        matches!(&error, SchemaError::Foreign(what) if what.contains("99999")),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_that_was_changed_afterwards_is_noticed() {
    let mut stage = Stage::open().await;
    sql::run(
        &mut stage.owner,
        "update _sqlx_migrations set checksum = '' where version = 1",
    )
    .await;
    let error = migrate(stage.url()).await.unwrap_err();
    assert!(matches!(error, SchemaError::Foreign(_)), "{error}");
}

#[tokio::test]
async fn a_database_that_lacks_a_migration_is_behind() {
    let mut stage = Stage::open().await;
    let last =
        "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    sql::run(&mut stage.owner, last).await;
    let error = check(stage.journal.pool()).await.unwrap_err();
    assert!(matches!(error, SchemaError::Behind), "{error}");
}

#[tokio::test]
async fn an_empty_database_is_behind_also_on_a_server_that_never_saw_the_service() {
    let database = empty().await;
    // Its role is the server's, and there by now: on this server another database was migrated.
    let _migrated = Stage::open().await;
    let error = check(&connect(database.url(), 1).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, SchemaError::Behind), "{error}");

    let fresh = Cluster::start(Profile::Disposable).await.unwrap();
    let url = fresh.url("postgres");
    let error = check(&connect(&url, 1).unwrap()).await.unwrap_err();
    assert!(matches!(error, SchemaError::Behind), "{error}");
    migrate(&url).await.unwrap();
    check(&connect(&url, 1).unwrap()).await.unwrap();
}

/// The functions of this database that the service calls, with their arguments.
async fn functions(session: &mut PgConnection) -> HashSet<String> {
    let ours = "select p.oid::regprocedure::text from pg_proc p
                where p.pronamespace = 'public'::regnamespace and p.prorettype <> 'trigger'::regtype
                  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')";
    let names = sqlx::query_scalar(ours).fetch_all(session).await;
    names.unwrap().into_iter().collect()
}

/// During a rolling deployment processes of the version before call what they know. (docs/adr/0003)
#[tokio::test]
async fn no_migration_takes_a_function_from_those_who_still_call_it() {
    let database = empty().await;
    let mut owner = session(database.url()).await;
    let mut called_once = HashSet::new();
    for migration in MIGRATOR.iter() {
        sql::run(&mut owner, &migration.sql).await;
        called_once.extend(functions(&mut owner).await);
    }
    let still_there = functions(&mut owner).await;
    let mut gone: Vec<_> = called_once.difference(&still_there).collect();
    gone.sort();
    assert_eq!(gone, [] as [&String; 0]);
    assert!(still_there.len() > 20, "{still_there:?}");
}

/// Migrations up to here are done everywhere, and cannot be changed any more.
const LANDED: i64 = 26;
/// Tables that are written to all the time, and grow for ever.
const WRITTEN: [&str; 2] = ["events", "jobs"];

/// The statements of a migration, in lower case, without comments.
fn statements(sql: &str) -> Vec<String> {
    let code = |line: &str| line.split("--").next().unwrap_or_default().to_lowercase();
    let code: Vec<String> = sql.lines().map(code).collect();
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = code.join("\n");
    all.split(';')
        .map(words)
        .filter(|statement| !statement.is_empty())
        .collect()
}

/// What is wrong with how a migration makes an index.
fn holds_writers_up(sql: &str) -> Option<&'static str> {
    let statements = statements(sql);
    let index = statements.iter().find(|statement| {
        let is_index = statement.starts_with("create") && statement.contains(" index ");
        let on = |table: &&str| {
            statement.contains(&format!(" on {table} "))
                || statement.contains(&format!(" on {table}("))
        };
        is_index && WRITTEN.iter().any(on)
    })?;
    if !index.contains(" index concurrently ") {
        Some("nobody writes to the table meanwhile: say `concurrently`")
    } else if !sql.starts_with("-- no-transaction\n") {
        Some("it would be in a transaction: its first line must be `-- no-transaction`")
    } else if statements.len() > 1 {
        Some("several statements are a transaction, too: give the index a file of its own")
    } else {
        None
    }
}

#[tokio::test]
async fn no_migration_holds_writers_up_for_an_index() {
    for migration in MIGRATOR.iter().filter(|it| it.version > LANDED) {
        let wrong = holds_writers_up(&migration.sql);
        assert_eq!(
            wrong, None,
            "{} {}",
            migration.version, migration.description
        );
    }
    let of = |version| {
        let landed = MIGRATOR.iter().find(|it| it.version == version);
        holds_writers_up(&landed.unwrap().sql)
    };
    assert!(of(23).is_some() && of(24).is_some() && of(5).is_none());
    let alone = "-- no-transaction\n-- Why.\ncreate index concurrently e on events (event_type);\n";
    assert_eq!(holds_writers_up(alone), None);
    for wrong in [
        &alone.replace(" concurrently", ""),
        &alone.replace("-- no-transaction\n", ""),
        &format!("{alone}select 1;"),
    ] {
        assert!(holds_writers_up(wrong).is_some(), "{wrong}");
    }
}

/// As docs/operations.md has it.
#[tokio::test]
async fn a_migration_gives_up_where_it_was_told_how_long_to_wait() {
    let mut stage = Stage::open().await;
    let undone = "delete from _sqlx_migrations where version = 24; drop index jobs_left_to_people";
    sql::run(&mut stage.owner, undone).await;
    let mut writer = session(stage.url()).await;
    sql::run(&mut writer, "begin; lock table jobs in row exclusive mode").await;
    let mark = if stage.url().contains('?') { '&' } else { '?' };
    let url = format!("{}{mark}options=-c%20lock_timeout%3D50", stage.url());
    let error = migrate(&url).await.unwrap_err();
    assert!(
        matches!(&error, SchemaError::Failed(why) if why.contains("lock timeout")),
        "{error}"
    );
    sql::run(&mut writer, "commit").await;
    migrate(&url).await.unwrap();
    check(stage.journal.pool()).await.unwrap();
}

/// A process that has ended, or was killed, is not gone for the server at once.
#[tokio::test]
async fn what_one_session_is_at_is_the_next_ones_when_the_server_has_noticed_that_it_is_gone() {
    let mut stage = Stage::open().await;
    let (mut gone, mut next) = (stage.session().await, stage.session().await);
    assert!(hold_alone(&mut gone, "work").await.unwrap());
    let waits = async { hold_alone(&mut next, "work").await.unwrap() };
    let ends = async {
        until_blocked(&mut stage.owner, 1).await;
        drop(gone);
    };
    let (held, ()) = within("the next one has it", async { tokio::join!(waits, ends) }).await;
    assert!(held);
    // Who is still there keeps it, and other work is nobody else's.
    let mut other = stage.session().await;
    assert!(!hold_alone(&mut other, "work").await.unwrap());
    assert!(hold_alone(&mut other, "other work").await.unwrap());
}
