//! Exports and imports as tests ask for them.

use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures::future::{BoxFuture, FutureExt};
use journal::follow::FollowerId;
use journal::runtime::{Runtime, Tokio};
use journal::transfer::{
    BATCH_MAX, Export, Exported, Import, ImportReport, Progress, Source, Target, TransferError,
};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::samples::{booked, bookings, place, register, request, request_payment};
use crate::sql;
use crate::stage::Stage;

/// Events that no code of ours has written: an unknown name, numbers that no float holds, every kind of escape.
pub(super) const ODD: &str = r#"
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) values
    ('Book', '901', 1, 'Unheard', '17.3-beta',
     '{"big": 9007199254740993, "exact": 1.10, "huge": 123456789012345678901234567890.123456789, "tiny": 1e-30, "far": 1e400}',
     '{"occurred_at": "2026-11-22T08:40:01.123456789Z", "actor_type": "system"}'),
    (E'We\\ird\tone', E'a\nb', 1, 'X', '1', E'{"text": "\\\\ \\" \\n \\t \\u00e9 \\ud83d\\ude00", "none": null, "empty": {}, "list": []}',
     '{"k\"ey": "va\\lue"}')"#;

pub(super) struct Silent;

impl Progress for Silent {
    fn moved(&self, _: i64, _: i64, _: i64) {}
    fn remark(&self, _: &str) {}
}

/// Remarks that were made.
#[derive(Default)]
pub(super) struct Remarks(Mutex<Vec<String>>);

impl Remarks {
    pub(super) fn said(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Remarks {
    fn moved(&self, _: i64, _: i64, _: i64) {}
    fn remark(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// Time that passes at once.
pub(super) struct Hasty;

impl Runtime for Hasty {
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        tokio::task::yield_now().boxed()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        Tokio.spawn(task);
    }
}

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn saga() -> FollowerId {
    FollowerId::new("orders", 1)
}

/// A journal with everything that a file must carry: commands over several streams, positions without events,
/// unreadable events.
pub(super) async fn told() -> Stage {
    let mut stage = Stage::open().await;
    // Databases of tests are copies of one.
    sql::run(
        &mut stage.owner,
        "update journal set identity = gen_random_uuid()",
    )
    .await;
    for append in bookings(3) {
        stage.append(append).await.unwrap();
    }
    for number in [5, 6] {
        // Numbers that are drawn and not used.
        sql::run(
            &mut stage.owner,
            "select nextval('book_ids'), nextval(pg_get_serial_sequence('events', 'position'))",
        )
        .await;
        let both = request(
            u128::try_from(number).unwrap(),
            vec![place(number), request_payment(number)],
        );
        stage.journal.execute_one(both).await.unwrap();
    }
    stage
        .journal
        .execute_one(request(20, vec![register(5)]))
        .await
        .unwrap();
    sql::run(&mut stage.owner, ODD).await;
    stage.append(booked(30, 30)).await.unwrap();
    prove_holes(&mut stage).await;
    stage
}

/// As a follower would have proved by now: on a server that others write to as well, it takes as long as they do.
pub(super) async fn prove_holes(stage: &mut Stage) {
    sql::run(
        &mut stage.owner,
        "insert into dead_spans (first_position, last_position, proof, proved_by)
         select before + 1, position - 1, pg_current_xact_id(), 'a test'
         from (select position, lag(position, 1, 0::bigint) over (order by position) as before from events) e
         where position > before + 1",
    )
    .await;
}

pub(super) fn export(stage: &Stage) -> Export<'_> {
    Export {
        journal: &stage.journal,
        acting: saga(),
        from: None,
        to: None,
        mark_every: 3,
        runtime: &Tokio,
        told: &Silent,
        stop: CancellationToken::new(),
    }
}

pub(super) fn import(stage: &Stage) -> Import<'_> {
    Import {
        owner_url: stage.url(),
        append: false,
        allow_truncated: false,
        hold_payments: false,
        next_booking: None,
        batch_max: BATCH_MAX,
        told: &Silent,
        stop: CancellationToken::new(),
    }
}

pub(super) async fn export_to(stage: &Stage, path: &Path) -> Result<Exported, TransferError> {
    export(stage).run(Target::File(path.to_owned())).await
}

/// The file that an export writes.
pub(super) async fn exported(stage: &Stage) -> String {
    let folder = folder();
    let path = folder.path().join("journal.jsonl");
    export_to(stage, &path).await.unwrap();
    std::fs::read_to_string(path).unwrap()
}

pub(super) fn written(folder: &TempDir, text: &[u8]) -> PathBuf {
    let path = folder.path().join("journal.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

pub(super) async fn import_text(
    import: &Import<'_>,
    text: &str,
) -> Result<ImportReport, TransferError> {
    let folder = folder();
    let path = written(&folder, text.as_bytes());
    import.run(Source::File(path)).await
}

pub(super) async fn import_stream(
    import: &Import<'_>,
    text: &str,
) -> Result<ImportReport, TransferError> {
    let input = Cursor::new(text.as_bytes().to_vec());
    import
        .run(Source::Stream(Box::new(BufReader::new(input))))
        .await
}

/// Lines, changed.
pub(super) fn changed(text: &str, change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    lines.join("\n") + "\n"
}

/// The file as an export without marks would write it.
pub(super) fn unmarked(text: &str) -> String {
    changed(text, |lines| {
        lines.retain(|line| !line.starts_with("{\"mark\""));
    })
}

/// The lines of events, as they are.
pub(super) fn events(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("{\"position\":"))
        .collect()
}

/// The lines of state.
pub(super) fn state(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("{\"state\":"))
        .collect()
}

/// The footer's fields, without when.
pub(super) fn footer(text: &str) -> Value {
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let mut footer = last["footer"].clone();
    assert!(footer.is_object(), "{last}");
    footer.as_object_mut().unwrap().remove("finished_at");
    footer
}

/// Command ids with their answers.
pub(super) async fn answers(stage: &mut Stage) -> Vec<String> {
    let query = "select command_id || ' ' || answer from commands order by 1";
    sql::texts(&mut stage.owner, query).await
}
