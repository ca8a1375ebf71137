//! Many writers, half of whose transactions roll back, and a reader that must see the rest, in order, once.

use domain::ports::Random;
use futures::future::join_all;
use journal::feed::Feed;
use journal::runtime::SystemRandom;

use super::positions;
use crate::force::until;
use crate::sql;
use crate::stage::Stage;

const WRITERS: i64 = 8;
const TRANSACTIONS: i64 = 25;

/// Writes one to three events a transaction, and rolls some back at once, some later, some in part.
async fn write(stage: &Stage, writer: i64) {
    let mut session = stage.session().await;
    for transaction in 0..TRANSACTIONS {
        let key = writer * TRANSACTIONS + transaction;
        sql::run(&mut session, "begin").await;
        for sequence in 1..=1 + i64::try_from(SystemRandom.below(3)).unwrap() {
            sql::insert_event(&mut session, key, sequence).await;
        }
        let end = match SystemRandom.below(4) {
            0 => "rollback",
            1 => {
                "savepoint here; select nextval(pg_get_serial_sequence('events', 'position')); rollback to here; commit"
            }
            _ => "commit",
        };
        sql::run(&mut session, end).await;
    }
}

#[tokio::test]
async fn a_storm_of_commits_and_rollbacks_is_read_whole_and_in_order() {
    let mut stage = Stage::quiet().await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    let (mut position, mut delivered) = (0, vec![]);
    let mut read = async |feed: &mut Feed| {
        let page = feed.read(position, 7).await.unwrap();
        position = page.position;
        delivered.extend(positions(&page));
        position
    };
    {
        let mut storm = std::pin::pin!(join_all((0..WRITERS).map(|writer| write(&stage, writer))));
        loop {
            tokio::select! {
                biased;
                _ = &mut storm => break,
                _ = read(&mut feed) => {}
            }
        }
    }
    let head = stage.journal.head().await.unwrap();
    until("everything is read", async || read(&mut feed).await == head).await;
    let stored = sql::numbers(&mut stage.owner, "select position from events order by 1").await;
    assert_eq!(delivered, stored);
    assert!(
        stage.number("select count(*) from dead_spans").await > 0,
        "there were holes"
    );
}
