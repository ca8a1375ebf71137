//! Order: by position, which is the order of every stream, whatever commits first.

use journal::feed::{Feed, Item};

use super::{ALL, append, positions, read, span, writing};
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn a_lower_position_that_commits_later_is_not_lost() {
    let mut stage = Stage::quiet().await;
    let (mut slow, lower) = writing(&stage, 1).await;
    let higher = append(&stage, 2).await;
    assert!(lower < higher);

    let mut feed = Feed::new(stage.journal.clone(), "reader");
    let page = feed.read(0, ALL).await.unwrap();
    assert_eq!(
        (page.position, page.items.len(), page.hole),
        (0, 0, Some(span(1, 1)))
    );
    let naive = sql::numbers(
        &mut stage.owner,
        "select position from events where position > 0",
    )
    .await;
    sql::run(&mut slow, "commit").await;

    let page = feed.read(0, ALL).await.unwrap();
    assert_eq!(
        (positions(&page), page.position, page.hole),
        (vec![1, 2], 2, None)
    );
    let behind = format!("select position from events where position > {}", naive[0]);
    assert_eq!(
        (naive, sql::numbers(&mut stage.owner, &behind).await),
        (vec![2], vec![]),
        "the harm to a reader that goes by the highest position: the first event never comes"
    );
}

#[tokio::test]
async fn a_stream_is_read_in_its_own_order_whoever_had_a_transaction_id_first() {
    let mut stage = Stage::quiet().await;
    let mut early = stage.session().await;
    sql::run(&mut early, "begin; select pg_current_xact_id()").await;
    append(&stage, 7).await;
    sql::insert_event(&mut early, 7, 2).await;
    sql::run(&mut early, "commit").await;

    let page = Feed::new(stage.journal.clone(), "reader")
        .read(0, ALL)
        .await
        .unwrap();
    let events = page
        .items
        .into_iter()
        .flat_map(|item| item.into_events().unwrap());
    let sequences: Vec<_> = events.map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2]);
    let by_transaction = "select sequence from events order by tx, position";
    assert_eq!(
        sql::numbers(&mut stage.owner, by_transaction).await,
        [2, 1],
        "the harm of an order by transaction id: a stream turned round"
    );
}

#[tokio::test]
async fn a_writer_in_another_database_delays_only_while_a_hole_is_open() {
    let stage = Stage::quiet().await;
    let elsewhere = Stage::beside(&stage).await;
    let mut foreign = crate::stage::connect(&elsewhere).await;
    sql::run(&mut foreign, "begin; select pg_current_xact_id()").await;
    append(&stage, 1).await;
    assert_eq!(
        read(&stage).await,
        (vec![1], None),
        "no hole: delivered at once"
    );

    super::lose_a_position(&stage).await;
    append(&stage, 2).await;
    let mut feed = Feed::new(stage.journal.clone(), "reader");
    assert_eq!(feed.read(1, ALL).await.unwrap().hole, Some(span(2, 2)));
    sql::run(&mut foreign, "commit").await;
    assert_eq!(positions(&feed.read(1, ALL).await.unwrap()), [3]);
}

#[tokio::test]
async fn restored_rows_are_delivered_though_their_transactions_lie_in_the_future() {
    let mut stage = Stage::quiet().await;
    let restored = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, tx)
                    values ('Book', '1', 1, 'Booked', '1', '{}', '{}', '9000000000')";
    sql::run(&mut stage.owner, restored).await;
    append(&stage, 2).await;
    assert_eq!(read(&stage).await, (vec![1, 2], None));
    let behind_xmin =
        "select count(*) from events where tx < pg_snapshot_xmin(pg_current_snapshot())";
    assert_eq!(
        stage.number(behind_xmin).await,
        1,
        "the harm of a filter by transaction id"
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_shown_in_its_place() {
    let mut stage = Stage::quiet().await;
    append(&stage, 1).await;
    for (aggregate_type, event_type, metadata) in [
        ("Book", "Booked", "{}"),
        (
            "Kitchen",
            "Cooked",
            r#"{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system"}"#,
        ),
        (
            "Book",
            "Booked",
            r#"{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system"}"#,
        ),
    ] {
        let unreadable = format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
             values ('{aggregate_type}', '9', nextval('book_ids'), '{event_type}', '1', '{{}}', '{metadata}')"
        );
        sql::run(&mut stage.owner, &unreadable).await;
    }
    append(&stage, 2).await;
    let page = Feed::new(stage.journal.clone(), "reader")
        .read(0, ALL)
        .await
        .unwrap();
    assert_eq!(positions(&page), [1, 2, 3, 4, 5]);
    let reasons = page.items.iter().filter_map(|item| match item {
        Item::Events { .. } => None,
        Item::Unreadable(event) => {
            Some((event.stream.aggregate_id.as_str(), event.reason.as_str()))
        }
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|(key, _)| *key == "9"));
    assert!(reasons[0].1.contains("occurred_at"), "{reasons:?}");
    assert!(reasons[1].1.contains("Kitchen"), "{reasons:?}");
    assert!(reasons[2].1.contains("cannot be read"), "{reasons:?}");
}

#[tokio::test]
async fn what_is_delivered_says_everything_that_was_stored() {
    let mut stage = Stage::quiet().await;
    append(&stage, 7).await;
    let page = Feed::new(stage.journal.clone(), "reader")
        .read(0, ALL)
        .await
        .unwrap();
    let [Item::Events { events, .. }] = &page.items[..] else {
        panic!("{page:?}");
    };
    let [event] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((event.position, event.sequence, event.key()), (1, 1, "7"));
    assert_eq!(event.event_type, "Booked");
    assert_eq!(event.command_id, crate::samples::id(7));
    assert_eq!(event.metadata, crate::samples::metadata());
    let id = "select event_id::text from events";
    assert_eq!(
        sql::text(&mut stage.owner, id).await,
        event.event_id.to_string()
    );
    assert_eq!(stage.journal.head().await.unwrap(), 1);
}
