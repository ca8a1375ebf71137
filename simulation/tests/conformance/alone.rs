//! What only Postgres can show.

use futures::StreamExt;
use journal::Journal;
use journal::append::Outcome;
use journal::feed::{Feed, Item, Span};
use journal::follow::{Checkpoints, FollowerId, InDatabase, Slice};
use journal::runtime::{SystemClock, SystemRandom};
use journal::schema::{self, SchemaError};
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;

use crate::on_postgres::{OnPostgres, connect, play, run};
use crate::samples::{Compose, booked, command};
use crate::stage::Stage;

/// As much as there is.
const ALL: i64 = 1_000;

async fn positions(feed: &mut Feed, after: i64) -> (Vec<i64>, Option<Span>) {
    let page = feed.read(after, ALL).await.unwrap();
    (page.items.iter().map(Item::position).collect(), page.hole)
}

#[test]
fn a_sequence_that_was_set_back_is_refused_at_start() {
    play(async |stage| {
        schema::check(stage.pool()).await.unwrap();
        stage.stored(command(1).to("Book", 7, 0, 5)).await;
        schema::check(stage.pool()).await.unwrap();
        for (set, next) in [
            ("3, true", 4),
            ("4, true", 5),
            ("5, false", 5),
            ("1, false", 1),
        ] {
            stage
                .run(&format!("select setval('events_position_seq', {set})"))
                .await;
            let refused = schema::check(stage.pool()).await.unwrap_err();
            assert!(
                matches!(refused, SchemaError::SetBack { next: drawn, last: 5 } if drawn == next),
                "{set}: {refused}"
            );
            let line = refused.to_string();
            assert!(
                !line.contains('\n') && line.contains("select setval('events_position_seq', 5)"),
                "{line}"
            );
        }
        // What the message says helps.
        stage.run("select setval('events_position_seq', 5)").await;
        schema::check(stage.pool()).await.unwrap();
        assert_eq!(stage.stored(booked(2, 8)).await, 6);
    });
}

#[test]
fn the_sequence_is_not_taken_for_set_back_while_others_append() {
    play(async |stage| {
        let journal = stage.journal();
        let appends = async {
            for number in 1..=150 {
                journal
                    .append(vec![booked(number, i64::try_from(number).unwrap())])
                    .await
                    .remove(0)
                    .unwrap();
            }
        };
        let checks = async {
            for _ in 0..40 {
                schema::check(stage.pool()).await.unwrap();
            }
        };
        futures::join!(appends, checks);
    });
}

#[test]
fn a_login_that_may_not_see_the_sequence_is_not_kept_out() {
    play(async |stage| {
        stage
            .run("revoke select on sequence events_position_seq from spacerent_runtime")
            .await;
        schema::check(stage.pool()).await.unwrap();
    });
}

#[test]
fn a_prepared_transaction_lives_through_a_crash() {
    play(async |stage| {
        let mut session = connect(stage.url()).await;
        run(&mut session, "begin").await;
        insert(&mut session, 1).await;
        run(&mut session, "prepare transaction 'here'").await;
        insert_and_prepare_another(&mut session).await;
        stage.stored(booked(3, 3)).await;
        stage.crash().await;
        let last = stage.stored(booked(4, 4)).await;
        let mut feed = Feed::new(stage.journal(), "reader");
        for _ in 0..3 {
            assert_eq!(
                positions(&mut feed, 0).await,
                (vec![], Some(Span { first: 1, last: 2 }))
            );
        }
        stage.run("rollback prepared 'and there'").await;
        assert_eq!(
            positions(&mut feed, 0).await.0,
            [0; 0],
            "the other one may own it still"
        );
        stage.run("commit prepared 'here'").await;
        let mut delivered = positions(&mut feed, 0).await.0;
        while delivered.last() != Some(&last) {
            let more = positions(&mut feed, *delivered.last().unwrap()).await.0;
            delivered.extend(more);
        }
        assert_eq!(delivered, [1, 3, last]);
    });
}

