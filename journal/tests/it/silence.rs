//! A database that says nothing: connections that stay open and answer nothing any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::book::Book;
use futures::future::BoxFuture;
use journal::connections::{ACQUIRE_MAX, STATEMENT_MAX, TRANSACTION_MAX};
use journal::recover::Decision;
use journal::runtime::{Runtime, Tokio};
use journal::{Journal, StoreError, Wake, notify, schema};
use local_postgres::testing::timeout;
use tokio_util::sync::CancellationToken;

use crate::force::{until, within};
use crate::proxy::Proxy;
use crate::sql;
use crate::stage::{Stage, journal_over};

/// What a bound may be missed by on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

/// Its only connection is made, used, and given back.
async fn connected(journal: &Journal) {
    journal.head().await.unwrap();
    until("it is given back", async || {
        journal.pool().pool().num_idle() == 1
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_is_never_answered_ends_in_time_and_the_next_one_has_another_connection() {
    let stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    connected(&journal).await;
    proxy.silence();
    let ended = timeout(STATEMENT_MAX + SLACK, journal.head()).await;
    let error = ended.expect("it waits for ever").unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    journal.head().await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn an_abandoned_connection_that_says_nothing_is_replaced() {
    let stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    connected(&journal).await;
    proxy.silence();
    let abandoned = timeout(Duration::from_millis(50), journal.head()).await;
    assert!(abandoned.is_err(), "it was answered");
    let began = local_postgres::testing::stopwatch();
    journal.head().await.unwrap();
    assert!(began.elapsed() < ACQUIRE_MAX, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_abandoned_connection_that_answers_is_kept() {
    let stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    let asking = sqlx::query("select pg_sleep(0.3)").execute(journal.pool());
    let abandoned = timeout(Duration::from_millis(100), asking).await;
    assert!(abandoned.is_err(), "it was answered");
    journal.head().await.unwrap();
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_load_that_is_never_answered_ends_in_time() {
    let stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    connected(&journal).await;
    proxy.silence();
    let ended = timeout(STATEMENT_MAX + SLACK, journal.load::<Book>(7)).await;
    let error = ended.expect("it waits for ever").unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
}

/// People decide through commands of the program, and nobody else bounds those.
#[tokio::test]
async fn a_decision_that_is_never_answered_ends_in_time() {
    let stage = Stage::open().await;
    let decision = Decision {
        by: "ann",
        reason: "looked",
    };
    let said = HashMap::new();
    let silent = async || {
        let proxy = Proxy::before(stage.url());
        let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
        connected(&journal).await;
        proxy.silence();
        (journal, proxy)
    };
    let ((alone, _one), (recorded, _other)) = (silent().await, silent().await);
    let nothing = async { Ok::<_, StoreError>(()) };
    let (alone, recorded) = tokio::join!(
        timeout(STATEMENT_MAX + SLACK, alone.retry_job(1, &decision, &said)),
        timeout(
            TRANSACTION_MAX + SLACK,
            recorded.resolve_job_recorded(1, &decision, &said, nothing)
        )
    );
    for ended in [alone, recorded] {
        let error = ended.expect("it waits for ever").unwrap_err();
        assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    }
}

/// Sleeps a thousandth of what it is asked to.
struct Hasty;

impl Runtime for Hasty {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Tokio.sleep(duration / 1_000)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}

#[tokio::test]
async fn a_listener_whose_line_went_silent_listens_again() {
    let mut stage = Stage::open().await;
    let proxy = Proxy::before(stage.url());
    let journal = journal_over(schema::connect(&proxy.url(), 1).unwrap());
    let stop = CancellationToken::new();
    let test = async {
        let mut woken = journal.wake();
        hears(&mut stage, &mut woken).await;
        proxy.silence();
        let again = async {
            while proxy.accepted() == 1 {
                tokio::task::yield_now().await;
            }
        };
        let ended = timeout(STATEMENT_MAX + SLACK, again).await;
        ended.expect("it waits for ever");
        hears(&mut stage, &mut woken).await;
        stop.cancel();
    };
    tokio::join!(
        notify::run(journal.clone(), Arc::new(Hasty), stop.clone()),
        test
    );
}

/// Says something until it is heard.
async fn hears(stage: &mut Stage, woken: &mut Wake) {
    let heard = async {
        loop {
            sql::run(&mut stage.owner, "notify spacerent_appended, 'somebody'").await;
            let heard = timeout(Duration::from_millis(50), woken.woken()).await;
            if heard.is_ok() {
                return;
            }
        }
    };
    within("it hears", heard).await;
}
