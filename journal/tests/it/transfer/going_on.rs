//! Killed in the middle, wherever that is, and gone on with.

use std::fs::OpenOptions;

use journal::follow::{Follower, FollowerId, Handler, HandlerError};
use journal::transfer::{Resumed, Source, Target, TransferError};
use journal::{Recorded, StoreError};
use sqlx::PgConnection;

use super::desk::{
    answers, events, export, export_to, exported, folder, footer, import, import_stream,
    import_text, told, unmarked, written,
};
use crate::samples::booked;
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn an_export_that_was_killed_anywhere_is_gone_on_with() {
    let mut stage = told().await;
    sql::run(
        &mut stage.owner,
        "insert into followers (name, generation, position) values ('orders', 1, 7)",
    )
    .await;
    let text = exported(&stage).await;
    let folder = folder();
    let bytes = text.as_bytes();
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at);
    let beside_line_ends: Vec<_> = ends.flat_map(|at| [at, at + 1]).collect();
    for end in (0..bytes.len()).step_by(151).chain(beside_line_ends) {
        let path = written(&folder, &bytes[..end]);
        let exported = export_to(&stage, &path).await.unwrap();
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!(events(&now), events(&text), "{end}");
        assert_eq!(footer(&now), footer(&text), "{end}");
        assert_eq!(exported.events_total, 11);
        let whole = end == bytes.len();
        assert_eq!(exported.resumed == Some(Resumed::Finished), whole, "{end}");
    }
}

#[tokio::test]
async fn a_finished_export_takes_what_is_newer() {
    let stage = told().await;
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    export_to(&stage, &path).await.unwrap();
    let again = export_to(&stage, &path).await.unwrap();
    assert_eq!((again.resumed, again.events), (Some(Resumed::Finished), 0));
    stage.append(booked(40, 40)).await.unwrap();
    stage.append(booked(41, 41)).await.unwrap();
    let newer = export_to(&stage, &path).await.unwrap();
    assert_eq!(
        (newer.resumed, newer.events, newer.events_total),
        (Some(Resumed::Finished), 2, 13)
    );
    let grown = std::fs::read_to_string(&path).unwrap();
    assert_eq!(events(&grown), events(&exported(&stage).await));
    let other = Stage::open().await;
    import_text(&import(&other), &grown).await.unwrap();
}

#[tokio::test]
async fn an_export_that_is_stopped_leaves_a_file_to_go_on_with() {
    let (stage, folder) = (told().await, folder());
    let path = folder.path().join("journal.jsonl");
    let stopped = export(&stage);
    stopped.stop.cancel();
    let error = stopped.run(Target::File(path.clone())).await.unwrap_err();
    assert!(matches!(error, TransferError::Stopped));
    let exported = export_to(&stage, &path).await.unwrap();
    assert_eq!(
        (exported.resumed, exported.events),
        (Some(Resumed::Unfinished), 11)
    );
}

