//! The proof that a hole is dead: what proves it, and what only seems to.

use journal::feed::{Feed, Proof};
use journal::store::{Postgres, Store};

use super::{ALL, append, lose_a_position, positions, read, span, writing};
use crate::sql;
use crate::stage::Stage;

/// Whether a transaction id proves that nobody older lives.
async fn proves(stage: &Stage, x: &str) -> bool {
    let proof = Proof {
        x: x.to_owned(),
        ceiling: i64::MAX,
    };
    let store = Postgres::new(stage.journal.pool().clone());
    store.look(0, ALL, Some(&proof)).await.unwrap().proved
}

#[tokio::test]
async fn the_end_of_a_snapshot_is_no_proof_but_an_id_drawn_after_it_is() {
    let mut stage = Stage::quiet().await;
    // The one that commits has the lower id, so the snapshot ends below the one that lives.
    let mut ends = stage.session().await;
    sql::run(&mut ends, "begin; select pg_current_xact_id()").await;
    let (mut lives, _) = writing(&stage, 1).await;
    sql::insert_event(&mut ends, 2, 1).await;
    sql::run(&mut ends, "commit").await;

    let xmax = "select pg_snapshot_xmax(pg_current_snapshot())::text";
    let xmax = sql::text(&mut stage.owner, xmax).await;
    assert!(
        proves(&stage, &xmax).await,
        "the harm: dead, it says of one that lives"
    );
    let x = stage.journal.draw_x().await.unwrap();
    assert!(!proves(&stage, &x).await);
    assert_eq!(read(&stage).await, (vec![], Some(span(1, 1))));
    sql::run(&mut lives, "commit").await;
    assert!(proves(&stage, &x).await);
    assert_eq!(read(&stage).await, (vec![1, 2], None));
}

#[tokio::test]
async fn an_id_that_a_running_transaction_drew_earlier_is_no_proof() {
    let stage = Stage::quiet().await;
    let mut follower = stage.session().await;
    sql::run(&mut follower, "begin").await;
    let early = sql::text(&mut follower, "select pg_current_xact_id()::text").await;
    let (mut lives, _) = writing(&stage, 1).await;
    append(&stage, 2).await;

    let again = sql::text(&mut follower, "select pg_current_xact_id()::text").await;
    assert_eq!(
        again, early,
        "asked again, a transaction gives the id it has"
    );
    assert!(
        proves(&stage, &again).await,
        "the harm: dead, it says of one that lives"
    );
    let fresh = stage.journal.draw_x().await.unwrap();
    sql::run(&mut follower, "rollback").await;
    assert!(!proves(&stage, &fresh).await);
    sql::run(&mut lives, "rollback").await;
    assert!(proves(&stage, &fresh).await);
}

#[tokio::test]
async fn a_position_drawn_before_the_transaction_has_an_id_is_passed_over() {
    // Why `tx` stands before `position` in the table: this writer does it the other way round.
    let mut stage = Stage::quiet().await;
    append(&stage, 1).await;
    let mut wrong = stage.session().await;
    let draw = "select nextval(pg_get_serial_sequence('events', 'position'))";
    let has_id = "select count(pg_current_xact_id_if_assigned())";
    sql::run(&mut wrong, "begin").await;
    assert_eq!(sql::number(&mut wrong, draw).await, 2);
    assert_eq!(
        sql::number(&mut wrong, has_id).await,
        0,
        "nearly never does a number need an id"
    );
    append(&stage, 3).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    let page = feed.read(1, ALL).await.unwrap();
    assert_eq!(
        (positions(&page), page.position),
        (vec![3], 3),
        "the harm: its hole is taken for dead"
    );
    let late = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, position)
         overriding system value values ('Book', '2', 1, 'Booked', '1', '{}', '{}', 2); commit";
    sql::run(&mut wrong, late).await;
    assert_eq!(stage.events().await, 3);
    assert_eq!(positions(&feed.read(3, ALL).await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn a_transaction_that_only_reads_does_not_stand_in_the_way() {
    let stage = Stage::quiet().await;
    let mut reader = stage.session().await;
    sql::run(&mut reader, "begin; select count(*) from events").await;
    let mut repeatable = stage.session().await;
    let begin = "begin isolation level repeatable read; select count(*) from events";
    sql::run(&mut repeatable, begin).await;
    lose_a_position(&stage).await;
    append(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![2], None));
}

#[tokio::test]
async fn a_savepoint_that_rolled_back_lives_until_its_transaction_ends() {
    let stage = Stage::quiet().await;
    let mut session = stage.session().await;
    sql::run(&mut session, "begin; savepoint here").await;
    sql::insert_event(&mut session, 1, 1).await;
    append(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![], Some(span(1, 1))));
    sql::run(&mut session, "rollback to here").await;
    assert_eq!(read(&stage).await, (vec![], Some(span(1, 1))));
    sql::run(&mut session, "commit").await;
    assert_eq!(read(&stage).await, (vec![2], None));
}

#[tokio::test]
async fn a_prepared_transaction_lives_though_its_session_is_gone() {
    let mut stage = Stage::quiet().await;
    let (mut session, _) = writing(&stage, 1).await;
    sql::run(&mut session, "prepare transaction 'prepared'").await;
    drop(session);
    append(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![], Some(span(1, 1))));
    sql::run(&mut stage.owner, "commit prepared 'prepared'").await;
    assert_eq!(read(&stage).await, (vec![1, 2], None));
}

#[tokio::test]
async fn an_id_says_nothing_of_holes_that_came_after_it() {
    let stage = Stage::quiet().await;
    let (mut first, _) = writing(&stage, 1).await;
    append(&stage, 2).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    assert_eq!(
        feed.read(0, ALL).await.unwrap().hole,
        Some(span(1, 1)),
        "an id is drawn"
    );
    let (mut second, _) = writing(&stage, 3).await;
    append(&stage, 4).await;
    sql::run(&mut first, "rollback").await;

    let page = feed.read(0, ALL).await.unwrap();
    assert_eq!((positions(&page), page.hole), (vec![2], Some(span(3, 3))));
    assert!(positions(&feed.read(2, ALL).await.unwrap()).is_empty());
    sql::run(&mut second, "commit").await;
    assert_eq!(positions(&feed.read(2, ALL).await.unwrap()), [3, 4]);
}
