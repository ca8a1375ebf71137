//! Holes: proved once for everybody, wherever they lie, and never silent.

use std::sync::Arc;

use journal::feed::Feed;
use journal::runtime::{SystemClock, SystemRandom};
use journal::{Journal, schema};
use sqlx::Connection;

use super::{ALL, append, lose_a_position, positions, read, span, writing};
use crate::sql;
use crate::stage::Stage;

const SPANS: &str = "select first_position || '-' || last_position || ' by ' || proved_by from dead_spans order by first_position";
const OPEN: &str =
    "select follower || ' at ' || first_position || '-' || last_position from open_holes";

#[tokio::test]
async fn a_hole_is_proved_once_and_other_readers_need_no_proof() {
    let mut stage = Stage::quiet().await;
    lose_a_position(&stage).await;
    append(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![2], None));
    assert_eq!(sql::texts(&mut stage.owner, SPANS).await, ["1-1 by reader"]);

    // While this one lives, no new id proves anything.
    let (_writer, _) = writing(&stage, 3).await;
    let mut other = Feed::new(stage.journal.clone(), "other");
    let page = other.read(0, ALL).await.unwrap();
    assert_eq!((positions(&page), page.hole), (vec![2], None));
    assert_eq!(sql::texts(&mut stage.owner, SPANS).await, ["1-1 by reader"]);
}

#[tokio::test]
async fn one_id_proves_every_hole_that_was_there() {
    let mut stage = Stage::quiet().await;
    lose_a_position(&stage).await;
    append(&stage, 2).await;
    lose_a_position(&stage).await;
    lose_a_position(&stage).await;
    append(&stage, 5).await;
    assert_eq!(read(&stage).await, (vec![2, 5], None));
    assert_eq!(
        sql::texts(&mut stage.owner, SPANS).await,
        ["1-1 by reader", "3-4 by reader"]
    );
    assert_eq!(
        stage
            .number("select count(distinct proof) from dead_spans")
            .await,
        1
    );
}

#[tokio::test]
async fn a_hole_right_behind_the_checkpoint_is_seen() {
    let stage = Stage::quiet().await;
    append(&stage, 1).await;
    let (mut writer, _) = writing(&stage, 2).await;
    append(&stage, 3).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    let page = feed.read(1, ALL).await.unwrap();
    assert_eq!((page.position, page.hole), (1, Some(span(2, 2))));
    sql::run(&mut writer, "commit").await;
    assert_eq!(positions(&feed.read(1, ALL).await.unwrap()), [2, 3]);
}

#[tokio::test]
async fn a_hole_between_two_pages_is_seen() {
    let stage = Stage::quiet().await;
    append(&stage, 1).await;
    append(&stage, 2).await;
    let (mut writer, _) = writing(&stage, 3).await;
    append(&stage, 4).await;
    append(&stage, 5).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    let page = feed.read(0, 2).await.unwrap();
    assert_eq!(
        (positions(&page), page.position, page.hole),
        (vec![1, 2], 2, None)
    );
    let page = feed.read(2, 2).await.unwrap();
    assert_eq!(
        (positions(&page), page.position, page.hole),
        (vec![], 2, Some(span(3, 3)))
    );
    sql::run(&mut writer, "commit").await;
    assert_eq!(positions(&feed.read(2, 2).await.unwrap()), [3, 4]);
    assert_eq!(positions(&feed.read(4, 2).await.unwrap()), [5]);
}

#[tokio::test]
async fn what_stands_before_a_hole_goes_out_at_once() {
    let stage = Stage::quiet().await;
    append(&stage, 1).await;
    let (_writer, _) = writing(&stage, 2).await;
    append(&stage, 3).await;
    assert_eq!(read(&stage).await, (vec![1], Some(span(2, 2))));
}

#[tokio::test]
async fn positions_that_nobody_has_passed_yet_are_no_hole() {
    let stage = Stage::quiet().await;
    assert_eq!(read(&stage).await, (vec![], None));
    append(&stage, 1).await;
    let (_writer, _) = writing(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![1], None));
    assert_eq!(
        stage.journal.head().await.unwrap(),
        1,
        "not the sequence's last value"
    );
}

