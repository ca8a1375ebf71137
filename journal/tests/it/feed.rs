//! Reading everything in order: nothing is passed over, nothing is held for longer than it must be.
//!
//! Transaction ids are the server's, so these tests have a server to themselves, one at a time.

mod crash;
mod holes;
mod observer;
mod order;
mod proof;
mod storm;

use journal::feed::{Feed, Item, Page, Span};

use crate::sql;
use crate::stage::Stage;

/// As much as there is.
const ALL: i64 = 1_000;

/// The positions of a page.
fn positions(page: &Page) -> Vec<i64> {
    page.items.iter().map(Item::position).collect()
}

/// What a reader who begins at the beginning gets in one read.
async fn read(stage: &Stage) -> (Vec<i64>, Option<Span>) {
    let page = Feed::new(stage.journal.clone(), "reader")
        .read(0, ALL)
        .await
        .unwrap();
    (positions(&page), page.hole)
}

fn span(first: i64, last: i64) -> Span {
    Span { first, last }
}

/// Appends the first event of booking `key`; its position.
async fn append(stage: &Stage, key: i64) -> i64 {
    let command = crate::samples::booked(key.unsigned_abs().into(), key);
    match stage.append(command).await.unwrap() {
        journal::append::Outcome::Stored(answer) => answer.position,
        other => panic!("{other:?}"),
    }
}

/// A session with an open transaction that has inserted the first event of booking `key`.
async fn writing(stage: &Stage, key: i64) -> (sqlx::PgConnection, i64) {
    let mut session = stage.session().await;
    sql::run(&mut session, "begin").await;
    let position = sql::insert_event(&mut session, key, 1).await;
    (session, position)
}

/// Draws a position and rolls back.
async fn lose_a_position(stage: &Stage) -> i64 {
    let (mut session, position) = writing(stage, 999).await;
    sql::run(&mut session, "rollback").await;
    position
}
