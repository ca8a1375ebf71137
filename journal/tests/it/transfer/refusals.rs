//! What is not exported onto, and not imported into.

use journal::schema::hold_alone;
use journal::transfer::{Target, TransferError};

use super::desk::{
    events, export, export_to, exported, folder, import, import_stream, import_text, told, written,
};
use crate::samples::booked;
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn a_file_of_another_journal_is_not_gone_on_with() {
    let (one, other) = (told().await, told().await);
    let folder = folder();
    let text = exported(&one).await;
    let path = written(&folder, text.as_bytes());
    let error = export_to(&other, &path).await.unwrap_err();
    assert!(
        matches!(error, TransferError::OtherJournal { .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

#[tokio::test]
async fn a_file_that_knows_more_than_the_journal_is_not_gone_on_with() {
    let mut stage = told().await;
    let folder = folder();
    let text = exported(&stage).await;
    // As after a restore that forgot to raise the epoch.
    for lost in [
        "delete from events where position = 13",
        "update events set event_id = gen_random_uuid() where position = 13",
    ] {
        let lost = format!("begin; set local session_replication_role = replica; {lost}; commit");
        sql::run(&mut stage.owner, &lost).await;
        let path = written(&folder, text.as_bytes());
        let error = export_to(&stage, &path).await.unwrap_err();
        assert!(
            matches!(error, TransferError::Ahead { file: 13 }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_asked_for_must_fit_the_file() {
    let stage = told().await;
    let folder = folder();
    let path = written(&folder, exported(&stage).await.as_bytes());
    let mut from = export(&stage);
    from.from = Some(2);
    let error = from.run(Target::File(path.clone())).await.unwrap_err();
    assert!(
        matches!(error, TransferError::OtherBeginning { file: 1 }),
        "{error}"
    );
    let mut to = export(&stage);
    to.to = Some(2);
    let error = to.run(Target::File(path)).await.unwrap_err();
    assert!(
        matches!(error, TransferError::BeyondEnd { file: 13 }),
        "{error}"
    );
}

#[tokio::test]
async fn a_piece_is_written_and_only_read() {
    let stage = told().await;
    let folder = folder();
    let path = folder.path().join("piece");
    let mut piece = export(&stage);
    (piece.from, piece.to) = (Some(2), Some(9));
    let exported = piece.run(Target::File(path.clone())).await.unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!((exported.first_position, exported.last_position), (2, 9));
    assert_eq!(events(&text).len(), 6);
    // Its streams begin in it: it is as good as any.
    let other = Stage::open().await;
    import_text(&import(&other), &text).await.unwrap();

    // Booking 30 has a second event: a file of that alone begins in the middle.
    sql::run(
        &mut stage.session().await,
        "insert into events select aggregate_type, aggregate_id, 2, event_type, event_version,
        payload, metadata from events where aggregate_id = '30'",
    )
    .await;
    let path = folder.path().join("middle");
    let mut middle = export(&stage);
    middle.from = Some(14);
    middle.run(Target::File(path.clone())).await.unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut other = Stage::open().await;
    for append in [false, true] {
        let mut import = import(&other);
        import.append = append;
        let error = import_text(&import, &text).await.unwrap_err();
        assert!(
            matches!(
                error,
                TransferError::Gap {
                    position: 14,
                    before: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(other.events().await, 0);
        // The database is as free as it was.
        assert_eq!(other.number("select count(*) from imports").await, 0);
    }
}

#[tokio::test]
async fn a_journal_with_events_is_not_imported_into() {
    let text = exported(&told().await).await;
    let mut stage = Stage::open().await;
    stage.append(booked(1, 500)).await.unwrap();
    let error = import_text(&import(&stage), &text).await.unwrap_err();
    assert!(matches!(error, TransferError::NotEmpty), "{error}");
    assert_eq!(stage.events().await, 1);
    // Nor twice.
    let twice = Stage::open().await;
    import_text(&import(&twice), &text).await.unwrap();
    let error = import_text(&import(&twice), &text).await.unwrap_err();
    assert!(matches!(error, TransferError::NotEmpty), "{error}");
}

#[tokio::test]
async fn two_imports_do_not_run_at_once() {
    let text = exported(&told().await).await;
    let stage = Stage::open().await;
    let mut first = stage.session().await;
    assert!(hold_alone(&mut first, "import").await.unwrap());
    let error = import_text(&import(&stage), &text).await.unwrap_err();
    assert!(matches!(error, TransferError::ImportAtWork), "{error}");
}

#[tokio::test]
async fn an_import_does_not_begin_beside_somebody_who_writes() {
    let text = exported(&told().await).await;
    let mut stage = Stage::quiet().await;
    let mut writer = stage.session().await;
    sql::run(&mut writer, "begin").await;
    sql::insert_event(&mut writer, 7, 1).await;
    let error = import_text(&import(&stage), &text).await.unwrap_err();
    assert!(matches!(error, TransferError::InUse), "{error}");
    sql::run(&mut writer, "commit").await;
    let error = import_text(&import(&stage), &text).await.unwrap_err();
    assert!(matches!(error, TransferError::NotEmpty), "{error}");
    assert_eq!(stage.events().await, 1);
}

#[tokio::test]
async fn one_event_id_twice_is_refused() {
    let mut source = told().await;
    sql::run(&mut source.owner, "begin; set local session_replication_role = replica;
        update events set event_id = (select event_id from events where position = 1) where position = 3; commit").await;
    let text = exported(&source).await;
    let stage = Stage::open().await;
    let error = import_stream(&import(&stage), &text).await.unwrap_err();
    assert!(
        matches!(error, TransferError::Twice { position: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn half_an_import_is_not_exported() {
    let text = exported(&told().await).await;
    let stage = Stage::open().await;
    let mut begun = import(&stage);
    begun.batch_max = 4;
    begun.stop.cancel();
    import_text(&begun, &text).await.unwrap_err();
    let folder = folder();
    let path = folder.path().join("half");
    let error = export_to(&stage, &path).await.unwrap_err();
    assert!(matches!(error, TransferError::HalfImported(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("go on with `spacerent events import FILE`"),
        "{error}"
    );
    assert!(!path.exists());
    import_text(&import(&stage), &text).await.unwrap();
    export_to(&stage, &path).await.unwrap();
}

#[tokio::test]
async fn a_range_that_holds_nothing_is_refused() {
    let stage = told().await;
    let head = stage.journal.head().await.unwrap();
    let folder = folder();
    let path = folder.path().join("range");
    for (from, to, expected) in [
        (6, Some(5), "--from-position 6 is behind --to-position 5"),
        (
            head + 2,
            None,
            "--from-position 15 is beyond the journal, which ends at position 13",
        ),
    ] {
        let mut range = export(&stage);
        (range.from, range.to) = (Some(from), to);
        let error = range.run(Target::File(path.clone())).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!path.exists());
    }
    // What comes next is a good beginning: the same command appends it when it is there.
    let mut next = export(&stage);
    next.from = Some(head + 1);
    assert_eq!(next.run(Target::File(path)).await.unwrap().events, 0);
}

#[tokio::test]
async fn what_was_in_an_empty_journals_database_already_is_said_as_it_is() {
    let mut source = told().await;
    let claim = "insert into slot_claims values (5, 1, '[2026-11-22,2026-11-24)')";
    sql::run(&mut source.owner, claim).await;
    let text = exported(&source).await;
    let mut stage = Stage::open().await;
    sql::run(&mut stage.owner, claim).await;
    let error = import_text(&import(&stage), &text).await.unwrap_err();
    assert!(
        matches!(&error, TransferError::NotFree(what) if what == "the slot of booking 5"),
        "{error}"
    );
    assert!(!error.to_string().contains("nothing was"), "{error}");
}
