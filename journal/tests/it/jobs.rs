//! Jobs: one row each, one worker at a time, and a finish that only the last claimer can give.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use journal::jobs::{Finish, Job, NewJob, schedule, settle};
use journal::recover::{Decided, Decision};
use sqlx::Acquire;

use crate::heard::Heard;
use crate::samples::{hour, id};
use crate::sql;
use crate::stage::Stage;

const CHARGE: &str = "charge";
/// How long a claim lasts; longer than any test.
const LEASE_MS: i32 = 600_000;

/// A job about booking `key`, due at an hour of the past (or, from a million on, of the future).
fn job(key: i64, due_at: Timestamp) -> NewJob {
    NewJob {
        kind: CHARGE,
        key: key.to_string(),
        bookid: key,
        payload: HashMap::from([("correlation_id".to_owned(), format!("journey {key}"))]),
        due_at,
        timer: false,
    }
}

fn past() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

async fn scheduled(stage: &Stage, jobs: &[NewJob]) {
    let mut connection = stage.journal.pool().pool().acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    schedule(&mut tx, jobs).await.unwrap();
    tx.commit().await.unwrap();
}

async fn settled(stage: &Stage, keys: &[&str]) {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut connection = stage.journal.pool().pool().acquire().await.unwrap();
    settle(&mut connection, CHARGE, &keys).await.unwrap();
}

async fn claimed(stage: &Stage, worker: u128, limit: i32) -> Vec<Job> {
    let jobs = stage
        .journal
        .claim_jobs(&[CHARGE], id(worker), limit, LEASE_MS);
    jobs.await.unwrap()
}

/// Lets every claim be over, as if its worker had died.
async fn end_the_claims(stage: &mut Stage) {
    let over = "update jobs set claimed_until = clock_timestamp() - interval '1 second'";
    sql::run(&mut stage.owner, over).await;
}

#[tokio::test]
async fn a_job_is_one_row_however_often_it_is_scheduled() {
    let mut stage = Stage::open().await;
    let mut later = job(7, hour(2));
    later
        .payload
        .insert("amount".to_owned(), "10000".to_owned());
    scheduled(&stage, &[job(7, hour(1)), later.clone()]).await;
    scheduled(&stage, &[later]).await;
    let due = format!("select count(*) from jobs where due_at = '{}'", hour(1));
    assert_eq!(stage.number("select count(*) from jobs").await, 1);
    assert_eq!(
        stage.number(&due).await,
        1,
        "a later one does not put it off"
    );

    scheduled(&stage, &[job(7, past())]).await;
    let jobs = claimed(&stage, 1, 9).await;
    assert_eq!(jobs.len(), 1, "an earlier one brings it forward");
    let knows = [("amount", "10000"), ("correlation_id", "journey 7")];
    let knows = knows.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(jobs[0].payload, HashMap::from(knows));
    assert_eq!((jobs[0].bookid, jobs[0].attempts, jobs[0].fence), (7, 1, 1));

    scheduled(&stage, &[job(7, past())]).await;
    assert!(
        claimed(&stage, 2, 9).await.is_empty(),
        "a claimed one stays claimed"
    );
    assert!(
        stage
            .journal
            .finish_job(&jobs[0], &Finish::Done)
            .await
            .unwrap()
    );
    scheduled(&stage, &[job(7, past())]).await;
    assert_eq!(
        stage.journal.open_jobs_ending(CHARGE, "").await.unwrap(),
        0,
        "a finished one stays finished"
    );
}

#[tokio::test]
async fn a_job_that_ran_keeps_its_back_off() {
    let mut stage = Stage::open().await;
    scheduled(&stage, &[job(7, past())]).await;
    let ran = claimed(&stage, 1, 1).await.remove(0);
    let again = Finish::Again {
        due_at: hour(1_000_000),
        reason: "busy".to_owned(),
    };
    assert!(stage.journal.finish_job(&ran, &again).await.unwrap());
    scheduled(&stage, &[job(7, past())]).await;
    assert!(claimed(&stage, 2, 9).await.is_empty());
    assert_eq!(stage.journal.status().await.unwrap().jobs.waiting, 1);
    let why = "select last_error from jobs";
    assert_eq!(sql::text(&mut stage.owner, why).await, "busy");
}

#[tokio::test]
async fn what_is_scheduled_in_a_transaction_that_rolls_back_never_was() {
    let stage = Stage::open().await;
    let mut connection = stage.journal.pool().pool().acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    schedule(&mut tx, &[job(7, past())]).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(claimed(&stage, 1, 9).await.is_empty());
}

#[tokio::test]
async fn a_claim_takes_what_is_due_and_nobody_has() {
    let stage = Stage::open().await;
    let far = hour(1_000_000);
    scheduled(&stage, &[job(1, past()), job(2, past()), job(3, far)]).await;
    let first = claimed(&stage, 1, 1).await;
    let second = claimed(&stage, 2, 9).await;
    assert_eq!((first[0].bookid, second.len(), second[0].bookid), (1, 1, 2));
    assert!(claimed(&stage, 3, 9).await.is_empty());
    let other_kind = stage.journal.claim_jobs(&["refund"], id(4), 9, LEASE_MS);
    assert!(other_kind.await.unwrap().is_empty());

    let again = Finish::Again {
        due_at: past(),
        reason: "busy".to_owned(),
    };
    assert!(stage.journal.finish_job(&first[0], &again).await.unwrap());
    let retried = claimed(&stage, 3, 9).await;
    assert_eq!(
        (retried[0].bookid, retried[0].attempts, retried[0].fence),
        (1, 2, 2)
    );
}

