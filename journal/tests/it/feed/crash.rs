//! A crash of the server makes positions jump; the feed goes on.

use journal::append::Outcome;
use journal::feed::Feed;
use journal::schema;
use local_postgres::Profile;
use local_postgres::testing::Cluster;

use super::{ALL, positions};
use crate::samples::booked;
use crate::sql;
use crate::stage::{append_one, connect, journal};

#[tokio::test]
async fn positions_that_a_crash_skipped_are_a_dead_span() {
    let mut cluster = Cluster::start(Profile::Durable).await.unwrap();
    let url = cluster.url("postgres");
    schema::migrate(&url).await.unwrap();
    let journal = journal(&url);
    append_one(&journal, booked(1, 1)).await.unwrap();

    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();
    let outcome = append_one(&journal, booked(2, 2)).await.unwrap();
    let Outcome::Stored(answer) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(answer.position > 2, "positions jump: {}", answer.position);

    let mut feed = Feed::new(journal.clone(), "reader");
    let page = feed.read(0, ALL).await.unwrap();
    assert_eq!(positions(&page), [1], "what is there goes out");
    let page = feed.read(1, ALL).await.unwrap();
    assert_eq!((positions(&page), page.hole), (vec![answer.position], None));
    let mut owner = connect(&url).await;
    let span = "select first_position || '-' || last_position from dead_spans";
    let expected = format!("2-{}", answer.position - 1);
    assert_eq!(sql::text(&mut owner, span).await, expected);
    let again = append_one(&journal, booked(1, 1)).await.unwrap();
    assert!(matches!(again, Outcome::Already(answer) if answer.position == 1));
}
