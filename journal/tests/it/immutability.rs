//! What was written stays: for the owner by triggers, for the service by its role.

use crate::samples::booked;
use crate::sql::{numbers, refusal, run, text};
use crate::stage::Stage;

/// `restrict_violation`: what the triggers raise.
const APPEND_ONLY: &str = "23001";
/// `insufficient_privilege`.
const NOT_ALLOWED: &str = "42501";
/// `check_violation`.
const CHECKED: &str = "23514";

/// Every way to change what is written, also where no row would be met.
const CHANGES: [&str; 13] = [
    "update events set payload = '{}'",
    "update events set payload = '{}' where false",
    "delete from events",
    "delete from events where false",
    "truncate events",
    "update commands set answer = '{}'",
    "update commands set answer = '{}' where false",
    "delete from commands",
    "delete from commands where false",
    "truncate commands",
    "update decisions set reason = 'another'",
    "delete from decisions where false",
    "truncate decisions",
];

#[tokio::test]
async fn not_even_the_superuser_changes_what_is_written() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 7)).await.unwrap();
    for change in CHANGES {
        assert_eq!(
            refusal(&mut stage.owner, change).await,
            APPEND_ONLY,
            "{change}"
        );
    }
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
}

#[tokio::test]
async fn the_service_may_add_and_nothing_else() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 7)).await.unwrap();
    let mut service = stage.runtime_session().await;
    let more = [
        "alter table events disable trigger all",
        "alter table events disable trigger events_are_append_only",
        "drop trigger commands_are_append_only on commands",
        "set session_replication_role = replica",
        "drop table events",
        "create table mine (n int)",
        "update slot_claims set unit = 1",
        "delete from followers",
        "delete from dead_spans",
        "select setval(pg_get_serial_sequence('events', 'position'), 1)",
        "select setval('book_ids', 1)",
        "update journal set epoch = epoch + 1",
    ];
    for change in CHANGES.into_iter().chain(more) {
        assert_eq!(refusal(&mut service, change).await, NOT_ALLOWED, "{change}");
    }
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
}

#[tokio::test]
async fn the_pool_works_as_the_service_role_and_waits_for_nothing_without_a_bound() {
    let stage = Stage::open().await;
    let pool = journal::schema::connect(stage.url(), 1).unwrap();
    let mut connection = pool.pool().acquire().await.unwrap();
    // A process that was stopped in its transaction loses the follower's row before its lease is over.
    let below_the_lease = format!("{}s", journal::follow::LEASE_MS / 1_000 - 1);
    for (setting, value) in [
        ("role", journal::schema::RUNTIME_ROLE),
        ("lock_timeout", "2s"),
        ("statement_timeout", "10s"),
        (
            "idle_in_transaction_session_timeout",
            below_the_lease.as_str(),
        ),
        ("TimeZone", "UTC"),
    ] {
        let shown = text(&mut connection, &format!("show {setting}")).await;
        assert_eq!(shown, value, "{setting}");
    }
}

#[tokio::test]
async fn metadata_that_cqrs_es_could_not_load_is_refused() {
    let mut stage = Stage::open().await;
    for metadata in [
        r#"{"n": 1}"#,
        r#"{"n": null}"#,
        r#"{"n": {"a": "b"}}"#,
        r#"["n"]"#,
        "\"n\"",
    ] {
        let insert = format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             values ('Book', '7', 1, 'Booked', '1', '{{}}', '{metadata}')"
        );
        assert_eq!(
            refusal(&mut stage.owner, &insert).await,
            CHECKED,
            "{metadata}"
        );
    }
    assert_eq!(stage.events().await, 0);
}

#[tokio::test]
async fn an_event_has_its_transaction_id_before_its_position() {
    let mut stage = Stage::open().await;
    let order = "select attnum::bigint from pg_attribute where attrelid = 'events'::regclass
                 and attname in ('tx', 'position') order by attname = 'position'";
    let order = numbers(&mut stage.owner, order).await;
    assert!(
        order[0] < order[1],
        "defaults are computed in column order: {order:?}"
    );
    let cache = "select cache_size from pg_sequences
                 where format('%I.%I', schemaname, sequencename) = pg_get_serial_sequence('events', 'position')";
    assert_eq!(
        stage.number(cache).await,
        1,
        "a session that hoards numbers breaks the proof"
    );
    let always = "select count(*) from pg_attribute where attrelid = 'events'::regclass
                  and attname = 'position' and attidentity = 'a'";
    assert_eq!(stage.number(always).await, 1);
    run(&mut stage.owner, "begin").await;
    let given = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, position)
                 values ('Book', '7', 1, 'Booked', '1', '{}', '{}', 9)";
    assert_eq!(refusal(&mut stage.owner, given).await, "428C9");
}