#[tokio::test]
async fn a_claim_does_not_wait_for_a_job_that_is_being_claimed() {
    let stage = Stage::open().await;
    scheduled(&stage, &[job(1, past()), job(2, past())]).await;
    let mut claiming = stage.session().await;
    let claim = format!(
        "begin; select * from job_claim('{{charge}}', '{}', 1, {LEASE_MS}, null)",
        id(1)
    );
    sql::run(&mut claiming, &claim).await;
    let others = claimed(&stage, 2, 9).await;
    assert_eq!(others.iter().map(|job| job.bookid).collect::<Vec<_>>(), [2]);
    sql::run(&mut claiming, "commit").await;
    assert!(claimed(&stage, 3, 9).await.is_empty());
}

#[tokio::test]
async fn two_workers_never_get_the_same_job() {
    let stage = Stage::open().await;
    let jobs: Vec<_> = (1..=60).map(|key| job(key, past())).collect();
    scheduled(&stage, &jobs).await;
    let work = async |worker| {
        let mut mine = vec![];
        loop {
            let jobs = claimed(&stage, worker, 2).await;
            if jobs.is_empty() {
                return mine;
            }
            mine.extend(jobs.into_iter().map(|job| job.bookid));
        }
    };
    let (a, b, c, d) = tokio::join!(work(1), work(2), work(3), work(4));
    let all: Vec<_> = [a, b, c, d].concat();
    assert_eq!(all.len(), 60);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 60);
}

/// A worker whose claim ran out finishes a job that another one has by now.
async fn finish_late(stage: &mut Stage) -> (Job, bool) {
    scheduled(stage, &[job(7, past())]).await;
    let late = claimed(stage, 1, 1).await.remove(0);
    end_the_claims(stage).await;
    let now = claimed(stage, 2, 1).await.remove(0);
    assert_eq!((late.fence, now.fence, now.attempts), (1, 2, 2));
    let finished = stage
        .journal
        .finish_job(&late, &Finish::Done)
        .await
        .unwrap();
    (now, finished)
}

#[tokio::test]
async fn a_worker_whose_claim_ran_out_finishes_nothing() {
    let mut stage = Stage::open().await;
    let (now, finished) = finish_late(&mut stage).await;
    assert!(!finished);
    assert_eq!(stage.journal.open_jobs_ending(CHARGE, "").await.unwrap(), 1);
    let reason = "the card is gone".to_owned();
    let attention = Finish::Attention { reason };
    assert!(stage.journal.finish_job(&now, &attention).await.unwrap());
    let status = stage.journal.status().await.unwrap();
    assert_eq!((status.jobs.needs_attention, status.jobs.due), (1, 0));

    let mut harmed = Stage::open().await;
    harmed.without_guard("job_finish", "fence").await;
    let (now, finished) = finish_late(&mut harmed).await;
    assert!(finished, "the harm: it ends another's work");
    assert!(
        !harmed
            .journal
            .finish_job(&now, &Finish::Done)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_settled_job_is_over_for_the_worker_that_has_it() {
    let mut stage = Stage::open().await;
    scheduled(&stage, &[job(1, past()), job(2, hour(1_000_000))]).await;
    let has = claimed(&stage, 1, 9).await.remove(0);
    settled(&stage, &["1", "2", "3"]).await;
    let again = Finish::Again {
        due_at: past(),
        reason: "no answer".to_owned(),
    };
    assert!(!stage.journal.finish_job(&has, &again).await.unwrap());
    assert!(claimed(&stage, 2, 9).await.is_empty());
    let left = "select key || ' ' || state from jobs";
    assert_eq!(
        sql::texts(&mut stage.owner, left).await,
        ["1 done"],
        "one that never ran leaves no row"
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_for_people_and_holds_up_nobody_else() {
    let (mut stage, heard) = (Stage::open().await, Heard::new());
    let jobs: Vec<_> = (1..=5).map(|key| job(key, past())).collect();
    scheduled(&stage, &jobs).await;
    let damage = r#"update jobs set payload = payload || '{"tries": 1, "huge": 1e400}' where key = '1';
                    update jobs set payload = '["a"]' where key = '3';
                    update jobs set payload = '"a"' where key = '5'"#;
    sql::run(&mut stage.owner, damage).await;
    let read: Vec<_> = claimed(&stage, 1, 9).await;
    let mut read: Vec<_> = read.into_iter().map(|job| job.bookid).collect();
    read.sort_unstable();
    assert_eq!(read, [2, 4]);

    let left =
        "select key from jobs where state = 'attention' and claimed_until is null and attempts = 1
                  and last_error like 'its payload cannot be read: %' order by key";
    assert_eq!(sql::texts(&mut stage.owner, left).await, ["1", "3", "5"]);
    assert_eq!(heard.metric("jobs_attention_total{kind=\"charge\"}"), 3);
    let line = ["a job needs people", "its payload cannot be read"];
    assert_eq!(heard.lines(&line), 3, "{}", heard.log());

    // People see what there is, and decide.
    let list = stage.journal.jobs(false, 9).await.unwrap();
    assert_eq!(list.len(), 5);
    let people = stage.journal.jobs_for_people(9).await.unwrap();
    let shown = |name: &'static str| people.iter().map(move |row| row.payload.get(name).cloned());
    let some = |text: &str| Some(text.to_owned());
    assert!(shown("tries").eq([some("1"), None, None]));
    assert!(shown("correlation_id").eq([some("journey 1"), None, None]));
    assert!(shown("payload").eq([None, some("[\"a\"]"), some("a")]));
    let decision = Decision {
        by: "somebody",
        reason: "paid by hand",
    };
    let resolved = stage.journal.resolve_job(people[1].id, &decision);
    assert_eq!(resolved.await.unwrap(), Decided::Done);
}
