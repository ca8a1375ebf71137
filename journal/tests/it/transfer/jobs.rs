//! Jobs that go along in a file, besides those that people have in hand or had settled (`round`).

use journal::recover::JobRow;
use journal::transfer::Target;

use super::desk::{export, exported, folder, import, import_text, state, told};
use crate::samples::id;
use crate::sql;
use crate::stage::Stage;

/// What is said of a call that a process had in hand while it slept: no event has led to it.
const LATE: &str = "jsonb_build_object('number', '1', 'late_since', '2026-11-22T10:00:00Z', 'correlation_id', 'x')";

/// Calls for the charges of two bookings: one is left to people, a worker is about to ask for the other one again.
async fn late() -> Stage {
    let mut stage = told().await;
    let jobs = format!(
        "insert into jobs (kind, key, bookid, payload, state, due_at, attempts, fence, owner, claimed_until, last_error)
         values ('charge', 'charge:5:1:late', 5, {LATE}, 'attention', now(), 3, 3, null, null, 'no answer'),
                ('charge', 'charge:6:1:late', 6, {LATE}, 'open', now() + interval '1 minute', 2, 2,
                 gen_random_uuid(), now() + interval '1 minute', 'no answer'),
                ('charge', 'charge:4711:1:late', 4711, {LATE}, 'open', now(), 1, 1, null, null, null),
                ('charge', 'charge:6:1', 6, {LATE} - 'late_since', 'open', now(), 1, 1, null, null, null)"
    );
    sql::run(&mut stage.owner, &jobs).await;
    stage
}

/// The jobs, by booking.
async fn jobs(stage: &Stage) -> Vec<JobRow> {
    let mut jobs = stage.journal.jobs(true, 9).await.unwrap();
    jobs.sort_by_key(|job| job.bookid);
    jobs
}

fn says<'j>(job: &'j JobRow, name: &str) -> &'j str {
    job.payload.get(name).map_or("", String::as_str)
}

async fn payment_asked_for(stage: &mut Stage, booking: i64) -> String {
    let event = format!(
        "select event_id::text from events where aggregate_type = 'Payment' and aggregate_id = '{booking}'"
    );
    sql::text(&mut stage.owner, &event).await
}

#[tokio::test]
async fn the_search_for_a_late_call_goes_along_though_no_event_led_to_it() {
    let first = late().await;
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &exported(&first).await)
        .await
        .unwrap();
    assert_eq!(report.jobs, 2);
    let kept = jobs(&second).await;
    let rows: Vec<_> = kept
        .iter()
        .map(|job| (job.key.as_str(), job.state.as_str(), job.attempts))
        .collect();
    let expected = [
        ("charge:5:1:late", "attention", 3),
        ("charge:6:1:late", "open", 2),
    ];
    assert_eq!(rows, expected);
    for job in &kept {
        let said = ["number", "late_since", "imported"].map(|name| says(job, name));
        assert_eq!(said, ["1", "2026-11-22T10:00:00Z", "ask"]);
        let event = payment_asked_for(&mut second, job.bookid).await;
        assert_eq!(says(job, "causation_id"), event);
    }
    // Whoever had it claimed is elsewhere.
    let claimed = second.journal.claim_jobs(&["charge"], id(1), 9, 60_000);
    let claimed = claimed.await.unwrap();
    let claims: Vec<_> = claimed.iter().map(|job| (job.bookid, job.fence)).collect();
    assert_eq!(claims, [(6, 1)]);

    // And once more; what is held is decided anew.
    let text = exported(&second).await;
    let third = Stage::open().await;
    let mut held = import(&third);
    held.hold_payments = true;
    assert_eq!(import_text(&held, &text).await.unwrap().jobs, 2);
    let held = jobs(&third).await;
    assert!(held.iter().all(|job| says(job, "imported") == "hold"));
    let fourth = Stage::open().await;
    let text = exported(&third).await;
    import_text(&import(&fourth), &text).await.unwrap();
    let asked = jobs(&fourth).await;
    assert!(asked.iter().all(|job| says(job, "imported") == "ask"));
}

#[tokio::test]
async fn the_search_for_a_late_call_is_added_with_its_booking() {
    let text = exported(&late().await).await;
    let second = Stage::open().await;
    second.append(crate::samples::booked(77, 77)).await.unwrap();
    let mut held = import(&second);
    (held.append, held.hold_payments) = (true, true);
    assert_eq!(import_text(&held, &text).await.unwrap().jobs, 2);
    let kept = jobs(&second).await;
    assert!(kept.iter().all(|job| says(job, "imported") == "hold"));
}

#[tokio::test]
async fn a_piece_has_the_searches_of_its_own_bookings() {
    let mut stage = late().await;
    let first = "select position from events where aggregate_type = 'Book' and aggregate_id = '6'";
    let six = stage.number(first).await;
    let folder = folder();
    for (from, searches) in [(1, 2), (six, 1), (six + 1, 0)] {
        let path = folder.path().join(from.to_string());
        let mut piece = export(&stage);
        piece.from = Some(from);
        piece.run(Target::File(path.clone())).await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let jobs = state(&text)
            .into_iter()
            .filter(|line| line.contains(":late"));
        assert_eq!(jobs.count(), searches, "{from}");
    }
}

#[tokio::test]
async fn a_job_that_no_worker_could_read_is_in_the_file_as_people_see_it() {
    let mut first = told().await;
    sql::run(
        &mut first.owner,
        "insert into jobs (kind, key, bookid, payload, state, due_at)
         select 'charge', 'charge:5:1', 5, jsonb_build_object('number', 1, 'causation_id', event_id), 'attention', now()
         from events where aggregate_type = 'Payment' and aggregate_id = '5'",
    )
    .await;
    let seen = jobs(&first).await.remove(0).payload;
    let second = Stage::open().await;
    let text = exported(&first).await;
    import_text(&import(&second), &text).await.unwrap();
    let kept = jobs(&second).await.remove(0);
    assert_eq!((says(&kept, "number"), &kept.payload), ("1", &seen));
}