#[tokio::test]
async fn what_no_hash_vouches_for_is_written_again() {
    let (stage, folder) = (told().await, folder());
    let text = exported(&stage).await;
    // Cut behind event 8; the last mark stands behind event 6.
    let unfinished = &text[..text.find("{\"position\":11").unwrap()];
    let mark = unfinished.rfind("{\"mark\"").unwrap();
    let (vouched, rest) = unfinished.split_at(mark);
    assert_eq!(events(rest).len(), 2);
    for (changed, whole) in [
        (vouched.to_owned() + &rest.replace("room", "doom"), true),
        (vouched.replace("room", "doom") + rest, false),
    ] {
        assert_ne!(changed, unfinished);
        let path = written(&folder, changed.as_bytes());
        let exported = export_to(&stage, &path).await;
        assert_eq!(exported.is_ok(), whole, "{exported:?}");
        let now = std::fs::read_to_string(&path).unwrap();
        if whole {
            assert_eq!(now.lines().count(), text.lines().count());
            assert_eq!(events(&now), events(&text));
        } else {
            assert_eq!(now, changed, "it was touched");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_is_not_gone_on_with() {
    let (stage, folder) = (told().await, folder());
    let text = exported(&stage).await;
    for damaged in [
        text.replace("\"position\":3", "\"position\":1"),
        text.replace("room", "doom"),
        "notes\n".to_owned(),
    ] {
        let path = written(&folder, damaged.as_bytes());
        export_to(&stage, &path).await.unwrap_err();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            damaged,
            "it was touched"
        );
    }
}

#[tokio::test]
async fn a_file_that_somebody_writes_is_left_to_him() {
    let (stage, folder) = (told().await, folder());
    let path = written(&folder, b"");
    let held = OpenOptions::new().write(true).open(&path).unwrap();
    held.lock().unwrap();
    let error = export_to(&stage, &path).await.unwrap_err();
    assert!(matches!(error, TransferError::FileInUse(_)), "{error}");
    let error = export_to(&stage, folder.path()).await.unwrap_err();
    assert!(matches!(error, TransferError::File(..)), "{error}");
}

/// Takes nothing and writes nothing.
struct Idle;

#[async_trait::async_trait]
impl Handler for Idle {
    type Plan = ();

    async fn plan(&self, _: &[Recorded]) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(
        &self,
        _: &mut PgConnection,
        _: &[Recorded],
        (): (),
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

fn follower(stage: &Stage) -> Follower<Idle> {
    Follower::new(stage.journal.clone(), FollowerId::new("idle", 1), Idle)
}

/// An import that was interrupted behind its first batch: what comes after it is not in the file yet.
async fn interrupted(stage: &Stage, text: &str) {
    let mut import = import(stage);
    import.batch_max = 4;
    import.stop.cancel();
    let error = import_text(&import, text).await.unwrap_err();
    assert!(matches!(error, TransferError::Stopped), "{error}");
}

#[tokio::test]
async fn an_interrupted_import_is_gone_on_with_behind_its_last_batch() {
    let text = exported(&told().await).await;
    let mut straight = Stage::open().await;
    import_text(&import(&straight), &text).await.unwrap();
    let mut stage = Stage::open().await;
    // The fifth event is of the fourth's command, and the ninth is behind four more.
    for stored in [5, 9] {
        interrupted(&stage, &text).await;
        assert_eq!(stage.events().await, stored);
    }
    let report = import_text(&import(&stage), &text).await.unwrap();
    assert_eq!((report.events, report.events_before), (11, 9));
    assert_eq!(events(&exported(&stage).await), events(&text));
    assert_eq!(answers(&mut stage).await, answers(&mut straight).await);
    let spans =
        "select string_agg(first_position || '-' || last_position, ' ' order by 1) from dead_spans";
    let expected = sql::text(&mut straight.owner, spans).await;
    assert_eq!(sql::text(&mut stage.owner, spans).await, expected);
}

#[tokio::test]
async fn the_file_may_have_grown_meanwhile_but_not_changed() {
    let source = told().await;
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    export_to(&source, &path).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut stage = Stage::open().await;
    interrupted(&stage, &text).await;

    let changed = unmarked(&text).replace("room 2", "room 9");
    let error = import_stream(&import(&stage), &changed).await.unwrap_err();
    assert!(matches!(error, TransferError::OtherEvents(5)), "{error}");
    let shorter: String = text.split_inclusive('\n').take(3).collect();
    let mut truncated = import(&stage);
    truncated.allow_truncated = true;
    let error = import_text(&truncated, &shorter).await.unwrap_err();
    assert!(matches!(error, TransferError::OtherEvents(5)), "{error}");
    let other = exported(&told().await).await;
    let error = import_text(&import(&stage), &other).await.unwrap_err();
    assert!(matches!(error, TransferError::OtherImport(_)), "{error}");
    assert_eq!(stage.events().await, 5);

    source.append(booked(40, 40)).await.unwrap();
    export_to(&source, &path).await.unwrap();
    let report = import(&stage).run(Source::File(path)).await.unwrap();
    assert_eq!((report.events, report.events_before), (12, 5));
}

#[tokio::test]
async fn until_an_import_is_finished_nobody_stores_and_nobody_follows() {
    let text = exported(&told().await).await;
    let mut stage = Stage::open().await;
    let mut before = follower(&stage);
    before.step().await.unwrap();
    interrupted(&stage, &text).await;

    let error = stage.append(booked(80, 80)).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("55000"), "{error}");
    assert!(
        error.to_string().contains("spacerent events import"),
        "{error}"
    );
    // One that held its lease, and one that takes it.
    for mut follower in [before, follower(&stage)] {
        let Err(HandlerError::Store(error)) = follower.step().await else {
            panic!("it went on");
        };
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    }
    import_text(&import(&stage), &text).await.unwrap();
    stage.append(booked(80, 80)).await.unwrap();
    assert_eq!(stage.events().await, 12);
    sql::run(
        &mut stage.owner,
        "update followers set lease_until = now() - interval '1 s'",
    )
    .await;
    follower(&stage).step().await.unwrap();
    assert_eq!(
        stage
            .number("select position from followers where name = 'idle'")
            .await,
        stage.journal.head().await.unwrap()
    );
}

#[tokio::test]
async fn without_the_guard_half_a_journal_is_followed_and_written_to() {
    let text = exported(&told().await).await;
    let mut stage = Stage::open().await;
    stage
        .without_guard("refuse_during_import", "unfinished import")
        .await;
    interrupted(&stage, &text).await;
    follower(&stage).step().await.unwrap();
    assert!(
        stage
            .number("select position from followers where name = 'idle'")
            .await
            > 0
    );
}

#[tokio::test]
async fn payments_that_any_run_was_asked_to_hold_stay_held() {
    let text = exported(&told().await).await;
    for (first, second, held) in [
        (true, false, true),
        (false, true, true),
        (false, false, false),
    ] {
        let stage = Stage::open().await;
        let mut begun = import(&stage);
        (begun.batch_max, begun.hold_payments) = (4, first);
        begun.stop.cancel();
        let error = import_text(&begun, &text).await.unwrap_err();
        assert!(matches!(error, TransferError::Stopped), "{error}");
        let mut finished = import(&stage);
        finished.hold_payments = second;
        let report = import_text(&finished, &text).await.unwrap();
        assert!(report.events_before > 0);
        assert_eq!(report.payments_held, held, "{first} {second}");
        let imported = stage.journal.imported(1, 100).await.unwrap();
        assert_eq!(imported[0].payments_held, held, "{first} {second}");
    }
}

#[tokio::test]
async fn a_cut_file_must_be_allowed_by_the_run_that_finishes_it() {
    let text = exported(&told().await).await;
    let cut = &text[..text
        .find("{\"state\"")
        .or(text.find("{\"footer\""))
        .unwrap()];
    let stage = Stage::open().await;
    let mut begun = import(&stage);
    (begun.batch_max, begun.allow_truncated) = (4, true);
    begun.stop.cancel();
    let error = import_text(&begun, cut).await.unwrap_err();
    assert!(matches!(error, TransferError::Stopped), "{error}");
    for stream in [false, true] {
        let import = import(&stage);
        let error = if stream {
            import_stream(&import, cut).await.unwrap_err()
        } else {
            import_text(&import, cut).await.unwrap_err()
        };
        assert!(matches!(error, TransferError::Truncated { .. }), "{error}");
    }
    // A whole file needs no leave, and has the state that says what is to be held.
    let report = import_text(&import(&stage), &text).await.unwrap();
    assert_eq!((report.truncated, report.payments_held), (false, false));
}
