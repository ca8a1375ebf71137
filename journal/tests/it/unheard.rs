//! Answers of the database that this version does not know, or that are too few: never taken for others.

use journal::StoreError;
use journal::append::Outcome;
use journal::keys::{Begun, Kept, Key, Keyed};
use journal::venues::Changed;

use crate::samples::{bookings, id};
use crate::stage::Stage;
use crate::venues::{change, define, numberone};

const REQUEST: Keyed = Keyed {
    key: Key {
        principal: "ann",
        text: "8e03978e",
    },
    method: "POST",
    path: "/books",
    fingerprint: b"a digest",
    command_id: id(1),
};
/// Longer than any test.
const LOCK_MS: i32 = 600_000;

#[track_caller]
fn is_newer<T: std::fmt::Debug>(answer: Result<T, StoreError>, word: &str) {
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, StoreError::Newer(why) if why.contains(word)),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_is_no_conflict() {
    let mut stage = Stage::open().await;
    stage
        .rewrite("journal_append", |body| {
            body.replace("select o, outcomes[o],", "select o, 'postponed',")
        })
        .await;
    for answer in stage.journal.append(bookings(2)).await {
        is_newer(answer, "postponed");
    }
}

#[tokio::test]
async fn an_answer_that_is_missing_is_an_error_in_its_place() {
    let mut stage = Stage::open().await;
    stage
        .rewrite("journal_append", |body| {
            body.replace(
                "new_answers[o]) from generate_series(1, total) o",
                "new_answers[o]) from generate_series(2, total) o",
            )
        })
        .await;
    let answers = stage.journal.append(bookings(3)).await;
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Incomplete(_)), "{error:?}");
    }
    // It had happened, and is known by its id.
    stage
        .rewrite("journal_append", |body| {
            body.replace(
                "new_answers[o]) from generate_series(2, total) o",
                "new_answers[o]) from generate_series(1, total) o",
            )
        })
        .await;
    for answer in stage.journal.append(bookings(3)).await {
        assert!(matches!(answer, Ok(Outcome::Already(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn what_became_of_a_venue_is_not_guessed() {
    let mut stage = Stage::open().await;
    define(&stage, "numberone", 1).await;
    let same = numberone(&stage).await.venue.definition().clone();
    let exists = stage.journal.save_venue(&same, true, &change(None)).await;
    assert_eq!(exists.unwrap(), Changed::Exists { version: 1 });
    stage
        .rewrite("venue_save", |body| body.replace("'exists'", "'reserved'"))
        .await;
    let unheard = stage.journal.save_venue(&same, true, &change(None)).await;
    is_newer(unheard, "reserved");
}

#[tokio::test]
async fn what_is_known_of_a_key_is_not_guessed() {
    let mut stage = Stage::open().await;
    let journal = stage.journal.clone();
    let begin = async |request: &Keyed<'_>| journal.begin_keyed(request, LOCK_MS).await;
    let mine = Begun::Mine {
        attempt: 1,
        command_id: Some(id(1)),
    };
    assert_eq!(begin(&REQUEST).await.unwrap(), mine);
    assert_eq!(begin(&REQUEST).await.unwrap(), Begun::InProgress);
    let other = Keyed {
        path: "/venues",
        ..REQUEST
    };
    assert_eq!(begin(&other).await.unwrap(), Begun::Reused);
    let kept = Kept {
        status: 201,
        headers: vec![("location".to_owned(), "/books/1".to_owned())],
        body: b"{}".to_vec(),
    };
    journal.keep_answer(REQUEST.key, 1, &kept).await.unwrap();
    assert_eq!(begin(&REQUEST).await.unwrap(), Begun::Answered(kept));
    stage
        .rewrite("idempotency_begin", |body| {
            body.replace("'done'", "'moved'")
                .replace("'other'", "'lent'")
        })
        .await;
    is_newer(begin(&REQUEST).await, "moved");
    is_newer(begin(&other).await, "lent");
}
