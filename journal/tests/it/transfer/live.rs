//! Exports of a journal that is being written to.

use domain::ports::Random;
use futures::future::join_all;
use journal::runtime::SystemRandom;
use journal::transfer::{Target, TransferError};
use serde_json::Value;

use super::desk::{Hasty, events, export, export_to, folder, import};
use crate::sql;
use crate::stage::Stage;

const WRITERS: i64 = 6;
const TRANSACTIONS: i64 = 30;

/// Writes one to three events a transaction, and rolls every fourth back.
async fn write(stage: &Stage, writer: i64) {
    let mut session = stage.session().await;
    for transaction in 0..TRANSACTIONS {
        let key = writer * TRANSACTIONS + transaction + 1;
        sql::run(&mut session, "begin").await;
        for sequence in 1..=1 + i64::try_from(SystemRandom.below(3)).unwrap() {
            sql::insert_event(&mut session, key, sequence).await;
        }
        let end = if SystemRandom.below(4) == 0 {
            "rollback"
        } else {
            "commit"
        };
        sql::run(&mut session, end).await;
    }
}

fn positions(text: &str) -> Vec<i64> {
    let position = |line: &&str| {
        serde_json::from_str::<Value>(line).unwrap()["position"]
            .as_i64()
            .unwrap()
    };
    events(text).iter().map(position).collect()
}

#[tokio::test]
async fn an_export_beside_writers_passes_over_nothing() {
    let mut stage = Stage::quiet().await;
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    {
        let mut storm = std::pin::pin!(join_all((0..WRITERS).map(|writer| write(&stage, writer))));
        loop {
            tokio::select! {
                biased;
                _ = &mut storm => break,
                exported = export_to(&stage, &path) => {
                    exported.unwrap();
                }
            }
            // Whatever is in the file is everything up to its end, at this moment and for ever.
            let text = std::fs::read_to_string(&path).unwrap();
            let last = positions(&text).last().copied().unwrap_or(0);
            let mut session = stage.session().await;
            let query = format!("select position from events where position <= {last} order by 1");
            assert_eq!(positions(&text), sql::numbers(&mut session, &query).await);
        }
    }
    export_to(&stage, &path).await.unwrap();
    let stored = sql::numbers(&mut stage.owner, "select position from events order by 1").await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(positions(&text), stored);
    let other = Stage::open().await;
    super::desk::import_text(&import(&other), &text)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_export_does_not_pass_a_transaction_that_has_not_ended() {
    let mut stage = Stage::quiet().await;
    sql::insert_event(&mut stage.owner, 1, 1).await;
    let mut open = stage.session().await;
    sql::run(&mut open, "begin").await;
    sql::insert_event(&mut open, 2, 1).await;
    sql::insert_event(&mut stage.owner, 3, 1).await;
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    let mut hasty = export(&stage);
    hasty.runtime = &Hasty;
    let error = hasty.run(Target::File(path.clone())).await.unwrap_err();
    assert!(
        matches!(error, TransferError::Hole { first: 2, last: 2 }),
        "{error}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(positions(&text), [1], "{text}");
    assert!(!text.contains("footer"));
    sql::run(&mut open, "commit").await;
    export_to(&stage, &path).await.unwrap();
    assert_eq!(
        positions(&std::fs::read_to_string(&path).unwrap()),
        [1, 2, 3]
    );
}

#[tokio::test]
async fn a_reader_who_leaves_is_no_success() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let stage = Stage::open().await;
    let error = export(&stage)
        .run(Target::Stream(Box::new(Gone)))
        .await
        .unwrap_err();
    assert!(matches!(error, TransferError::ReaderGone), "{error}");
}