async fn insert_and_prepare_another(session: &mut PgConnection) {
    run(session, "begin").await;
    insert(session, 2).await;
    run(session, "prepare transaction 'and there'").await;
}

/// Inserts the first event of a booking past `journal_append`.
async fn insert(session: &mut PgConnection, key: i64) {
    let metadata =
        r#"{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system", "correlation_id": "j"}"#;
    run(
        session,
        &format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             values ('Book', '{key}', 1, 'Unheard', '1', '{{}}', '{metadata}')"
        ),
    )
    .await;
}

/// Tables and sequences of the program, as a dump has them; not what a stage adds, nor what is noted of migrations.
const TABLES: &str = "select relname::text from pg_class
                      where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not like '\\_sqlx%'";
const SEQUENCES: &str = "select relname::text from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace";

async fn names(session: &mut PgConnection, query: &str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(session).await.unwrap()
}

/// Moves rows as a dump and its restore do, ids of transactions and all.
async fn restore(from: &mut PgConnection, to: &mut PgConnection) {
    // As for a restore of data: no trigger fires.
    run(to, "set session_replication_role = replica").await;
    for table in names(to, TABLES).await {
        let copied = from.copy_out_raw(&format!("copy {table} to stdout")).await;
        let mut out = copied.unwrap();
        let mut rows = vec![];
        while let Some(part) = out.next().await {
            rows.extend_from_slice(&part.unwrap());
        }
        drop(out);
        run(to, &format!("delete from {table}")).await;
        let copied = to.copy_in_raw(&format!("copy {table} from stdin")).await;
        let mut into = copied.unwrap();
        into.send(rows).await.unwrap();
        into.finish().await.unwrap();
    }
    for sequence in names(to, SEQUENCES).await {
        let next = number(from, &format!("select last_value from {sequence}")).await;
        run(to, &format!("select setval('{sequence}', {next})")).await;
    }
    run(to, "reset session_replication_role").await;
}

async fn number(session: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(query).fetch_one(session).await.unwrap()
}

/// A journal that lived on a server whose ids are far ahead, with everything that a proof leaves behind.
async fn an_old_journal(stage: &OnPostgres) -> (Journal, i64) {
    stage
        .run("do $$ begin for i in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end $$")
        .await;
    stage.stored(booked(1, 1)).await;
    stage.rolled_back(booked(2, 2)).await;
    stage.stored(booked(3, 3)).await;
    let mut feed = Feed::new(stage.journal(), "reader");
    assert_eq!(positions(&mut feed, 0).await.0, [1]);
    assert_eq!(positions(&mut feed, 1).await, (vec![3], None));
    // A hold whose reader died, and a checkpoint.
    stage
        .run(
            "insert into open_holes (follower, first_position, last_position, proof)
              select 'reader', 2, 2, pg_current_xact_id()",
        )
        .await;
    let checkpoints = stage.checkpoints("a");
    let lease = checkpoints.hold().await.unwrap().unwrap();
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    assert!(checkpoints.advance(&mut tx, lease, 3).await.unwrap());
    checkpoints.commit(tx).await.unwrap();
    checkpoints.release(lease).await.unwrap();
    a_cut_saga(stage).await;
    (stage.journal(), lease.epoch)
}

/// A follower in three slices, of which one knows a booking that people gave up.
async fn a_cut_saga(stage: &OnPostgres) {
    let whole = stage.checkpoints("saga");
    let lease = whole.hold().await.unwrap().unwrap();
    let mut session = whole.session().await.unwrap();
    let mut tx = whole.begin(&mut session).await.unwrap();
    assert!(whole.advance(&mut tx, lease, 3).await.unwrap());
    whole.commit(tx).await.unwrap();
    stage.cut("saga", 3).await;
    stage
        .run(
            "insert into parked (name, generation, position, key, event_type, event_version, reason)
             values ('saga', 1, 3, '3', 'Booked', '1', 'it makes no sense');
             select parked_discard('saga', 1, '3', false, 'somebody', 'it never will')",
        )
        .await;
}

