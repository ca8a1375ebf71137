//! An observer reads by the same rule and writes nothing: a login that may only select is enough.

use journal::feed::{Feed, Page, Stored};
use journal::{Journal, schema};
use serde_json::Value;

use super::{ALL, append, lose_a_position, span, writing};
use crate::sql;
use crate::stage::{Stage, journal_over};

/// What an observer needs, and no more.
const GRANTS: &str = "grant select on journal, events, dead_spans, _sqlx_migrations to onlooker";

/// A journal as a login sees it that may only read.
async fn onlooker(stage: &mut Stage) -> Journal {
    sql::run(
        &mut stage.owner,
        &format!(
            "do $$ begin create role onlooker login; exception when duplicate_object then null; end $$; {GRANTS}"
        ),
    )
    .await;
    let url = stage.url().replace("user=spacerent&", "user=onlooker&");
    assert_ne!(url, stage.url());
    let pool = schema::connect_to_read(&url, 2).unwrap();
    schema::check(&pool).await.unwrap();
    journal_over(pool)
}

fn positions(page: &Page<Stored>) -> Vec<i64> {
    page.items.iter().map(|event| event.position).collect()
}

#[tokio::test]
async fn who_may_only_select_reads_over_dead_holes_and_stops_at_open_ones() {
    let mut stage = Stage::quiet().await;
    let journal = onlooker(&mut stage).await;
    append(&stage, 1).await;
    lose_a_position(&stage).await;
    append(&stage, 3).await;
    let (mut open, _) = writing(&stage, 4).await;
    append(&stage, 5).await;

    let mut feed = Feed::observer(journal.clone());
    let first = feed.read_stored(0, ALL).await.unwrap();
    assert_eq!((positions(&first), first.hole), (vec![1], Some(span(2, 2))));
    let held = feed.read_stored(1, ALL).await.unwrap();
    assert_eq!(
        (positions(&held), held.hole),
        (vec![], Some(span(2, 2))),
        "the open one may have been there before the dead one"
    );
    sql::run(&mut open, "commit").await;
    let rest = feed.read_stored(1, ALL).await.unwrap();
    assert_eq!((positions(&rest), rest.hole), (vec![3, 4, 5], None));

    let written = "select (select count(*) from dead_spans) + (select count(*) from open_holes)";
    assert_eq!(stage.number(written).await, 0, "it wrote something");
    let refused = sqlx::query("insert into dead_spans values (9, 9, '1', 'me')")
        .execute(journal.pool())
        .await
        .unwrap_err();
    assert_eq!(sql::sqlstate(&refused), "25006");
}

#[tokio::test]
async fn an_owners_session_that_reads_cannot_write_either() {
    let mut stage = Stage::quiet().await;
    append(&stage, 1).await;
    let pool = schema::connect_to_read(stage.url(), 1).unwrap();
    let refused = sqlx::query("update followers set position = 0")
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(sql::sqlstate(&refused), "25006");
    let identity = journal_over(pool).identity().await.unwrap();
    let stored = "select identity || '/' || epoch from journal";
    assert_eq!(
        sql::text(&mut stage.owner, stored).await,
        identity.to_string()
    );
}

#[tokio::test]
async fn what_cannot_be_decoded_and_no_float_could_hold_is_given_as_it_stands() {
    let mut stage = Stage::quiet().await;
    let stored = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ('Kitchen', '9', 1, 'Cooked', '7',
                '{"grams": 12345678901234567890.123456789012345678, "note": "two\nlines 방"}', '{"who": "cook"}')"#;
    sql::run(&mut stage.owner, stored).await;
    let page = Feed::observer(stage.journal.clone())
        .read_stored(0, ALL)
        .await
        .unwrap();
    let [event] = &page.items[..] else {
        panic!("{page:?}")
    };
    for (column, given) in [
        ("payload", event.payload.get()),
        ("metadata", event.metadata.get()),
    ] {
        let text = format!("select {column}::text from events");
        assert_eq!(sql::text(&mut stage.owner, &text).await, given);
    }
    assert!(event.metadata().unwrap_err().contains("occurred_at"));
    let error = event.read(stage.journal.events()).unwrap_err().to_string();
    assert!(
        error.contains(r#"Kitchen event "Cooked" version "7""#),
        "{error}"
    );

    let line = serde_json::to_string(event).unwrap();
    assert_eq!(line.lines().count(), 1);
    let back: Stored = serde_json::from_str(&line).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), line);
    let fields: Value = serde_json::from_str(&line).unwrap();
    for column in [
        "event_id",
        "command_id",
        "aggregate_type",
        "aggregate_id",
        "event_type",
        "event_version",
    ] {
        let text = format!("select {column}::text from events");
        assert_eq!(sql::text(&mut stage.owner, &text).await, fields[column]);
    }
    assert_eq!(
        (&fields["position"], &fields["sequence"]),
        (&1.into(), &1.into())
    );
    let at = "select to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') from events";
    let at = sql::text(&mut stage.owner, at).await;
    let at: jiff::Timestamp = format!("{at}Z").parse().unwrap();
    assert_eq!(event.recorded_at, at);
}

#[tokio::test]
async fn the_last_events_are_counted_by_name_where_names_are_given() {
    let mut stage = Stage::quiet().await;
    let journal = stage.journal.clone();
    assert_eq!(journal.before_last(3, &[]).await.unwrap(), 0);
    for key in 1..=5 {
        append(&stage, key).await;
    }
    let other = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('Book', '1', 2, 'BookClosed', '1', '{}', '{}')";
    sql::run(&mut stage.owner, other).await;
    for (count, names, before) in [
        (0, &[][..], 6),
        (2, &[][..], 4),
        (2, &["Booked"][..], 3),
        (9, &[][..], 0),
        (2, &["Approved"][..], 6),
    ] {
        let found = journal.before_last(count, names).await.unwrap();
        assert_eq!(found, before, "the last {count} of {names:?}");
    }
}