#[tokio::test]
async fn a_hole_that_holds_is_a_row_until_it_is_passed_and_names_who_keeps_it_open() {
    let mut stage = Stage::quiet().await;
    let (mut writer, _) = writing(&stage, 1).await;
    append(&stage, 2).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    feed.read(0, ALL).await.unwrap();
    assert_eq!(sql::texts(&mut stage.owner, OPEN).await, ["reader at 1-1"]);
    let status = stage.journal.status().await.unwrap();
    let hole = status.hole.unwrap();
    let writer_pid = sql::number(&mut writer, "select pg_backend_pid()::bigint").await;
    assert_eq!((hole.first, hole.last), (1, 1));
    let blocker = hole.blocked_by.unwrap();
    assert_eq!(blocker.pid.map(i64::from), Some(writer_pid));
    assert_eq!((status.head, status.watermark), (2, 0));

    sql::run(&mut writer, "rollback").await;
    feed.read(0, ALL).await.unwrap();
    assert!(sql::texts(&mut stage.owner, OPEN).await.is_empty());
    let status = stage.journal.status().await.unwrap();
    assert_eq!((status.hole, status.watermark), (None, 2));
}

#[tokio::test]
async fn who_keeps_a_hole_open_is_told_with_age_and_query_to_who_may_know() {
    let mut stage = Stage::quiet().await;
    // Another database's transaction that began before counts, too.
    let url = Stage::beside(&stage).await;
    let mut elsewhere = sqlx::PgConnection::connect(&url).await.unwrap();
    sql::run(&mut elsewhere, "begin; create table note (text text)").await;
    let elsewhere_pid = sql::number(&mut elsewhere, "select pg_backend_pid()::bigint").await;
    let (mut writer, _) = writing(&stage, 1).await;
    append(&stage, 2).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    feed.read(0, ALL).await.unwrap();
    // This one began after the proof was drawn: nobody waits for it.
    let (mut late, _) = writing(&stage, 3).await;

    let pool = schema::connect_to_read(stage.url(), 1).unwrap();
    let looking = Journal::new(pool, Arc::new(SystemClock), Arc::new(SystemRandom));
    let blocker = async || {
        let hole = looking.status().await.unwrap().hole;
        hole.unwrap().blocked_by
    };
    let first = blocker().await.unwrap();
    assert_eq!(first.pid.map(i64::from), Some(elsewhere_pid));
    assert_eq!(first.state.as_deref(), Some("idle in transaction"));
    assert_eq!(
        first.query.as_deref(),
        Some("select pg_backend_pid()::bigint")
    );
    assert!((0..60).contains(&first.age_seconds.unwrap()), "{first:?}");
    // The service's own role is not told what the sessions of others run.
    let hidden = stage
        .journal
        .status()
        .await
        .unwrap()
        .hole
        .unwrap()
        .blocked_by;
    let hidden = hidden.unwrap();
    assert_eq!((hidden.pid, &hidden.database), (first.pid, &first.database));
    assert_eq!((hidden.query, hidden.age_seconds), (None, None));

    sql::run(&mut elsewhere, "rollback").await;
    sql::run(&mut writer, "prepare transaction 'forgotten'").await;
    let second = blocker().await.unwrap();
    assert_eq!(
        (second.pid, second.prepared.as_deref()),
        (None, Some("forgotten"))
    );
    assert!((0..60).contains(&second.age_seconds.unwrap()), "{second:?}");
    sql::run(&mut stage.owner, "rollback prepared 'forgotten'").await;
    assert_eq!(blocker().await, None, "only the late one is left");
    sql::run(&mut late, "rollback").await;
}

#[tokio::test]
async fn a_hole_that_a_dead_process_reported_goes_when_its_successor_passes() {
    let mut stage = Stage::quiet().await;
    let (mut writer, _) = writing(&stage, 1).await;
    append(&stage, 2).await;
    let mut dies = Feed::new(stage.journal.clone(), "reader");
    dies.read(0, ALL).await.unwrap();
    drop(dies);
    sql::run(&mut writer, "commit").await;
    assert_eq!(read(&stage).await, (vec![1, 2], None));
    assert!(sql::texts(&mut stage.owner, OPEN).await.is_empty());
}
