//! A journal with a past: what was written in other shapes is loaded, fed and parked in the words of today.
//!
//! The table is the worked example of docs/changing-events.md; rows of older days are written by SQL.

use cqrs_es::{CqrsFramework, EventStore};
use domain::book::{Book, Stage as BookStage};
use domain::payment::{self, Payment};
use domain::{BookId, Command, Event};
use journal::feed::{Feed, Item};
use journal::{CommandError, Done, Journal, Recorded, StoreError};
use serde_json::{Value, json};

use crate::samples::{cancel, defer, metadata, place, request, request_payment};
use crate::sql;
use crate::stage::Stage;

#[allow(
    dead_code,
    missing_docs,
    reason = "it is shown in the docs as it stands"
)]
#[path = "../../../domain/tests/versions/example.rs"]
mod example;

/// The journal of a program with a past.
pub(crate) fn upgraded(stage: &Stage) -> Journal {
    stage.journal.clone().with_events(example::EXAMPLE)
}

/// A row of older days, or of days to come: aggregate, name, version and what it says.
pub(crate) type Row<'a> = (&'a str, &'a str, &'a str, Value);

pub(crate) fn booked_1(key: i64) -> Row<'static> {
    let payload = json!({"type": "Booked", "bookid": key, "userid": 7, "room": "numberone", "status": "booking",
                         "price": 10_000});
    ("Book", "Booked", "1", payload)
}

pub(crate) fn viewed(key: i64) -> Row<'static> {
    let payload = json!({"type": "BookingViewed", "bookid": key, "by": "Kim"});
    ("Book", "BookingViewed", "1", payload)
}

pub(crate) fn paid(key: i64) -> Row<'static> {
    let payload = json!({"type": "Paid", "payid": key, "bookid": key, "userid": 7, "status": "success-pay",
                         "spacename": "numberone", "amount": 10_000, "currency": "KRW", "charge_no": 1,
                         "gateway_ref": "pi_7", "points": 100});
    ("Payment", "Paid", "1", payload)
}

/// Writes a row behind what its stream has; its position.
pub(crate) async fn write(stage: &mut Stage, key: i64, row: &Row<'_>) -> i64 {
    let (aggregate_type, event_type, event_version, payload) = row;
    sqlx::query_scalar(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select $1, $2, 1 + count(*), $3, $4, $5, $6 from events where aggregate_type = $1 and aggregate_id = $2
         returning position",
    )
    .bind(aggregate_type)
    .bind(key.to_string())
    .bind(event_type)
    .bind(event_version)
    .bind(payload)
    .bind(serde_json::to_value(metadata().to_map()).unwrap())
    .fetch_one(&mut stage.owner)
    .await
    .unwrap()
}

/// Name and version of every row, in order.
async fn stored(stage: &mut Stage) -> Vec<String> {
    let names = "select event_type || ' ' || event_version from events order by position";
    sql::texts(&mut stage.owner, names).await
}

#[tokio::test]
async fn what_is_written_has_the_version_of_the_table() {
    let mut stage = Stage::open().await;
    let both = request(1, vec![place(7), request_payment(7)]);
    upgraded(&stage).execute_one(both.clone()).await.unwrap();
    let Command::Book(_, by_framework) = place(8) else {
        unreachable!()
    };
    CqrsFramework::new(upgraded(&stage).store::<Book>(), vec![], ())
        .execute_with_metadata("8", by_framework, metadata().to_map())
        .await
        .unwrap();
    assert_eq!(
        stored(&mut stage).await,
        ["Booked 3", "PaymentRequested 1", "Booked 3"]
    );
}

