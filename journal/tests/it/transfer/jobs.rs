//! Jobs that go along in a file, besides those that people have in hand or had settled (`round`).

use journal::recover::JobRow;

use super::desk::{exported, import, import_text, told};
use crate::sql;
use crate::stage::Stage;

/// The jobs, by booking.
async fn jobs(stage: &Stage) -> Vec<JobRow> {
    let mut jobs = stage.journal.jobs(true, 9).await.unwrap();
    jobs.sort_by_key(|job| job.bookid);
    jobs
}

fn says<'j>(job: &'j JobRow, name: &str) -> &'j str {
    job.payload.get(name).map_or("", String::as_str)
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
