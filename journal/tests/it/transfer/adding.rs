//! `--append`: other bookings beside those that are there, all of them or none.

use journal::Done;
use journal::append::Outcome;
use journal::transfer::TransferError;

use super::desk::{events, exported, import, import_stream, import_text, prove_holes, told};
use crate::samples::{booked, place, request, request_payment};
use crate::sql;
use crate::stage::Stage;

/// A journal that has another booking, and two positions that were drawn in vain.
async fn inhabited() -> Stage {
    let mut stage = Stage::open().await;
    stage.append(booked(500, 500)).await.unwrap();
    sql::run(
        &mut stage.owner,
        "select nextval(pg_get_serial_sequence('events', 'position'))",
    )
    .await;
    stage.append(booked(501, 501)).await.unwrap();
    sql::run(
        &mut stage.owner,
        "select nextval(pg_get_serial_sequence('events', 'position'))",
    )
    .await;
    stage
}

#[tokio::test]
async fn bookings_that_are_not_there_are_added_behind_what_is_there() {
    let mut source = told().await;
    sql::run(
        &mut source.owner,
        "insert into followers (name, generation, position) values ('orders', 1, 7);
        insert into slot_claims values (5, 1, '[2026-11-22,2026-11-23)')",
    )
    .await;
    let text = exported(&source).await;
    let mut stage = inhabited().await;
    let identity = stage.journal.identity().await.unwrap();
    let mut import = import(&stage);
    import.append = true;
    import.batch_max = 3;
    let report = import_text(&import, &text).await.unwrap();
    // Positions 1 and 3 were there, 4 was drawn.
    assert_eq!((report.first_position, report.last_position), (5, 15));
    assert_eq!(report.claims, 1);
    // Checkpoints of this journal stay right.
    assert_eq!(stage.journal.identity().await.unwrap(), identity);
    let strip = |text: &str| -> Vec<String> {
        events(text)
            .iter()
            .map(|line| line[line.find(',').unwrap()..].to_owned())
            .collect()
    };
    prove_holes(&mut stage).await;
    let now = exported(&stage).await;
    assert_eq!(strip(&now)[2..], strip(&text)[..]);
    // What the saga had acted on stands by position 7 of the file, where one position has no event.
    let imported = stage.journal.imported(1, 100).await.unwrap();
    let by_seven =
        (1..=7).filter(|position| text.contains(&format!("\n{{\"position\":{position},")));
    let acted = i64::try_from(by_seven.count()).unwrap();
    assert_eq!((imported[0].first, imported[0].acted_to), (5, 4 + acted));
    // A command of then is known, with its new place.
    let both = request(5, vec![place(5), request_payment(5)]);
    let Done::Already(answer) = stage.journal.execute_one(both).await.unwrap() else {
        panic!("it is known");
    };
    assert!((5..=15).contains(&answer.position));
    let Outcome::Stored(answer) = stage.append(booked(700, 700)).await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!(answer.position, 16);
    let next = stage.journal.next_booking("nowhere").await.unwrap();
    assert_eq!(next.bookid.0, 902);
}

#[tokio::test]
async fn what_is_there_already_is_refused_and_nothing_is_added() {
    let text = exported(&told().await).await;
    let event_id: serde_json::Value = serde_json::from_str(events(&text)[0]).unwrap();
    let event_id = event_id["event_id"].as_str().unwrap();
    for (there, expected) in [
        ("insert into events values ('Payment', '5', 1, 'X', '1', '{}', '{}')".to_owned(), "stream Payment 5"),
        (format!("insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
            values ('Book', '800', 1, 'X', '1', '{{}}', '{{}}', '{event_id}')"), "event id "),
        ("insert into commands values ('00000000-0000-0000-0000-000000000014', '{}')".to_owned(), "command id 00000000-0000-0000-0000-000000000014"),
    ] {
        let mut stage = inhabited().await;
        sql::run(&mut stage.owner, &there).await;
        let (before, head) = (stage.events().await, stage.journal.head().await.unwrap());
        let mut import = import(&stage);
        import.append = true;
        let error = import_text(&import, &text).await.unwrap_err();
        assert!(matches!(&error, TransferError::Collision(what) if what.starts_with(expected)), "{error}");
        assert_eq!(stage.events().await, before);
        assert_eq!(stage.journal.head().await.unwrap(), head);
        // What follows is stored as ever.
        stage.append(booked(900, 9_000)).await.unwrap();
    }
}

#[tokio::test]
async fn a_slot_that_somebody_has_here_is_a_collision_too() {
    let mut source = told().await;
    sql::run(
        &mut source.owner,
        "insert into slot_claims values (5, 1, '[2026-11-22,2026-11-24)')",
    )
    .await;
    let text = exported(&source).await;
    let mut stage = inhabited().await;
    sql::run(
        &mut stage.owner,
        "insert into slot_claims values (500, 1, '[2026-11-23,2026-11-25)')",
    )
    .await;
    let mut import = import(&stage);
    import.append = true;
    let error = import_text(&import, &text).await.unwrap_err();
    assert!(
        matches!(&error, TransferError::Collision(what) if what == "the slot of booking 5"),
        "{error}"
    );
    assert_eq!(stage.events().await, 2);
}

#[tokio::test]
async fn what_cannot_be_checked_first_is_not_added() {
    let text = exported(&told().await).await;
    let stage = inhabited().await;
    let mut import = import(&stage);
    import.append = true;
    let error = import_stream(&import, &text).await.unwrap_err();
    assert!(matches!(error, TransferError::AppendsFile), "{error}");
}