#[tokio::test]
async fn a_stream_whose_last_row_means_nothing_takes_commands() {
    let mut stage = Stage::open().await;
    write(&mut stage, 7, &booked_1(7)).await;
    write(&mut stage, 7, &viewed(7)).await;
    let journal = upgraded(&stage);
    let (book, version) = journal.load::<Book>(7).await.unwrap().unwrap();
    assert_eq!((book.stage, version), (BookStage::Placed, 2));
    assert_eq!(book.spacename(), "numberone");
    let context = journal.store::<Book>().load_aggregate("7").await.unwrap();
    assert_eq!((context.current_sequence, context.aggregate), (2, book));

    // A read model has seen version 1; the stream is at 2, and either is it.
    for (command, versions, is_it) in [(1, vec![1], true), (2, vec![3], true), (3, vec![2], false)]
    {
        let answer = journal
            .execute_at(request(command, vec![defer(7)]), versions)
            .await;
        match answer {
            Ok(done) => assert!(is_it && matches!(done, Done::Stored(_)), "{done:?}"),
            Err(error) => assert!(
                !is_it && matches!(error, CommandError::OtherVersion { current: 4 }),
                "{error:?}"
            ),
        }
    }
    assert_eq!(stage.book(7).await, [1, 2, 3, 4]);

    write(&mut stage, 7, &viewed(7)).await;
    let Command::Book(_, cancel) = cancel(7) else {
        unreachable!()
    };
    CqrsFramework::new(journal.store::<Book>(), vec![], ())
        .execute_with_metadata("7", cancel, metadata().to_map())
        .await
        .unwrap();
    assert_eq!(stage.book(7).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_stream_in_which_nothing_means_anything_can_begin() {
    let mut stage = Stage::open().await;
    write(&mut stage, 7, &viewed(7)).await;
    let journal = upgraded(&stage);
    let (book, version) = journal.load::<Book>(7).await.unwrap().unwrap();
    assert_eq!((book, version), (Book::default(), 1));
    assert!(journal.history::<Book>(7).await.unwrap().is_none());
    let done = journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    assert_eq!(done.answer().version_of("Book"), Some(2));
    assert_eq!(stored(&mut stage).await, ["BookingViewed 1", "Booked 3"]);
}

#[tokio::test]
async fn a_stream_whose_last_row_was_split_takes_commands_and_its_parts_are_alike() {
    let mut stage = Stage::open().await;
    let journal = upgraded(&stage);
    journal
        .execute_one(request(1, vec![request_payment(7)]))
        .await
        .unwrap();
    write(&mut stage, 7, &paid(7)).await;
    let (payment, version) = journal.load::<Payment>(7).await.unwrap().unwrap();
    assert_eq!((payment.stage, version), (payment::Stage::Approved, 2));
    let history = journal.history::<Payment>(7).await.unwrap().unwrap();
    let [
        _,
        (Event::Payment(approved), of_one),
        (Event::Payment(accrued), of_other),
    ] = &history
        .events
        .into_iter()
        .map(|(event, metadata)| (Event::Payment(event), metadata))
        .collect::<Vec<_>>()[..]
    else {
        panic!("not three");
    };
    assert!(matches!(approved, payment::Event::Approved { .. }));
    assert!(matches!(
        accrued,
        payment::Event::PointsAccrued { points: 100, .. }
    ));
    assert_eq!((of_one, of_other), (&metadata(), &metadata()));

    let undo = payment::Command::Cancel {
        refund: domain::Money::krw(10_000),
        percent: 100,
        reason: "cancelled".to_owned(),
    };
    let undo = request(2, vec![Command::Payment(BookId(7), undo)]);
    let done = journal.execute_one(undo).await.unwrap();
    assert_eq!(done.answer().version_of("Payment"), Some(3));
}

#[tokio::test]
async fn the_feed_gives_the_events_of_a_row_together_at_its_position() {
    let mut stage = Stage::quiet().await;
    for row in [&booked_1(7), &viewed(7), &paid(7)] {
        write(&mut stage, 7, row).await;
    }
    let mut feed = Feed::new(upgraded(&stage), "reader");
    let page = feed.read(0, 10).await.unwrap();
    assert_eq!(page.position, 3);
    let [
        Item::Events { events: booked, .. },
        Item::Events {
            position: 2,
            events: nothing,
        },
        Item::Events {
            position: 3,
            events: parts,
        },
    ] = &page.items[..]
    else {
        panic!("{:?}", page.items);
    };
    assert_eq!(nothing, &[]);
    let said = |event: &Recorded| (event.position, event.part, event.event_type);
    assert_eq!(
        booked.iter().map(said).collect::<Vec<_>>(),
        [(1, 0, "Booked")]
    );
    let [approved, accrued] = &parts[..] else {
        panic!("{parts:?}");
    };
    assert_eq!(said(approved), (3, 0, "Approved"));
    assert_eq!(said(accrued), (3, 1, "PointsAccrued"));
    // Everything else is the row's.
    let row = Recorded {
        part: 1,
        event_type: "PointsAccrued",
        event: accrued.event.clone(),
        ..approved.clone()
    };
    assert_eq!(&row, accrued);
    let id = sql::text(
        &mut stage.owner,
        "select event_id::text from events where position = 3",
    )
    .await;
    assert_eq!((accrued.event_id.to_string(), accrued.sequence), (id, 1));

    // A limit counts rows, and tears none apart.
    let page = feed.read(2, 1).await.unwrap();
    assert_eq!((page.items.len(), page.position), (1, 3));

    let rows = feed.read_stored(0, 10).await.unwrap().items;
    let names = rows.iter().map(|row| {
        let events = row.read(upgraded(&stage).events()).unwrap();
        events.iter().map(Event::name).collect::<Vec<_>>()
    });
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        [vec!["Booked"], vec![], vec!["Approved", "PointsAccrued"]]
    );
    let of_booking = upgraded(&stage).of_booking("7", 3).await.unwrap();
    assert_eq!(of_booking, feed.read(0, 10).await.unwrap().items);
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_named_and_stops_a_command_without_a_trace() {
    let mut stage = Stage::open().await;
    stage
        .journal
        .execute_one(request(1, vec![place(7)]))
        .await
        .unwrap();
    for row in [("Book", "Rebooked", "1"), ("Book", "Booked", "2")] {
        let (aggregate_type, event_type, event_version) = row;
        write(
            &mut stage,
            7,
            &(aggregate_type, event_type, event_version, json!({})),
        )
        .await;
        let error = stage.journal.load::<Book>(7).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer(_)), "{error:?}");
    }
    let refused = stage.journal.execute_one(request(2, vec![cancel(7)])).await;
    let Err(CommandError::Store(error @ StoreError::Newer(_))) = refused else {
        panic!("{refused:?}");
    };
    let error_says = error.to_string();
    assert!(
        error_says.contains(r#"Book event "Rebooked" version "1""#) && !error.is_transient(),
        "{error_says}"
    );
    assert_eq!(stage.events().await, 3);
}
