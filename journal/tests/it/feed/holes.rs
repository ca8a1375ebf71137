//! Holes: proved once for everybody, wherever they lie, and never silent.

use journal::feed::Feed;

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
    assert_eq!(i64::from(hole.blocked_by.unwrap().pid), writer_pid);
    assert_eq!((status.head, status.watermark), (2, 0));

    sql::run(&mut writer, "rollback").await;
    feed.read(0, ALL).await.unwrap();
    assert!(sql::texts(&mut stage.owner, OPEN).await.is_empty());
    let status = stage.journal.status().await.unwrap();
    assert_eq!((status.hole, status.watermark), (None, 2));
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
