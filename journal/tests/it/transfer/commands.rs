//! A command is in a file with all of its events, or with none.

use std::sync::Mutex;

use futures::future::{BoxFuture, FutureExt};
use journal::runtime::{Runtime, Tokio};
use journal::transfer::{Target, TransferError};
use sqlx::PgConnection;

use super::desk::{
    Remarks, changed, events, export, exported, folder, import, import_stream, import_text,
};
use crate::samples::{Compose, append as command, booked};
use crate::sql;
use crate::stage::Stage;

/// Booking 1, and then commands whose events stand between each other's, as those of two writers do: of `2` at
/// positions 2 and 4, of `3` at 3 and 5, of `4` at 6.
async fn between_each_other() -> Stage {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 1)).await.unwrap();
    for (kind, number) in [
        ("Book", 2),
        ("Book", 3),
        ("Payment", 2),
        ("Payment", 3),
        ("Book", 4),
    ] {
        let stored = format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, command_id)
             values ('{kind}', '{number}', 1, 'X', '1', '{{}}', '{{}}', lpad('{number}', 32, '0')::uuid)"
        );
        sql::run(&mut stage.owner, &stored).await;
    }
    stage
}

#[tokio::test]
async fn an_export_ends_before_a_command_that_goes_on_behind_its_end() {
    let stage = between_each_other().await;
    let folder = folder();
    for (to, end) in [(1, 1), (2, 1), (3, 1), (4, 1), (5, 5), (6, 6), (9, 6)] {
        let (path, remarks) = (folder.path().join(to.to_string()), Remarks::default());
        let mut cut = export(&stage);
        (cut.to, cut.told) = (Some(to), &remarks);
        let exported = cut.run(Target::File(path.clone())).await.unwrap();
        assert_eq!(exported.last_position, end, "{to}");
        let said = remarks.said();
        let expected =
            format!("a command goes on behind position {to}: ending before it, at position {end}");
        assert_eq!(said.contains(&expected), end < to && to < 6, "{said:?}");
        // It is a journal in which every command is whole.
        let other = Stage::open().await;
        let text = std::fs::read_to_string(path).unwrap();
        let report = import_text(&import(&other), &text).await.unwrap();
        assert_eq!(report.last_position, end, "{to}");
    }
}

#[tokio::test]
async fn a_cut_file_is_imported_without_its_last_command() {
    let text = exported(&between_each_other().await).await;
    // So many of its events are there: so many are taken.
    for (there, taken) in [(1, 0), (2, 1), (4, 1), (5, 1), (6, 5)] {
        let cut = changed(&text, |lines| {
            lines.retain(|line| !line.starts_with("{\"mark\""));
            lines.truncate(1 + there);
        });
        assert_eq!(events(&cut).len(), there);
        for way in ["file", "stream", "append"] {
            let mut stage = Stage::open().await;
            let mut import = import(&stage);
            import.allow_truncated = true;
            import.append = way == "append";
            let report = if way == "stream" {
                import_stream(&import, &cut).await.unwrap()
            } else {
                import_text(&import, &cut).await.unwrap()
            };
            let case = format!("{there} {way}");
            assert_eq!(report.events, taken, "{case}");
            assert_eq!(
                report.events + report.events_left_out,
                i64::try_from(there).unwrap(),
                "{case}"
            );
            assert_eq!(stage.events().await, report.events, "{case}");
            assert_eq!(
                stage.journal.head().await.unwrap(),
                report.last_position,
                "{case}"
            );
            // What was left out can be stored as if it had never been.
            let whole = command(40).to("Book", 40, 0, 1).to("Payment", 40, 0, 1);
            stage.append(whole).await.unwrap();
        }
    }
}

#[tokio::test]
async fn numbers_that_were_given_behind_the_end_are_not_given_again() {
    let text = exported(&between_each_other().await).await;
    let cut = &text[..text.find("{\"footer\"").unwrap()];
    for (text, next_booking, expected) in [
        (text.as_str(), None, 5),
        (text.as_str(), Some(3), 5),
        (text.as_str(), Some(700), 700),
        (cut, None, 10_004),
        (cut, Some(700), 700),
    ] {
        for append in [false, true] {
            let stage = Stage::open().await;
            let mut import = import(&stage);
            (import.allow_truncated, import.next_booking) = (true, next_booking);
            import.append = append;
            let report = import_text(&import, text).await.unwrap();
            assert_eq!(report.next_booking, expected, "{next_booking:?}");
            let next = stage.journal.next_booking("nowhere").await.unwrap();
            assert_eq!(next.bookid.0, expected, "{next_booking:?}");
        }
    }
}

/// Ends a transaction when somebody waits for it.
struct Committing(Mutex<Option<PgConnection>>);

impl Runtime for Committing {
    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'static, ()> {
        let waited_for = self.0.lock().unwrap().take();
        async move {
            if let Some(mut session) = waited_for {
                sqlx::query("commit").execute(&mut session).await.unwrap();
            }
        }
        .boxed()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}

#[tokio::test]
async fn a_command_that_was_being_stored_when_the_export_began_is_in_it_whole() {
    let mut stage = Stage::quiet().await;
    let mut slow = stage.session().await;
    sql::run(&mut slow, "begin").await;
    let of_slow = |kind: &str| {
        format!(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, command_id)
             values ('{kind}', '8', 1, 'X', '1', '{{}}', '{{}}', lpad('8', 32, '0')::uuid)"
        )
    };
    sql::run(&mut slow, &of_slow("Book")).await;
    sql::insert_event(&mut stage.owner, 1, 1).await;
    sql::run(&mut slow, &of_slow("Payment")).await;
    assert_eq!(stage.journal.head().await.unwrap(), 2);
    let (folder, runtime) = (folder(), Committing(Mutex::new(Some(slow))));
    let path = folder.path().join("journal.jsonl");
    let mut beside = export(&stage);
    beside.runtime = &runtime;
    let exported = beside.run(Target::File(path)).await.unwrap();
    assert_eq!((exported.events, exported.last_position), (3, 3));
}

#[tokio::test]
async fn an_import_that_began_behind_an_export_spoils_it() {
    let mut stage = Stage::quiet().await;
    let mut open = stage.session().await;
    sql::run(
        &mut open,
        "begin; insert into imports (source, source_epoch, header_sha256, events_sha256, first_position, last_position, payments_held)
         values (gen_random_uuid(), 1, '', '', 1, 0, false)",
    )
    .await;
    sql::run(&mut open, "set local spacerent.import = 'on'").await;
    sql::insert_event(&mut open, 1, 1).await;
    sql::insert_event(&mut stage.owner, 2, 1).await;
    let (folder, runtime) = (folder(), Committing(Mutex::new(Some(open))));
    let path = folder.path().join("journal.jsonl");
    let mut beside = export(&stage);
    beside.runtime = &runtime;
    let error = beside.run(Target::File(path.clone())).await.unwrap_err();
    assert!(matches!(error, TransferError::HalfImported(_)), "{error}");
    assert!(!std::fs::read_to_string(path).unwrap().contains("footer"));
}