/// The cut is there, and what people decided.
async fn is_cut_still(journal: &Journal) {
    let id = || FollowerId::new("saga", 1);
    let whole = InDatabase::new(journal.clone(), id());
    assert_eq!(whole.hold().await.unwrap(), None, "it was cut");
    let of_another_cut = Slice::each_of(2).next().unwrap();
    let other = InDatabase::of_slice(journal.clone(), id(), of_another_cut);
    assert_eq!(other.hold().await.unwrap(), None, "it was cut otherwise");
    for slice in Slice::each_of(3) {
        let checkpoints = InDatabase::of_slice(journal.clone(), id(), slice);
        let lease = checkpoints.hold().await.unwrap().unwrap();
        assert_eq!(lease.position, 3);
        let given_up = checkpoints.dealt_with(0).await.unwrap();
        let expected = slice.holds("3").then(|| ("3".to_owned(), 3));
        assert_eq!(given_up, Vec::from_iter(expected), "{}", slice.number());
    }
}

/// Ids of transactions begin anew there: what was proved by ids of the old server must neither hold anything up nor
/// prove anything.
#[test]
fn a_journal_in_a_fresh_cluster_goes_on_with_ids_that_begin_anew() {
    play(async |stage| {
        let (_, epoch) = an_old_journal(stage).await;
        let cluster = Cluster::start(Profile::Disposable).await.unwrap();
        let url = cluster.url("postgres");
        schema::migrate(&url).await.unwrap();
        let mut owner = connect(&url).await;
        restore(&mut connect(stage.url()).await, &mut owner).await;
        let ahead = "select count(*) from events where tx > pg_current_xact_id()";
        assert_eq!(
            number(&mut owner, ahead).await,
            2,
            "the old ids are far ahead"
        );
        let pool = schema::connect(&url, 4).unwrap();
        schema::check(&pool).await.unwrap();
        let journal = Journal::new(pool.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));

        let mut feed = Feed::new(journal.clone(), "reader");
        assert_eq!(
            positions(&mut feed, 0).await,
            (vec![1, 3], None),
            "what was proved stays so"
        );
        assert_eq!(
            number(&mut owner, "select count(*) from open_holes").await,
            0,
            "nobody holds"
        );
        let again = journal.append(vec![booked(1, 1)]).await.remove(0);
        assert!(matches!(again, Ok(Outcome::Already(_))), "{again:?}");

        // A writer with a low id is waited for, though every row beside it has a high one.
        let mut late = connect(&url).await;
        run(&mut late, "begin").await;
        insert(&mut late, 4).await;
        let outcome = journal.append(vec![booked(5, 5)]).await.remove(0);
        assert!(matches!(outcome, Ok(Outcome::Stored(answer)) if answer.position == 5));
        for _ in 0..3 {
            assert_eq!(
                positions(&mut feed, 3).await,
                (vec![], Some(Span { first: 4, last: 4 }))
            );
        }
        run(&mut late, "commit").await;
        assert_eq!(positions(&mut feed, 3).await, (vec![4, 5], None));
        run(&mut late, "begin").await;
        insert(&mut late, 6).await;
        run(&mut late, "rollback").await;
        journal.append(vec![booked(7, 7)]).await.remove(0).unwrap();
        assert_eq!(
            positions(&mut feed, 5).await,
            (vec![7], None),
            "one with a low id is proved dead"
        );

        is_cut_still(&journal).await;
        let checkpoints = InDatabase::new(journal, FollowerId::new("a", 1));
        let lease = checkpoints.hold().await.unwrap().unwrap();
        assert_eq!((lease.position, lease.epoch), (3, epoch + 1));
        pool.close().await;
        owner.close().await.unwrap();
    });
}
