//! cqrs-es on this journal: its framework executes and loads, and a conflict is its conflict.

use std::collections::HashMap;

use cqrs_es::{Aggregate, AggregateError, CqrsFramework, EventStore};
use domain::book::{Book, Command, Error, Stage as BookStage};
use domain::payment::Payment;

use crate::force::{let_go, stall, until_blocked};
use crate::samples::{booked, cancel, defer, id, metadata, place, request, request_payment};
use crate::sql;
use crate::stage::{Stage, append_one};

/// The command of a sample.
fn book(command: domain::Command) -> Command {
    match command {
        domain::Command::Book(_, command) => command,
        other => panic!("{other:?}"),
    }
}

/// What an event must at least say of itself.
fn said() -> HashMap<String, String> {
    metadata().to_map()
}

#[tokio::test]
async fn the_framework_executes_and_loads() {
    let stage = Stage::open().await;
    let framework = CqrsFramework::new(stage.journal.store::<Book>(), vec![], ());
    for command in [place(7), defer(7), cancel(7)] {
        framework
            .execute_with_metadata("7", book(command), said())
            .await
            .unwrap();
    }
    let loaded = stage
        .journal
        .store::<Book>()
        .load_aggregate("7")
        .await
        .unwrap();
    assert_eq!(
        (loaded.current_sequence, loaded.aggregate.stage),
        (3, BookStage::Cancelling)
    );
    let (book_there, version) = stage.journal.load::<Book>(7).await.unwrap().unwrap();
    assert_eq!((book_there, version), (loaded.aggregate, 3));
    let events = stage
        .journal
        .store::<Book>()
        .load_events("7")
        .await
        .unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0].metadata, said());

    let refused = framework
        .execute_with_metadata("8", book(cancel(8)), said())
        .await;
    assert!(matches!(
        refused,
        Err(AggregateError::UserError(Error::NoSuchBooking))
    ));
    let unsigned = framework.execute("9", book(place(9))).await;
    assert!(
        matches!(unsigned, Err(AggregateError::DeserializationError(_))),
        "{unsigned:?}"
    );
    assert_eq!(stage.journal.head().await.unwrap(), 3);
}

#[tokio::test]
async fn streams_of_one_booking_do_not_mix() {
    let stage = Stage::open().await;
    let both = request(1, vec![place(7), request_payment(7)]);
    stage.journal.execute_one(both).await.unwrap();
    let (payment, version) = stage.journal.load::<Payment>(7).await.unwrap().unwrap();
    assert_eq!((version, payment.is_open()), (1, true));
    assert_eq!(stage.journal.load::<Book>(7).await.unwrap().unwrap().1, 1);
    assert_eq!(stage.journal.load::<Book>(8).await.unwrap(), None);
}

#[tokio::test]
async fn a_conflict_is_an_aggregate_conflict() {
    let mut stage = Stage::open().await;
    let framework = CqrsFramework::new(stage.journal.store::<Book>(), vec![], ());
    let of_the_framework = format!("new.command_id <> '{}'", id(1));
    stall(&mut stage.owner, "events", &of_the_framework, 1).await;
    let faster = async {
        until_blocked(&mut stage.owner, 1).await;
        append_one(&stage.journal, booked(1, 7)).await.unwrap();
        let_go(&mut stage.owner, 1).await;
    };
    let slower = framework.execute_with_metadata("7", book(place(7)), said());
    let (slower, ()) = tokio::join!(slower, faster);
    assert!(
        matches!(slower, Err(AggregateError::AggregateConflict)),
        "{slower:?}"
    );
    assert_eq!(stage.book(7).await, [1]);
}

#[tokio::test]
async fn a_stored_event_that_cannot_be_read_is_an_error_and_not_an_empty_booking() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 7)).await.unwrap();
    let unreadable = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      values ('Book', '7', 2, 'Rebooked', '9', '{}', '{}')";
    sql::run(&mut stage.owner, unreadable).await;
    let error = stage.journal.load::<Book>(7).await.unwrap_err();
    assert!(matches!(error, journal::StoreError::Newer(_)), "{error:?}");
    assert_eq!(Book::TYPE, "Book");
}
